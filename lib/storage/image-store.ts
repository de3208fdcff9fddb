/** An image whose blobs are in the store becomes one that containers can be made from. */
import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { PodlingError } from '../errors.js'
import { allArrived, type LayerArrivals } from '../image/arrivals.js'
import { verifyBlob } from '../image/blob-bytes.js'
import { chainIds } from '../image/digest.js'
import { storedCompression } from '../image/docker-archive.js'
import type { ImageParts } from '../image/image-parts.js'
import type { LayerDescriptor } from '../image/manifest.js'
import type { OnProgress } from '../image/progress.js'
import { BlobLost } from './blob-bytes.js'
import type { ContentStore } from './content.js'
import type { Database } from './database.js'
import type { ImageIndex } from './image-index.js'
import type { LayerReference, LayerReferences, Work } from './image-journal.js'
import type { ImageRecord } from './image.js'
import { aborted } from './lock.js'
import type { ChangedLayer } from './layer-files.js'
import type { ApplyOptions, LayerCompression, LayerRules, LayerSource } from './layer-types.js'

/** What images need of the layers. */
export interface ImageLayers extends LayerReferences {
  apply(layer: LayerSource, options?: ApplyOptions): Promise<string>
  /** What is known of a layer: bytes of its tar, uncompressed. */
  get?(chainId: string): { readonly size: number } | undefined
  /** What has changed on disk of a layer and those below it, as far as that shows. */
  changed?(chainId: string): Promise<ChangedLayer | undefined>
}

export interface ImageStoreParts {
  readonly database: Database
  readonly content: ContentStore
  readonly layers: ImageLayers
  readonly index: ImageIndex
  readonly work: Work
  readonly rules?: LayerRules
  readonly onProgress?: OnProgress | undefined
}

export class ImageStore {
  readonly #parts: ImageStoreParts
  /** References of this work, to be given back at its end. */
  #references: LayerReference[] = []

  constructor(parts: ImageStoreParts) {
    this.#parts = parts
  }

  /**
   * Unpack the layers, beside each other, and put the record. Every layer is held by the work while it goes on; the image
   * keeps the topmost, which keeps those below.
   * @param arrivals tells of layers that are still on their way. @default all are in the store
   */
  async add(
    parts: ImageParts,
    signal: AbortSignal | undefined,
    arrivals: LayerArrivals = allArrived,
  ): Promise<ImageRecord> {
    const { database, content, work } = this.#parts
    const { manifest, document } = parts
    const holder = `image:${randomUUID()}`
    const chain = chainIds(document.diffIds)
    this.#references.push(...chain.map((chainId) => ({ chainId, holder })))
    await work.giveBack(this.#references)
    const ending = new AbortController()
    const joined = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal])
    // Each layer listens to it.
    setMaxListeners(0, joined)
    const failures: unknown[] = []
    const applied: Promise<void>[] = []
    for (const [position, layer] of manifest.layers.entries()) {
      const parent = chain[position - 1]
      const source = { diffId: document.diffIds[position]!, ...(parent === undefined ? {} : { parent }) }
      const context = { holder, below: applied.at(-1), arrivals, signal: joined }
      const one = this.#apply(layer, source, context).catch((error: unknown) => {
        failures.push(error)
        ending.abort(error)
        throw error
      })
      applied.push(one)
    }
    await Promise.allSettled(applied)
    if (failures.length > 0) throw failures[0]
    const config = (await content.read(manifest.config.digest)).toString()
    return database.transaction(() => this.#put(parts, config, holder, chain.at(-1)))
  }

  async #apply(
    { digest, size }: LayerDescriptor,
    layer: Pick<LayerSource, 'diffId' | 'parent'>,
    { holder, below, arrivals, signal }: ApplyContext,
  ): Promise<void> {
    const { content, layers, onProgress, rules } = this.#parts
    const arrived = (): Promise<void> => unlessAborted(arrivals.wait(digest), signal)
    const apply = (blob: LayerSource['blob']): Promise<string> =>
      layers.apply(
        { ...layer, blob },
        {
          holder,
          signal,
          ...(rules === undefined ? {} : { limits: rules, absoluteNames: rules.absoluteNames ?? 'strip' }),
          // Nothing becomes known that has not been verified.
          ready: () => Promise.all([arrived(), below]),
          onProgress({ bytes, total }) {
            onProgress?.({ digest, kind: 'layer', phase: 'unpack', current: bytes, total })
          },
        },
      )
    const arriving = await unlessAborted(arrivals.begun(digest), signal)
    try {
      await apply(arriving ?? content.path(digest))
    } catch (error) {
      if (!mayBeOfBadBytes(error)) throw error
      if (arriving === undefined) throw await this.#afterDamage(digest, size, error)
      // Of bytes that are not those of its digest the layer is innocent: that is what is told then.
      await arrived()
      // They are right now, and were not, if what an earlier pull had left turned out to be damaged.
      if (!arriving.growth.lost) throw error
      await apply(content.path(digest))
    }
    onProgress?.({ digest, kind: 'layer', phase: 'unpacked', current: size, total: size })
  }

  /** A blob that was here before may have changed on disk since: then it goes, so that the next try gets it anew. */
  async #afterDamage(digest: string, size: number, error: unknown): Promise<unknown> {
    const { content } = this.#parts
    try {
      await verifyBlob(content, { digest, size })
      return error
    } catch (damage) {
      if (!(damage instanceof PodlingError)) return error
      await content.remove(digest)
      return new PodlingError(
        'DIGEST_MISMATCH',
        `layer ${digest}: its blob was damaged on disk, and is removed now; pull or load the image again`,
        { cause: new AggregateError([damage, error]) },
      )
    }
  }

  /** Within a transaction. */
  #put(parts: ImageParts, config: string, holder: string, top: string | undefined): ImageRecord {
    const { content, index, work } = this.#parts
    const { manifest, document, digest, indexes, whole } = parts
    const id = manifest.config.digest
    const known = index.byId(id)
    const digests = [digest, ...indexes]
    const wholeIndex = whole?.index ?? known?.index
    const record: ImageRecord = {
      id,
      digest,
      digests: unique([...digests, ...(known?.digests ?? [])]),
      names: unique([...(known?.names ?? []), ...parts.names]),
      config,
      layers: manifest.layers.map((layer, position) => {
        return { digest: layer.digest, size: layer.size, diffId: document.diffIds[position]! }
      }),
      blobs: unique([
        ...digests,
        id,
        ...manifest.layers.map((layer) => layer.digest),
        ...(whole?.blobs ?? []),
        ...(known?.blobs ?? []),
      ]),
      ...(wholeIndex === undefined ? {} : { index: wholeIndex }),
      holder: known?.holder ?? holder,
    }
    index.put(record)
    content.saveStamps(record.blobs)
    if (!known) {
      this.#references = this.#references.filter((one) => one.holder !== holder || one.chainId !== top)
      void work.giveBack(this.#references)
    }
    return record
  }
}

interface ApplyContext {
  readonly holder: string
  /** Settles when the layer below is applied. */
  readonly below: Promise<void> | undefined
  readonly arrivals: LayerArrivals
  readonly signal: AbortSignal
}

/** What is awaited, or the failure of another layer: this one may be on its way for long. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const give = (): void => {
      reject(aborted(signal))
    }
    if (signal.aborted) give()
    signal.addEventListener('abort', give, { once: true })
    void promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', give)
    })
  })
}

function mayBeOfBadBytes(error: unknown): boolean {
  if (error instanceof BlobLost) return true
  return (
    error instanceof PodlingError && ['LAYER_INVALID', 'DIGEST_MISMATCH', 'MEDIA_TYPE_UNSUPPORTED'].includes(error.code)
  )
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)]
}

/** The bytes tell, not the media type: there are registries full of layers that are marked wrongly. */
export async function compressionOf(content: ContentStore, digest: string): Promise<LayerCompression> {
  const compression = await storedCompression(content, digest)
  if (compression !== 'xz' && compression !== 'bzip2') return compression
  throw new PodlingError(
    'MEDIA_TYPE_UNSUPPORTED',
    `layer ${digest}: is packed with ${compression}, which no image may be`,
  )
}
