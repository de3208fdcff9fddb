/** The ways by which images come in: what they bring is noted, stored, unpacked, and put as a record, all or nothing. */
import { PodlingError } from '../errors.js'
import { loadImages } from '../image/archive.js'
import type { LayerArrivals } from '../image/arrivals.js'
import { commitImage, type CommitContext } from '../image/commit.js'
import { hostImage, searchAlong } from '../image/from-host/host-image.js'
import type { FromHostOptions } from '../image/from-host/options.js'
import { storeHostImage } from '../image/from-host/store-host-image.js'
import { importTar } from '../image/import-tar.js'
import type { ImageParts, StoredLayer } from '../image/image-parts.js'
import { hostPlatform } from '../image/platform.js'
import { throwIfAborted } from '../image/progress.js'
import { pullImage } from '../image/pull.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import type { ArchiveSource } from '../image/source.js'
import { FetchThread } from './fetch-thread.js'
import type { HostImageMemory } from './host-image-memory.js'
import type { ImageIndex } from './image-index.js'
import { tagName } from './image-names.js'
import type { ImageJournal } from './image-journal.js'
import {
  checkAuth,
  checkImportOptions,
  checkLoadOptions,
  checkPullOptions,
  readPlatform,
  type ImportOptions,
  type LoadOptions,
  type BringOptions,
  type PullOptions,
} from './image-options.js'
import { compressionOf, ImageStore } from './image-store.js'
import { pullFrom } from './pull-from.js'
import { registryOptions } from './registry-access.js'
import type { Image, ImageRecord } from './image.js'
import type { ImageEvent, ImagesParts } from './images-parts.js'
import { standardPath } from '../sys/standard-path.js'

/** Add an image whose blobs are there, or arrive while it is added. */
type AddImage = (parts: ImageParts, signal: AbortSignal | undefined, layers?: LayerArrivals) => Promise<Image>

export interface IntakeParts {
  readonly parts: ImagesParts
  readonly index: ImageIndex
  readonly journal: ImageJournal
  readonly policy: ImagePolicy
  readonly hostImages: HostImageMemory
  readonly asImage: (record: ImageRecord) => Image
}

/** Each verb is that of {@link Images}, and documented there. */
export class ImageIntake {
  readonly #parts: ImagesParts
  readonly #index: ImageIndex
  readonly #journal: ImageJournal
  readonly #policy: ImagePolicy
  readonly #hostImages: HostImageMemory
  readonly #asImage: (record: ImageRecord) => Image
  readonly #fetching: FetchThread

  constructor({ parts, index, journal, policy, hostImages, asImage }: IntakeParts) {
    this.#parts = parts
    this.#index = index
    this.#journal = journal
    this.#policy = policy
    this.#hostImages = hostImages
    this.#asImage = asImage
    this.#fetching = new FetchThread(parts.content)
  }

  async pull(ref: string, options: PullOptions = {}): Promise<Image> {
    checkPullOptions(options)
    checkAuth(options.auth)
    const platform = readPlatform(options.platform)
    const { signal, onProgress, allPlatforms } = options
    const { content: store, authFiles } = this.#parts
    return pullFrom(ref, this.#policy, async (source, name) => {
      const { registry } = source.reference
      // What the caller says is about the registry that the name names, and no mirror's business.
      const insecure = source.isMirror ? source.insecure : (options.insecure ?? source.insecure)
      const access = source.isMirror ? { insecure, signal } : { insecure, signal, auth: options.auth }
      const fetcher = this.#fetching.open(registry, await registryOptions(registry, access, this.#policy, authFiles))
      try {
        const context = { fetcher, store, platform, allPlatforms, onProgress, signal, name }
        return await this.#work(
          'pulled',
          options,
          (add) => pullImage(source.reference, context, (parts, layers, ending) => add(parts, ending, layers)),
          true,
        )
      } finally {
        fetcher.close()
      }
    })
  }

  async load(source: ArchiveSource, options: LoadOptions = {}): Promise<Image> {
    checkLoadOptions(options)
    const name = options.ref === undefined ? undefined : tagName(options.ref)
    return first(await this.#load(source, options, (found) => [choose(found, name)]))
  }

  async loadAll(source: ArchiveSource, options: Omit<LoadOptions, 'ref'> = {}): Promise<Image[]> {
    checkLoadOptions(options)
    return this.#load(source, options, (found) => found)
  }

  async import(tar: ArchiveSource, options: ImportOptions = {}): Promise<Image> {
    checkImportOptions(options)
    const names = options.ref === undefined ? [] : [tagName(options.ref)]
    const platform = readPlatform(options.platform) ?? hostPlatform()
    const { config, created, signal } = options
    const { content: store, rules } = this.#parts
    const context = { store, names, platform, config, created, signal, maxBytes: rules?.maxBytes }
    return first(await this.#bring('imported', options, async () => [await importTar(tar, context)]))
  }

  async fromHost(options: FromHostOptions = {}): Promise<Image> {
    throwIfAborted('make an image of this host', options.signal)
    const { programs = searchAlong(standardPath), content: store } = this.#parts
    const names = options.ref === undefined ? [] : [tagName(options.ref)]
    const image = await hostImage(options, programs)
    const known = this.#index.byId(this.#hostImages.idOf(image.key) ?? '')
    if (known && names.every((name) => known.names.includes(name))) return this.#asImage(known)
    const context = { store, known: this.#hostImages.layers, names, signal: options.signal }
    const made = await this.#bring('imported', options, async () => [await storeHostImage(image, context)])
    await this.#hostImages.remember(image.key, first(made).id)
    return first(made)
  }

  async commit(
    id: string,
    layer: AsyncIterable<Uint8Array>,
    options: Omit<CommitContext, 'store' | 'names'> & { readonly ref?: string },
  ): Promise<Image> {
    const { ref, ...rest } = options
    const names = ref === undefined ? [] : [tagName(ref)]
    const { content: store } = this.#parts
    return first(
      await this.#bring('committed', rest.signal ? { signal: rest.signal } : {}, async () => {
        const record = this.#index.byId(id)
        if (record === undefined) {
          throw new PodlingError(
            'IMAGE_NOT_FOUND',
            `commit: the image ${id} of the container was removed; use export()`,
          )
        }
        const layers: StoredLayer[] = []
        for (const { digest, size } of record.layers)
          layers.push({ digest, size, compression: await compressionOf(store, digest) })
        return [await commitImage({ config: record.config, layers }, layer, { ...rest, store, names })]
      }),
    )
  }

  /** Let go of the thread. */
  close(): Promise<void> {
    return this.#fetching.close()
  }

  async #load(
    source: ArchiveSource,
    options: LoadOptions,
    select: (found: ImageParts[]) => ImageParts[],
  ): Promise<Image[]> {
    const platform = readPlatform(options.platform)
    const { signal, onProgress, allPlatforms } = options
    const { content: store, rules } = this.#parts
    const admit = (transport: 'docker-archive' | 'oci-archive' | 'oci'): Promise<void> =>
      this.#policy.forLoad(transport, typeof source === 'string' ? source : undefined)
    const context = { store, admit, platform, allPlatforms, onProgress, signal, maxBytes: rules?.maxBytes }
    return this.#bring('loaded', options, async () => select(await loadImages(source, context)))
  }

  /** Fetch images whole, then add them. */
  async #bring(
    type: ImageEvent['type'],
    options: Pick<BringOptions, 'signal' | 'onProgress'>,
    fetch: () => Promise<readonly ImageParts[]>,
  ): Promise<Image[]> {
    return this.#work(type, options, async (add) => {
      const images: Image[] = []
      for (const parts of await fetch()) images.push(await add(parts, options.signal))
      return images
    })
  }

  /** The one way in: blobs come, layers are unpacked, and each record is put in one transaction. */
  async #work<T>(
    type: ImageEvent['type'],
    { signal, onProgress }: Pick<BringOptions, 'signal' | 'onProgress'>,
    bring: (add: AddImage) => Promise<T>,
    download = false,
  ): Promise<T> {
    return this.#journal.run(
      signal,
      async (work) => {
        const store = new ImageStore({ ...this.#parts, index: this.#index, work, onProgress })
        return bring(async (parts, ending, layers) => {
          const record = await store.add(parts, ending, layers)
          this.#parts.onEvent?.({ type, id: record.id, names: parts.names })
          return this.#asImage(record)
        })
      },
      download,
    )
  }
}

function first([image]: readonly Image[]): Image {
  return image!
}

/** The one image that is asked for. An only one gets the name. */
function choose(found: readonly ImageParts[], name: string | undefined): ImageParts {
  const [only, ...others] = found
  if (only && others.length === 0)
    return name === undefined ? only : { ...only, names: [...new Set([...only.names, name])] }
  const named = name === undefined ? undefined : found.find(({ names }) => names.includes(name))
  if (named) return named
  const names = found.map((image) => image.names[0] ?? image.digest).join(', ')
  throw new PodlingError(
    'INVALID_OPTION',
    name === undefined
      ? `ref: the archive holds ${String(found.length)} images: ${names}; say which, or use loadAll()`
      : `ref: the archive does not hold ${name}, but ${names}`,
  )
}
