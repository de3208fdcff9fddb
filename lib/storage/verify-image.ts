/** Before something runs on an image: what is stored of it is what it was when it came, as far as its files' looks tell. */
import { PodlingError } from '../errors.js'
import type { ContentStore } from './content.js'
import type { ImageRecord } from './image.js'
import type { ImageLayers } from './image-store.js'

export interface VerifyParts {
  readonly content: ContentStore
  readonly layers: ImageLayers
}

/**
 * A blob that is missing is no obstacle: what runs are the layers that were made of it.
 * @throws {PodlingError} DIGEST_MISMATCH
 */
export async function verifyImage(
  record: ImageRecord,
  chainId: string | undefined,
  { content, layers }: VerifyParts,
): Promise<void> {
  const name = record.names[0] ?? record.id
  for (const digest of [record.digest, record.id, ...record.layers.map((layer) => layer.digest)]) {
    if (content.looksSound(digest) || (await content.verify(digest)) !== 'altered') continue
    throw new PodlingError(
      'DIGEST_MISMATCH',
      `image ${name}: its blob ${digest} was changed on disk since it was verified; ` +
        'pull or load the image again, or let runtime.check({ repair: true }) look at all of it',
      { path: content.path(digest) },
    )
  }
  if (chainId !== undefined) await verifyLayers(chainId, name, layers)
}

/** @throws {PodlingError} DIGEST_MISMATCH */
export async function verifyLayers(chainId: string, image: string, layers: ImageLayers): Promise<void> {
  const changed = await layers.changed?.(chainId)
  if (changed === undefined) return
  throw new PodlingError(
    'DIGEST_MISMATCH',
    `image ${image}: the file ${changed.file} of its layer ${changed.chainId} was changed on disk since it was made; ` +
      'runtime.check({ repair: true }) makes the layer anew, when no container stands on it',
  )
}
