/**
 * Image references: `[registry[:port]/]repository[:tag][@digest]`, by the grammar that Docker and the OCI distribution
 * spec share. Pure.
 */
import { PodlingError } from '../errors.js'
import { isDigest } from './digest.js'

/** A reference taken apart, with all defaults filled in. */
export interface Reference {
  /** Host and port, `docker.io` by default. An IPv6 address stands in brackets. */
  readonly registry: string
  /** The path within the registry; `library/` is put before the bare names of docker.io. */
  readonly repository: string
  /** `latest` by default, absent when there is a digest and no tag. */
  readonly tag?: string
  readonly digest?: string
}

export const defaultRegistry = 'docker.io'
const defaultTag = 'latest'

const hostPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/
const ipv6Pattern = /^\[[0-9a-fA-F:]{2,45}\]$/
const componentPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const maxNameLength = 255

/**
 * Take a reference apart.
 * @throws {PodlingError} INVALID_REFERENCE, which says what is wrong with which part
 */
export function parseReference(input: string): Reference {
  const text: unknown = input
  const fail = (reason: string): never => {
    throw new PodlingError('INVALID_REFERENCE', `image reference ${shown(text)}: ${reason}`)
  }
  if (typeof text !== 'string') return fail(`must be a string, got ${text === null ? 'null' : typeof text}`)
  if (text === '') return fail('is empty; write a name such as debian:12')
  if (text.length > 1024) return fail(`is ${String(text.length)} characters long`)
  const strange = /[^\x21-\x7e]/.exec(text)
  if (strange) {
    return fail(
      `has ${JSON.stringify(strange[0])} at position ${String(strange.index + 1)}; only printable ASCII may stand there`,
    )
  }
  const scheme = /^[a-z][a-z0-9+-]*:\/\//.exec(text)
  if (scheme) return fail(`starts with ${scheme[0]}; write the host alone, without a scheme`)

  const [beforeDigest, digest] = splitAt(text, text.indexOf('@'))
  if (digest !== undefined && !isDigest(digest)) return fail(digestFault(digest))
  const colon = beforeDigest.lastIndexOf(':')
  const [name, tag] = splitAt(beforeDigest, colon > beforeDigest.lastIndexOf('/') ? colon : -1)
  if (tag !== undefined && !tagPattern.test(tag)) return fail(tagFault(tag))

  const slash = name.indexOf('/')
  const first = slash === -1 ? '' : name.slice(0, slash)
  const hasRegistry = slash !== -1 && isRegistryName(first)
  const registry = hasRegistry ? first : defaultRegistry
  const path = hasRegistry ? name.slice(slash + 1) : name
  if (hasRegistry) {
    const fault = registryFault(first)
    if (fault !== undefined) return fail(fault)
  }
  if (path === '') return fail('the repository is missing')
  for (const component of path.split('/')) {
    if (!componentPattern.test(component)) return fail(componentFault(path, component))
  }
  if (!hasRegistry && /^[0-9a-f]{64}$/.test(name)) {
    return fail('a name of 64 hex digits would be taken for an image id; give it another name')
  }
  if (registry.length + 1 + path.length > maxNameLength) {
    return fail(
      `the name has ${String(registry.length + 1 + path.length)} characters; at most ${String(maxNameLength)} are allowed`,
    )
  }
  const canonicalRegistry = registry === 'index.docker.io' ? defaultRegistry : registry
  return {
    registry: canonicalRegistry,
    repository: canonicalRegistry === defaultRegistry && !path.includes('/') ? `library/${path}` : path,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: defaultTag } : {}),
    ...(digest === undefined ? {} : { digest }),
  }
}

/** Whether the first part of a name, before its first slash, means a registry. */
function isRegistryName(first: string): boolean {
  return /[.:[\]A-Z]/.test(first) || first === 'localhost'
}

/** The name and the rest (`:tag`, `@digest`) of a reference that names no registry; undefined for one that does. */
export function shortName(text: string): { readonly name: string; readonly rest: string } | undefined {
  const [, name = '', rest = ''] = /^([^:@]*)(.*)$/s.exec(text) ?? []
  const slash = text.indexOf('/')
  if (slash !== -1 && isRegistryName(text.slice(0, slash))) return undefined
  return { name, rest }
}

/** The whole reference as text, all parts written out: `docker.io/library/debian:12`. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${repositoryName(reference)}${tag}${digest}`
}

/** Registry and repository without tag and digest: `docker.io/library/debian`. */
export function repositoryName(reference: Reference): string {
  return `${reference.registry}/${reference.repository}`
}

/** The host name (or address, without brackets) and port of a registry. */
export function splitRegistry(registry: string): { host: string; port?: number } {
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(registry)
  const host = (match?.[1] ?? registry).replace(/^\[|\]$/g, '')
  return match?.[2] === undefined ? { host } : { host, port: Number(match[2]) }
}

/** True for a registry on this very machine: `localhost`, 127.0.0.0/8 and `[::1]`. */
export function isLoopback(registry: string): boolean {
  const { host } = splitRegistry(registry)
  return host === 'localhost' || host.endsWith('.localhost') || /^127(\.\d{1,3}){3}$/.test(host) || host === '::1'
}

function splitAt(text: string, index: number): [string, string | undefined] {
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}

function shown(text: unknown): string {
  const quoted = typeof text === 'string' ? JSON.stringify(text) : String(text)
  return quoted.length > 200 ? `${quoted.slice(0, 200)}..."` : quoted
}

function digestFault(digest: string): string {
  if (digest === '') return 'the digest after @ is missing'
  const [algorithm, hex] = splitAt(digest, digest.indexOf(':'))
  if (hex === undefined) return `the digest ${shown(digest)} has no algorithm; write sha256:<64 hex digits>`
  if (algorithm !== 'sha256') return `the digest algorithm ${shown(algorithm)} is not supported; use sha256`
  if (/^[0-9a-fA-F]{64}$/.test(hex)) return 'the digest must be written in lower case'
  if (!/^[0-9a-f]*$/.test(hex)) return `the digest ${shown(hex)} has characters that are not hex digits`
  return `the digest has ${String(hex.length)} hex digits; sha256 has 64`
}

function tagFault(tag: string): string {
  if (tag === '') return 'the tag after : is missing'
  if (tag.length > 128) return `the tag has ${String(tag.length)} characters; at most 128 are allowed`
  return `the tag ${shown(tag)} may have letters, digits, _ . and -, and may not start with . or -`
}

function registryFault(registry: string): string | undefined {
  const match = /^(\[[^\]]*\]|[^:[\]]+)(?::([^:]*))?$/.exec(registry)
  if (!match) return `the registry ${shown(registry)} is not host[:port]; put an IPv6 address in brackets, [::1]:5000`
  const [, host = '', port] = match
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    return `the port ${shown(port)} of the registry must be 1..65535`
  }
  if (host.startsWith('[') ? !ipv6Pattern.test(host) : !hostPattern.test(host)) {
    return `the registry host ${shown(host)} is not a host name or address`
  }
  return undefined
}

function componentFault(path: string, component: string): string {
  if (component === '') return `the repository ${shown(path)} has an empty part between slashes`
  if (component !== component.toLowerCase()) {
    return `the repository ${shown(path)} must be in lower case: ${shown(path.toLowerCase())}`
  }
  return (
    `the part ${shown(component)} of the repository may have a-z and 0-9, parted by single . or _, by __ or by -, ` +
    'and starts and ends with a letter or digit'
  )
}
