/** Platforms (`linux/arm64/v8`) and the choice among those of an index (OCI image-index.md, "platform"). Pure but for {@link hostPlatform}. */
import { arch } from 'node:os'
import { PodlingError } from '../errors.js'

export interface Platform {
  /** Go's GOOS: `linux`. */
  readonly os: string
  /** Go's GOARCH: `amd64`, `arm64`, ... */
  readonly architecture: string
  /** Of the CPU: `v7`, `v8`. The default one of its architecture is left out (`arm64`'s v8, `amd64`'s v1). */
  readonly variant?: string
}

const goArchitectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  ia32: '386',
  i386: '386',
  i686: '386',
  ppc64: 'ppc64le',
  armhf: 'arm',
  armel: 'arm',
}

/** One spelling for each platform, so that `linux/aarch64`, `linux/arm64/v8` and `linux/arm64` are the same. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase()
  const given = platform.architecture.toLowerCase()
  const architecture = Object.hasOwn(goArchitectures, given) ? goArchitectures[given]! : given
  let variant = platform.variant?.toLowerCase().replace(/^(?=\d)/, 'v')
  if (given === 'armel' && !variant) variant = 'v6'
  if (architecture === 'arm' && !variant) variant = 'v7'
  const isDefault =
    variant === '' || (architecture === 'arm64' && variant === 'v8') || (architecture === 'amd64' && variant === 'v1')
  return { os, architecture, ...(variant === undefined || isDefault ? {} : { variant }) }
}

/**
 * Read `os/architecture[/variant]`.
 * @throws {PodlingError} INVALID_OPTION
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [os = '', architecture = '', variant] = parts
  if (parts.length < 2 || parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part))) {
    throw new PodlingError(
      'INVALID_OPTION',
      `platform: must be os/architecture or os/architecture/variant such as linux/arm64, got ${JSON.stringify(text)}`,
    )
  }
  return normalizePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) })
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, ...(platform.variant === undefined ? [] : [platform.variant])].join('/')
}

/** The platform of this machine. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: 'linux', architecture: arch() })
}

/**
 * How well a machine of platform `wanted` runs an image of platform `offered`: 0 is not at all, more is better.
 * An ARM machine runs the older variants too; a variant of amd64 (v2, v3) may need instructions that a CPU lacks, so it
 * is taken only when it is asked for.
 */
export function platformFit(wanted: Platform, offered: Platform): number {
  const want = normalizePlatform(wanted)
  const offer = normalizePlatform(offered)
  if (want.os !== offer.os || want.architecture !== offer.architecture) return 0
  if (want.variant === offer.variant) return 100
  if (want.architecture === 'amd64') return offer.variant === undefined ? 50 : 0
  if (want.architecture === 'arm') {
    const [wantNumber, offerNumber] = [variantNumber(want.variant), variantNumber(offer.variant)]
    return offerNumber <= wantNumber ? 10 + offerNumber : 0
  }
  return offer.variant === undefined || want.variant === undefined ? 50 : 0
}

/**
 * The best of the offered for a platform; of equally good ones the first, as the index spec asks.
 * Entries without a platform count only when nothing else fits and there is exactly one.
 * @throws {PodlingError} PLATFORM_NOT_FOUND, which lists what there is
 */
export function selectPlatform<T extends { readonly platform?: Platform }>(
  offered: readonly T[],
  wanted: Platform,
  what: string,
): T {
  let best: T | undefined
  let bestFit = 0
  for (const entry of offered) {
    const fit = entry.platform === undefined ? 0 : platformFit(wanted, entry.platform)
    if (fit > bestFit) [best, bestFit] = [entry, fit]
  }
  if (best) return best
  const [single, ...others] = offered.filter((entry) => entry.platform === undefined)
  if (single !== undefined && others.length === 0) return single
  const names = new Set<string>()
  for (const { platform } of offered) {
    if (platform && platform.os !== 'unknown') names.add(formatPlatform(normalizePlatform(platform)))
  }
  throw new PodlingError(
    'PLATFORM_NOT_FOUND',
    `${what} has no image for ${formatPlatform(wanted)}; it has ${names.size === 0 ? 'none at all' : [...names].join(', ')}`,
  )
}

function variantNumber(variant: string | undefined): number {
  return variant === undefined ? 0 : Number(/^v(\d+)/.exec(variant)?.[1] ?? 0)
}
