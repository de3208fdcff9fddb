/** From a name to the places where it may be got, in the order in which they are asked. Pure. */
import { PodlingError } from '../../errors.js'
import { formatReference, parseReference, repositoryName, shortName, type Reference } from '../reference.js'
import type { RegistriesConfig, RegistryRule } from './registries.js'

/** One place to get an image from. */
export interface PullSource {
  readonly reference: Reference
  /** Plain http and unverified certificates are allowed there; undefined: nothing says so. */
  readonly insecure: boolean | undefined
  readonly isMirror: boolean
}

/**
 * What a name means: one reference, or several that are to be tried in turn.
 * @throws {PodlingError} INVALID_REFERENCE, also for a short name that could mean several
 */
export function meanings(text: string, config: RegistriesConfig): Reference[] {
  const short = typeof text === 'string' ? shortName(text) : undefined
  if (short === undefined) return [parseReference(text)]
  const { name, rest } = short
  const alias = config.aliases.get(name)
  if (alias !== undefined && alias !== '') return [parseReference(`${alias}${rest}`)]
  // What is no reference at all is told in its own words.
  const plain = parseReference(text)
  const { search = [] } = config
  if (search.length === 0) return [plain]
  const found = search.map((registry) => parseReference(`${registry}/${name}${rest}`))
  if (found.length === 1 || config.shortNames !== 'enforcing') return found
  throw new PodlingError(
    'INVALID_REFERENCE',
    `image reference ${JSON.stringify(text)}: could be ${found.map(formatReference).join(' or ')}; write the whole name, ` +
      'or an alias for it into registries.conf',
  )
}

/** The rule for a name: that of the longest prefix. */
export function ruleFor(reference: Reference, { rules }: RegistriesConfig): RegistryRule | undefined {
  const name = repositoryName(reference)
  const full = formatReference(reference)
  let best: RegistryRule | undefined
  for (const rule of rules.values()) {
    if (matches(rule.prefix, name, full) && rule.prefix.length > (best?.prefix.length ?? -1)) best = rule
  }
  return best
}

function matches(prefix: string, name: string, full: string): boolean {
  if (prefix.startsWith('*.')) {
    const host = name.slice(0, name.indexOf('/'))
    return host.replace(/:\d+$/, '').endsWith(prefix.slice(1))
  }
  return full === prefix || name === prefix || name.startsWith(`${prefix}/`)
}

/** @throws {PodlingError} IMAGE_FORBIDDEN when it is blocked */
export function checkBlocked(reference: Reference, rule: RegistryRule | undefined): void {
  if (!rule?.blocked) return
  throw new PodlingError('IMAGE_FORBIDDEN', `${formatReference(reference)}: ${rule.prefix} is blocked by ${rule.what}`)
}

/** Mirrors first, then the place itself. @throws {PodlingError} IMAGE_FORBIDDEN */
export function pullSources(reference: Reference, config: RegistriesConfig): PullSource[] {
  const rule = ruleFor(reference, config)
  checkBlocked(reference, rule)
  if (rule === undefined) return [{ reference, insecure: undefined, isMirror: false }]
  const name = repositoryName(reference)
  const at = (location: string): Reference => {
    // A wildcard stands for the whole host, and has nothing to put a path behind.
    const rest = rule.prefix.startsWith('*.') ? name.slice(name.indexOf('/')) : name.slice(rule.prefix.length)
    return located(`${location}${rest}`, reference)
  }
  const mirrors = rule.mirrors.filter(({ use }) => {
    return use === 'all' || (use === 'digest-only') === (reference.digest !== undefined)
  })
  return [
    ...mirrors.map(({ location, insecure }) => ({
      reference: at(location),
      insecure: insecure ? true : undefined,
      isMirror: true,
    })),
    {
      reference: rule.location === '' ? reference : at(rule.location),
      insecure: rule.insecure ? true : undefined,
      isMirror: false,
    },
  ]
}

/** The first part is a host, whatever it looks like. */
function located(text: string, { tag, digest }: Reference): Reference {
  const slash = text.indexOf('/')
  return {
    registry: text.slice(0, slash),
    repository: text.slice(slash + 1),
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }
}
