/** Where registries really are, which are blocked, and what short names mean (containers-registries.conf(5), version 2). Pure. */
import type * as Toml from 'smol-toml'
import { PodlingError } from '../../errors.js'
import { late } from '../../late.js'
import { JsonReader } from '../json.js'

const toml = late('smol-toml') as () => typeof Toml

export interface RegistryRule {
  /** What names begin with that it is about: `host`, `host/namespace`, `*.domain`. */
  readonly prefix: string
  /** What takes the prefix's place. '': the prefix itself stays. */
  readonly location: string
  readonly insecure: boolean
  readonly blocked: boolean
  readonly mirrors: readonly RegistryMirror[]
  /** The file that says so. */
  readonly what: string
}

export interface RegistryMirror {
  readonly location: string
  readonly insecure: boolean
  readonly use: 'all' | 'digest-only' | 'tag-only'
}

export interface RegistriesConfig {
  readonly rules: ReadonlyMap<string, RegistryRule>
  /** Full names by short ones. '' forgets what an earlier file says. */
  readonly aliases: ReadonlyMap<string, string>
  /** Where short names are looked for, in this order; undefined: nothing says so. */
  readonly search: readonly string[] | undefined
  readonly shortNames: 'enforcing' | 'permissive' | 'disabled'
  /** Who is asked for credentials, in this order: helper programs, and the auth files; undefined: these alone. */
  readonly credentialHelpers: readonly string[] | undefined
}

export const noRegistriesConfig: RegistriesConfig = {
  rules: new Map(),
  aliases: new Map(),
  search: undefined,
  shortNames: 'enforcing',
  credentialHelpers: undefined,
}

/**
 * Read one file on top of those before it: a rule takes the place of that of its prefix, aliases come to those there are.
 * @throws {PodlingError} POLICY_INVALID, which names the place: what isn't understood is never passed over
 */
export function addRegistriesFile(config: RegistriesConfig, text: string, what: string): RegistriesConfig {
  let value: unknown
  try {
    value = toml().parse(text)
  } catch (cause) {
    const [first = ''] = String(cause instanceof Error ? cause.message : cause).split('\n')
    throw new PodlingError('POLICY_INVALID', `${what}: is not TOML: ${first}`, { cause })
  }
  const document = new JsonReader(value, what, '', 'POLICY_INVALID')
  if (document.get('registries').present) {
    document.get('registries').fail('is version 1 of the format, given up in 2019; write [[registry]] tables')
  }
  document.only([
    'unqualified-search-registries', 'short-name-mode', 'registry', 'aliases', 'credential-helpers',
    'additional-layer-store-auth-helper',
  ]) // prettier-ignore
  const search = document.get('unqualified-search-registries')
  const mode = document.get('short-name-mode')
  const helpers = document.get('credential-helpers')
  const rules = document.get('registry').list().map((one) => readRule(one, what)) // prettier-ignore
  return {
    rules: new Map([...config.rules, ...rules.map((rule) => [rule.prefix, rule] as const)]),
    aliases: new Map([...config.aliases, ...Object.entries(document.get('aliases').stringMap())]),
    search: search.present ? search.strings() : config.search,
    shortNames: mode.present ? oneOf(mode, ['enforcing', 'permissive', 'disabled']) : config.shortNames,
    credentialHelpers: helpers.present ? helpers.strings() : config.credentialHelpers,
  }
}

function readRule(reader: JsonReader, what: string): RegistryRule {
  reader.only(['prefix', 'location', 'insecure', 'blocked', 'mirror', 'mirror-by-digest-only'])
  const location = reader.get('location').optionalString() ?? ''
  const prefix = reader.get('prefix').optionalString() ?? location
  if (prefix === '') reader.fail('has neither a prefix nor a location')
  const byDigest = flag(reader.get('mirror-by-digest-only'))
  const wildcard = prefix.startsWith('*.') ? '*.' : ''
  return {
    prefix: wildcard + checkPlace(prefix.slice(wildcard.length), reader.get('prefix')),
    location: location === '' ? '' : checkPlace(location, reader.get('location')),
    insecure: flag(reader.get('insecure')),
    blocked: flag(reader.get('blocked')),
    mirrors: reader.get('mirror').list(100).map((mirror) => readMirror(mirror, byDigest)), // prettier-ignore
    what,
  }
}

function readMirror(reader: JsonReader, byDigest: boolean): RegistryMirror {
  reader.only(['location', 'insecure', 'pull-from-mirror'])
  const use = reader.get('pull-from-mirror')
  if (use.present && byDigest) use.fail('contradicts mirror-by-digest-only of its registry; write one of both')
  return {
    location: checkPlace(reader.get('location').string(), reader.get('location')),
    insecure: flag(reader.get('insecure')),
    use: use.present ? oneOf(use, ['all', 'digest-only', 'tag-only']) : byDigest ? 'digest-only' : 'all',
  }
}

/** A host, with or without a path; nothing else makes a URL that leads where it seems to. */
function checkPlace(text: string, reader: JsonReader): string {
  const place = text.replace(/\/$/, '')
  const isPlace = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/.test(place)
  return isPlace ? place : reader.fail(`must be host[:port][/path], without a scheme, got ${JSON.stringify(text)}`)
}

function flag(reader: JsonReader): boolean {
  return reader.present ? reader.boolean() : false
}

function oneOf<T extends string>(reader: JsonReader, words: readonly T[]): T {
  const text = reader.string()
  const found = words.find((word) => word === text)
  return found ?? reader.fail(`must be ${words.join(', ')}, got ${JSON.stringify(text)}`)
}
