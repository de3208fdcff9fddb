/** An image whose blobs are in the store becomes one that containers can be made from. */
import { randomUUID } from 'node:crypto'
import { PodlingError } from '../errors.js'
import { chainIds } from '../image/digest.js'
import { storedCompression } from '../image/docker-archive.js'
import type { ImageParts } from '../image/image-parts.js'
import type { LayerDescriptor } from '../image/manifest.js'
import type { OnProgress } from '../image/progress.js'
import type { ContentStore } from './content.js'
import type { Database } from './database.js'
import type { ImageIndex } from './image-index.js'
import type { LayerReference, LayerReferences, Work } from './image-journal.js'
import type { ImageRecord } from './image.js'
import type { ApplyOptions, LayerCompression, LayerRules, LayerSource } from './layer-types.js'

/** What images need of the layers. */
export interface ImageLayers extends LayerReferences {
  apply(layer: LayerSource, options?: ApplyOptions): Promise<string>
  /** What is known of a layer: bytes of its tar, uncompressed. */
  get?(chainId: string): { readonly size: number } | undefined
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
   * Unpack the layers and put the record. Every layer is held by the work while it goes on; the image keeps the
   * topmost, which keeps those below.
   * @param arrived resolves when a layer's blob is there, for layers that are still on their way
   */
  async add(
    parts: ImageParts,
    signal: AbortSignal | undefined,
    arrived: (digest: string) => Promise<void> = () => Promise.resolve(),
  ): Promise<ImageRecord> {
    const { database, content, work } = this.#parts
    const { manifest, document } = parts
    const holder = `image:${randomUUID()}`
    const chain = chainIds(document.diffIds)
    this.#references.push(...chain.map((chainId) => ({ chainId, holder })))
    await work.giveBack(this.#references)
    for (const [position, layer] of manifest.layers.entries()) {
      await arrived(layer.digest)
      await this.#apply(layer, document.diffIds[position]!, chain[position - 1], holder, signal)
    }
    const config = (await content.read(manifest.config.digest)).toString()
    return database.transaction(() => this.#put(parts, config, holder, chain.at(-1)))
  }

  async #apply(
    layer: LayerDescriptor,
    diffId: string,
    parent: string | undefined,
    holder: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { content, layers, onProgress, rules } = this.#parts
    const { digest, size } = layer
    const compression = await compressionOf(content, digest)
    const source = { diffId, blob: content.path(digest), compression, ...(parent === undefined ? {} : { parent }) }
    await layers.apply(source, {
      holder,
      ...(signal ? { signal } : {}),
      ...(rules === undefined ? {} : { limits: rules, absoluteNames: rules.absoluteNames ?? 'strip' }),
      onProgress: ({ bytes, total }) => onProgress?.({ digest, kind: 'layer', phase: 'unpack', current: bytes, total }),
    })
    onProgress?.({ digest, kind: 'layer', phase: 'unpacked', current: size, total: size })
  }

  /** Within a transaction. */
  #put(parts: ImageParts, config: string, holder: string, top: string | undefined): ImageRecord {
    const { index, work } = this.#parts
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
    if (!known) {
      this.#references = this.#references.filter((one) => one.holder !== holder || one.chainId !== top)
      void work.giveBack(this.#references)
    }
    return record
  }
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
