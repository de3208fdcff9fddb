/** What goes wrong with a registry, as typed errors that name the host and the remedy. Pure. */
import { PodlingError, type ErrorCode } from '../errors.js'

/** Errors of the network after which the same request may well succeed. */
const passing = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ESTALLED', 'EAI_AGAIN', 'ERR_STREAM_PREMATURE_CLOSE'])

/** Errors that say: the other end does not speak TLS. */
const notTls = new Set([
  'EPROTO',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ECONNRESET',
  'ECONNREFUSED',
])

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
])

export function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

export function isPassing(error: unknown): boolean {
  return passing.has(errorCode(error))
}

/** True when plain HTTP is worth a try at an insecure registry. */
export function isNotTls(error: unknown): boolean {
  return notTls.has(errorCode(error))
}

/** The typed error for a request that got no answer. */
export function networkError(what: string, host: string, error: unknown): PodlingError {
  return new PodlingError('REGISTRY_UNREACHABLE', `${what}: ${networkReason(host, error)}`, { cause: error })
}

function networkReason(host: string, error: unknown): string {
  const code = errorCode(error)
  const text = error instanceof Error ? error.message : String(error)
  if (untrusted.has(code)) {
    return (
      `the certificate of ${host} is not signed by a known authority (${code}); put the authority's certificate into ` +
      `/etc/containers/certs.d/${host}/ca.crt, or pass insecure: true for a registry that you trust anyway`
    )
  }
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens at ${host} (connection refused); check the host and port, and that the registry runs`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host name of ${host} can't be resolved (${code}); check the spelling and the DNS set-up`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no route to ${host} (${code}); check the network`
    case 'ETIMEDOUT':
    case 'ESTALLED':
      return `${host} does not answer: ${text}`
    case 'ECONNRESET':
    case 'EPIPE':
      return `${host} cut the connection (${text})`
    case 'CERT_HAS_EXPIRED':
      return `the certificate of ${host} has expired`
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${host} is for another host: ${text}`
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return `${host} does not speak TLS; pass insecure: true for a registry that is plain http`
    default:
      return `${host}: ${text}`
  }
}

/** What a registry's error body says (distribution spec, "Error Codes"), made safe to print. */
export function registryMessage(body: Uint8Array): string {
  const text = Buffer.from(body).toString('utf8')
  let message: string
  try {
    const { errors } = JSON.parse(text) as { errors?: ({ code?: unknown; message?: unknown } | null)[] }
    message = (Array.isArray(errors) ? errors : [])
      .slice(0, 3)
      .map((error) => [error?.code, error?.message].filter((part) => typeof part === 'string').join(': '))
      .join('; ')
  } catch {
    message = text
  }
  // A registry must not write escape sequences to someone's terminal.
  return message
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 300)
}

/** The typed error for an answer that is no success. */
export function statusError(what: string, host: string, status: number, message: string): PodlingError {
  const said = message === '' ? '' : ` (${message})`
  const [code, reason] = statusReason(host, status)
  return new PodlingError(code, `${what}: ${reason}${said}`)
}

function statusReason(host: string, status: number): [ErrorCode, string] {
  if (status === 404) return ['IMAGE_NOT_FOUND', `${host} does not have it`]
  if (status === 403) return ['REGISTRY_UNAUTHORIZED', `${host} forbids it to this user`]
  if (status === 429) return ['REGISTRY_RATE_LIMITED', `${host} limits the rate of requests`]
  return ['REGISTRY_FAILED', `${host} answered ${String(status)}`]
}

/** The milliseconds of a `Retry-After` header (RFC 9110, section 10.2.3): seconds or a date. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
