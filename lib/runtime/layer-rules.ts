/** The option `layers` of a runtime: how strangers' layers are taken. Pure. */
import { parseSize, sizeWords, type Size } from '../schema/quantities.js'
import { show } from '../schema/faults.js'
import type { LayerRules } from '../storage/layer-types.js'

/** How the layers of images that are pulled, loaded or imported are taken. */
export interface LayerOptions extends Omit<LayerRules, 'maxBytes'> {
  /**
   * Bytes of one layer uncompressed; what has more is refused with `LAYER_TOO_LARGE`, as a decompression bomb would have.
   * Holes of sparse files, which take no room, don't count. @default '64g'
   */
  readonly maxBytes?: Size
}

const checks: Readonly<Record<keyof LayerOptions, (value: unknown) => string | undefined>> = {
  maxBytes: (value) => (parseSize(value) === undefined ? sizeWords : undefined),
  maxEntries: (value) => (Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : 'a number of entries'),
  absoluteNames: (value) => (value === 'strip' || value === 'refuse' ? undefined : `'strip' or 'refuse'`),
}

/** What is wrong with them, each with its path. */
export function layerOptionFaults(given: unknown): string[] {
  if (typeof given !== 'object' || given === null) return [`layers: must be an object, got ${show(given)}`]
  return Object.entries(given).flatMap(([name, value]: [string, unknown]) => {
    if (!Object.hasOwn(checks, name))
      return [`layers.${name}: unknown option; there are ${Object.keys(checks).join(', ')}`]
    const must = value === undefined ? undefined : checks[name as keyof LayerOptions](value)
    return must === undefined ? [] : [`layers.${name}: must be ${must}, got ${show(value)}`]
  })
}

/** Of options that have no faults. */
export function layerRules({ maxBytes, ...rest }: LayerOptions): LayerRules {
  const bytes = parseSize(maxBytes)
  return { ...rest, ...(bytes === undefined ? {} : { maxBytes: bytes }) }
}
