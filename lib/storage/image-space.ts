/** What images take up, and what of it they have in common. Pure. */
import { chainIds } from '../image/digest.js'

/** Bytes on disk that an image takes up: its blobs as they came, and its layers unpacked. */
export interface ImageSpace {
  /** What its removal gives back. */
  readonly own: number
  /** What other images here need, too. */
  readonly shared: number
}

/** Of the record of an image what counts here. */
interface Measured {
  readonly id: string
  readonly config: string
  readonly layers: readonly { readonly digest: string; readonly size: number; readonly diffId: string }[]
}

/**
 * @param all the records of all images, this one or not
 * @param layerSize bytes of a layer unpacked, by chain id; undefined for one that isn't known
 */
export function imageSpace(
  record: Measured,
  all: readonly Measured[],
  layerSize: (chainId: string) => number | undefined,
): ImageSpace {
  const theirs = new Set(
    all.filter(({ id }) => id !== record.id).flatMap((other) => [...partsOf(other, () => 0).keys()]),
  )
  let [own, shared] = [0, 0]
  for (const [part, size] of partsOf(record, layerSize)) {
    if (theirs.has(part)) shared += size
    else own += size
  }
  return { own, shared }
}

/** Its blobs and its unpacked layers, each once. */
function partsOf(record: Measured, layerSize: (chainId: string) => number | undefined): Map<string, number> {
  const chain = chainIds(record.layers.map(({ diffId }) => diffId))
  return new Map([
    ...record.layers.map(({ digest, size }) => [`blob ${digest}`, size] as const),
    [`blob ${record.id}`, Buffer.byteLength(record.config)] as const,
    ...chain.map((chainId) => [`layer ${chainId}`, layerSize(chainId) ?? 0] as const),
  ])
}
