/**
 * Answering a registry's challenge: Basic (RFC 7617), or Bearer with a token server (distribution "token
 * authentication"). A password goes only where the registry's own challenge points, and never in clear unless the
 * registry is an insecure one. Only what the work needs is asked for: `pull` of the one repository, unless told otherwise.
 */
import { PodlingError } from '../errors.js'
import { parseChallenges, type Challenge } from './challenge.js'
import type { Credentials } from './registry-auth.js'
import type { HttpClient, HttpResponse } from './http.js'
import { parseJson } from './json.js'
import { networkError, registryMessage, statusError } from './registry-errors.js'

export interface AuthenticatorOptions {
  readonly http: HttpClient
  /** The registry's host, for messages. */
  readonly host: string
  readonly insecure: (host: string) => boolean
  /** Looked up once per repository, at the first challenge. */
  readonly credentials: (repository: string) => Promise<Credentials | undefined>
  /** What a token for a repository is to allow (distribution "token scope"). @default to pull from it */
  readonly scopes?: ((repository: string) => readonly string[]) | undefined
}

interface Grant {
  readonly header: string
  readonly expiresAt: number
}

/** The time a token lives when its server does not say (distribution spec: 60 seconds). */
const defaultLifetime = 60
/** A token is not used in its last seconds: it has to last until the request arrives. */
const margin = 5_000

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #grants = new Map<string, Grant>()
  readonly #asking = new Map<string, Promise<string | undefined>>()

  constructor(options: AuthenticatorOptions) {
    this.#options = options
  }

  /** The `Authorization` header that worked before for this repository. */
  header(repository: string): string | undefined {
    const grant = this.#grants.get(repository)
    return grant && grant.expiresAt - margin > Date.now() ? grant.header : undefined
  }

  /**
   * Answer a 401. Requests that fail together ask once.
   * @param refused the header that the request had
   * @returns the header to try next; undefined when there is nothing (else) to try
   */
  async answer(
    repository: string,
    response: HttpResponse,
    refused: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const current = this.header(repository)
    if (current !== undefined && current !== refused) return current
    let asking = this.#asking.get(repository)
    if (!asking) {
      asking = this.#ask(repository, response, signal).finally(() => this.#asking.delete(repository))
      this.#asking.set(repository, asking)
    }
    const header = await asking
    return header === refused ? undefined : header
  }

  async #ask(repository: string, response: HttpResponse, signal?: AbortSignal): Promise<string | undefined> {
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '')
    const credentials = await this.#options.credentials(repository)
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer) return this.#grant(repository, await this.#bearer(repository, bearer, credentials, signal))
    const basic = challenges.find(({ scheme }) => scheme === 'basic')
    if (!basic || !credentials || !('password' in credentials)) return undefined
    this.#forbidClear(response.url, 'the registry')
    return this.#grant(repository, { header: basicHeader(credentials), expiresAt: Infinity })
  }

  #grant(repository: string, grant: Grant): string {
    this.#grants.set(repository, grant)
    return grant.header
  }

  async #bearer(
    repository: string,
    challenge: Challenge,
    credentials: Credentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Grant> {
    if (credentials && 'token' in credentials) return { header: `Bearer ${credentials.token}`, expiresAt: Infinity }
    const { host, http } = this.#options
    const { realm = '', service } = challenge.parameters
    const url = URL.canParse(realm) ? new URL(realm) : undefined
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
      throw new PodlingError(
        'REGISTRY_FAILED',
        `log in to ${host}: its challenge names no token server (realm ${JSON.stringify(realm)})`,
      )
    }
    this.#forbidClear(url, 'its token server')
    const what = `get a token for ${host}/${repository} from ${url.host}`
    const own = this.#options.scopes?.(repository) ?? [pullScope(repository)]
    const scopes = [...own, ...otherScopes(challenge.parameters['scope'])]
    let response: HttpResponse
    try {
      response = await http.send(
        credentials && 'identityToken' in credentials
          ? refreshRequest(url, service, scopes, credentials.identityToken, signal)
          : tokenRequest(url, service, scopes, credentials, signal),
      )
      return await readToken(response, what)
    } catch (error) {
      throw error instanceof PodlingError || signal?.aborted ? error : networkError(what, url.host, error)
    }
  }

  #forbidClear(url: URL, whose: string): void {
    if (url.protocol === 'https:' || this.#options.insecure(url.host)) return
    throw new PodlingError(
      'REGISTRY_UNAUTHORIZED',
      `log in to ${this.#options.host}: ${whose} at ${url.origin} is plain http, and passwords are not sent in clear; ` +
        'pass insecure: true for a registry that you trust anyway',
    )
  }
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

export function pullScope(repository: string): string {
  return `repository:${repository}:pull`
}

export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`
}

/** Of the registry's scopes those that are no repository's (such as `aws`). */
function otherScopes(offered: string | undefined): string[] {
  return (offered ?? '').split(' ').filter((scope) => scope !== '' && !/^(repository|registry)[:(]/.test(scope))
}

function tokenRequest(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credentials: { username: string; password: string } | undefined,
  signal: AbortSignal | undefined,
): Parameters<HttpClient['send']>[0] {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  if (!credentials) return { method: 'GET', url, signal }
  url.searchParams.set('account', credentials.username)
  return { method: 'GET', url, headers: { Authorization: basicHeader(credentials) }, signal }
}

function refreshRequest(
  url: URL,
  service: string | undefined,
  scopes: readonly string[],
  identityToken: string,
  signal: AbortSignal | undefined,
): Parameters<HttpClient['send']>[0] {
  const body = new URLSearchParams({
    grant_type: 'refresh_token',
    service: service ?? '',
    client_id: 'podling',
    scope: scopes.join(' '),
    refresh_token: identityToken,
  }).toString()
  const headers = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'Content-Length': String(Buffer.byteLength(body)),
  }
  return { method: 'POST', url, headers, body, signal }
}

async function readToken(response: HttpResponse, what: string): Promise<Grant> {
  const body = await response.bytes(256 * 1024)
  const { status, url } = response
  if (status === 401 || status === 403) {
    const said = registryMessage(body)
    throw new PodlingError(
      'REGISTRY_UNAUTHORIZED',
      `${what}: refused with ${String(status)}${said ? ` (${said})` : ''}; check the user name and password`,
    )
  }
  if (status !== 200) throw statusError(what, url.host, status, registryMessage(body))
  const answer = parseJson(body, what, 'REGISTRY_FAILED')
  const token = answer.get('token').optionalString() ?? answer.get('access_token').string()
  if (!/^[\x21-\x7e]+$/.test(token)) answer.fail('the token has characters that no header may have')
  const lifetime = answer.get('expires_in').present ? answer.get('expires_in').integer(1e9) : defaultLifetime
  return { header: `Bearer ${token}`, expiresAt: Date.now() + Math.max(lifetime, defaultLifetime) * 1000 }
}
