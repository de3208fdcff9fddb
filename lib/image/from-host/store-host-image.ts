/** Stores an image of the host: its layers as blobs, unless they are there already, then its config and manifest. */
import type { BlobStore } from '../blob-store.js'
import { encodeImageDocument } from '../image-config-input.js'
import { composeImage, type ImageParts } from '../image-parts.js'
import { throwIfAborted } from '../progress.js'
import type { HostImage, HostLayer } from './host-image.js'

/** The blob that a layer became. */
export interface KnownLayer {
  readonly digest: string
  readonly size: number
}

/** Remembers the blobs of layers by {@link HostLayer.key}. What it forgets is packed again. */
export interface KnownLayers {
  get(key: string): KnownLayer | undefined
  put(key: string, layer: KnownLayer): Promise<void>
}

export interface StoreHostImageContext {
  readonly store: BlobStore
  readonly known: KnownLayers
  /** Canonical names for it. @default [] */
  readonly names?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

const what = 'an image of the host'

/** The same image always gets the same id, so its time is fixed. */
const created = new Date(0)

/**
 * Store an image. One that is stored already costs no copy.
 * @throws {PodlingError} HOST_FILE_CHANGED, HOST_FILE_NOT_FOUND, DISK_FULL, ABORTED
 */
export async function storeHostImage(image: HostImage, context: StoreHostImageContext): Promise<ImageParts> {
  const { store, known, names = [], signal } = context
  const layers: KnownLayer[] = []
  for (const layer of image.layers) layers.push(await storeLayer(layer, store, known, signal))
  const document = encodeImageDocument({
    config: image.config,
    platform: image.platform,
    created,
    // An uncompressed layer is its own diff.
    diffIds: layers.map(({ digest }) => digest),
    history: image.layers.map(({ comment }) => ({
      created: created.toISOString(),
      created_by: 'podling fromHost',
      comment,
    })),
  })
  const stored = layers.map((layer) => ({ ...layer, compression: 'none' as const }))
  return composeImage(store, document, stored, names, what)
}

async function storeLayer(
  layer: HostLayer,
  store: BlobStore,
  known: KnownLayers,
  signal: AbortSignal | undefined,
): Promise<KnownLayer> {
  throwIfAborted(what, signal)
  const before = known.get(layer.key)
  if (before !== undefined && (await store.has(before.digest))) return before
  const stored = await store.ingest(watched(layer.tar(), signal))
  await known.put(layer.key, stored)
  return stored
}

async function* watched(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    throwIfAborted(what, signal)
    yield chunk
  }
}
