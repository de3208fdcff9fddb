/** The public face of one image, and the record that it is made from. Pure. */
import { chainIds } from '../image/digest.js'
import { parseImageDocument, type HistoryEntry, type ImageConfig } from '../image/image-config.js'
import type { Platform } from '../image/platform.js'
import { imageSpace, type ImageSpace } from './image-space.js'

/** What the database keeps of an image. */
export interface ImageRecord {
  /** Digest of the config. */
  readonly id: string
  /** Digest of the manifest that it came by last. */
  readonly digest: string
  /** All digests that it can be asked for by: of manifests and of indexes over them. */
  readonly digests: readonly string[]
  /** Canonical names with tags. */
  readonly names: readonly string[]
  /** The config as it came. */
  readonly config: string
  readonly layers: readonly ImageLayer[]
  /** Blobs that go with it. */
  readonly blobs: readonly string[]
  /** The digest of an index over several platforms, all of whose blobs are among {@link blobs}. */
  readonly index?: string
  /** Who it is to the layers: holds the topmost. */
  readonly holder: string
}

/** One layer of an image. */
export interface ImageLayer {
  /** Of the blob, as it is packed. */
  readonly digest: string
  /** Of the unpacked tar. */
  readonly diffId: string
  /** Bytes of the blob. */
  readonly size: number
}

/** One step of how an image was made, with the layer that it made. */
export interface ImageHistoryEntry extends HistoryEntry {
  readonly layer?: ImageLayer
}

/**
 * An image, as it was when it was asked for; it does not change. Give it to `run({ image })`, or any of its names.
 */
export class Image {
  /** `sha256:<hex>`: the digest of its config, the same wherever it came from. */
  readonly id: string
  /** The digest of its manifest, as registries name it. */
  readonly digest: string
  /** All digests that it can be asked for by: of manifests and of indexes. */
  readonly digests: readonly string[]
  /** The digest of the index that is here with all its platforms; undefined when there is this platform alone. */
  readonly index: string | undefined
  /** Canonical names, such as `docker.io/library/debian:12`. None for an image whose names went to others. */
  readonly names: readonly string[]
  /** Bytes of its layers and config as they are stored, packed. Layers that images share count in each. */
  readonly size: number
  /** When it was made, by its own word. */
  readonly created: Date | undefined
  readonly platform: Platform
  /** What it says about its containers: `env`, `cmd`, `entrypoint`, `user`, ... */
  readonly config: ImageConfig
  /** Lowest first. */
  readonly layers: readonly ImageLayer[]
  /** The chain id of the topmost layer, which stands for the whole root file system; undefined for an empty image. */
  readonly chainId: string | undefined
  readonly #history: readonly HistoryEntry[]
  readonly #measure: () => ImageSpace
  #space: ImageSpace | undefined

  /** @internal @param measure what it takes up, beside the other images that are there */
  constructor(record: ImageRecord, measure: () => ImageSpace = () => imageSpace(record, [], () => undefined)) {
    const bytes = Buffer.from(record.config)
    const document = parseImageDocument(bytes, `image ${record.id}`)
    this.id = record.id
    this.digest = record.digest
    this.index = record.index
    this.digests = Object.freeze([...record.digests])
    this.names = Object.freeze([...record.names])
    this.layers = Object.freeze([...record.layers])
    this.size = record.layers.reduce((sum, { size }) => sum + size, bytes.byteLength)
    this.created = document.created
    this.platform = document.platform
    this.config = document.config
    this.chainId = chainIds(record.layers.map(({ diffId }) => diffId)).at(-1)
    this.#history = document.history
    this.#measure = measure
    Object.freeze(this)
  }

  /** What it takes up on disk, blobs and unpacked layers, and shares with other images: as it is at the first look. */
  get space(): ImageSpace {
    this.#space ??= this.#measure()
    return this.#space
  }

  /** How it was made, oldest step first. */
  get history(): readonly ImageHistoryEntry[] {
    let next = 0
    return this.#history.map((entry) => {
      const layer = entry.emptyLayer ? undefined : this.layers[next++]
      return { ...entry, ...(layer ? { layer } : {}) }
    })
  }
}
