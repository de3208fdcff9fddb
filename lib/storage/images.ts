/** The images of a runtime: the public face of pull, load, import and fromHost, and the records of what they brought. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import { loadImages } from '../image/archive.js'
import type { LayerArrivals } from '../image/arrivals.js'
import { commitImage, type CommitContext } from '../image/commit.js'
import { hostImage, searchAlong } from '../image/from-host/host-image.js'
import type { FromHostOptions } from '../image/from-host/options.js'
import type { ProgramSearch } from '../image/from-host/programs.js'
import { storeHostImage } from '../image/from-host/store-host-image.js'
import { importTar } from '../image/import-tar.js'
import type { ImageParts, StoredLayer } from '../image/image-parts.js'
import { hostPlatform } from '../image/platform.js'
import { throwIfAborted } from '../image/progress.js'
import { pullImage } from '../image/pull.js'
import { ImagePolicy } from '../image/policy/image-policy.js'
import { shortName } from '../image/reference.js'
import type { SaveDestination } from '../image/save.js'
import type { ArchiveSource } from '../image/source.js'
import { checkBlobs } from './check/check-blobs.js'
import { checkImages } from './check/check-images.js'
import { checkLayers, type LayerCheckParts } from './check/check-layers.js'
import type { CheckReport, Findings } from './check/report.js'
import type { ContentStore } from './content.js'
import type { Database } from './database.js'
import { FetchThread } from './fetch-thread.js'
import { fileError } from './file-error.js'
import { HostImageMemory } from './host-image-memory.js'
import { ImageIndex } from './image-index.js'
import { nameIn, tagName } from './image-names.js'
import { ImageJournal, type Work } from './image-journal.js'
import { ImageLock } from './image-lock.js'
import {
  checkAuth,
  checkImportOptions,
  checkLoadOptions,
  checkPullOptions,
  checkPushOptions,
  checkRemoveOptions,
  checkSaveOptions,
  readPlatform,
  type ImportOptions,
  type LoadOptions,
  type BringOptions,
  type PullOptions,
  type PushOptions,
  type PushResult,
  type RemoveImageOptions,
  type SaveOptions,
} from './image-options.js'
import { compressionOf, ImageStore, type ImageLayers } from './image-store.js'
import { pullFrom } from './pull-from.js'
import { pushRecord, saveRecords, type PublishParts } from './publish-image.js'
import { registryOptions } from './registry-access.js'
import { imageSpace } from './image-space.js'
import { Image, type ImageHistoryEntry, type ImageRecord } from './image.js'
import type { LayerRules } from './layer-types.js'
import { verifyImage, verifyLayers } from './verify-image.js'

/** What happened to an image. */
export interface ImageEvent {
  readonly type: 'pulled' | 'loaded' | 'imported' | 'committed' | 'tagged' | 'untagged' | 'removed'
  readonly id: string
  /** The names that it was about. */
  readonly names: readonly string[]
}

export interface ImagesParts {
  /** Where the lock of image work stands; made when missing. */
  readonly directory: string
  readonly database: Database
  readonly content: ContentStore
  readonly layers: ImageLayers
  /** The containers that use an image, by name or id. Asked within a transaction, so it must not wait. @default none */
  readonly users?: (image: Image) => readonly string[]
  readonly onEvent?: (event: ImageEvent) => void
  /** How layers are taken. @default as the layers do */
  readonly rules?: LayerRules
  /** Where {@link Images.fromHost} looks for programs. @default the standard directories */
  readonly programs?: ProgramSearch
  /** Mounts the root that ends with this layer, for {@link Images.mount}. */
  readonly mount?: (
    chainId: string | undefined,
  ) => Promise<{ readonly pid: number; readonly close: () => Promise<void> }>
  /** Which images may come in, and from where. @default all, from where their names say */
  readonly policy?: ImagePolicy
  /** Where credentials are looked for. @default those of podman and docker */
  readonly authFiles?: readonly string[]
}

/** An image that is mounted. Disposing of it (`await using`) unmounts it. */
export interface MountedImage extends AsyncDisposable {
  /**
   * Where it is, for programs of this host that may look into other processes. An absolute symbolic link in it leads to
   * the host's own files, as it does in any directory.
   */
  readonly path: string
  /** Unmounts it. Twice is no error. */
  unmount(): Promise<void>
}

/** Add an image whose blobs are there, or arrive while it is added. */
type AddImage = (parts: ImageParts, signal: AbortSignal | undefined, layers?: LayerArrivals) => Promise<Image>

/**
 * The images that are here. All verbs are safe beside each other, in this process and in others on the same root: a
 * blob or layer that two want is fetched and unpacked once. A crash at any point leaves an image whole or not at all.
 */
export class Images {
  readonly #parts: ImagesParts
  readonly #index: ImageIndex
  readonly #journal: ImageJournal
  readonly #hostImages: HostImageMemory
  readonly #policy: ImagePolicy
  readonly #fetching: FetchThread

  private constructor(parts: ImagesParts) {
    this.#parts = parts
    this.#index = new ImageIndex(parts.database)
    this.#policy = parts.policy ?? new ImagePolicy({})
    this.#fetching = new FetchThread(parts.content)
    this.#hostImages = new HostImageMemory(parts)
    this.#journal = new ImageJournal({ ...parts, lock: new ImageLock(join(parts.directory, 'images.lock')) })
  }

  /** @internal Also makes good what a crash left behind. */
  static async open(parts: ImagesParts): Promise<Images> {
    try {
      mkdirSync(parts.directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, `make the directory ${parts.directory}`)
    }
    const images = new Images(parts)
    await images.#journal.sweep()
    return images
  }

  /**
   * Get an image from its registry, or see that it is the newest there. Blobs that are here are not fetched again. By the
   * machine's rules (`RuntimeOptions.imagePolicy`) it may come from a mirror, or be refused.
   * @param ref such as `debian:12`, `localhost:5000/app` or `ghcr.io/org/app@sha256:...`
   * @throws {PodlingError} INVALID_REFERENCE, INVALID_OPTION, IMAGE_NOT_FOUND, PLATFORM_NOT_FOUND, MEDIA_TYPE_UNSUPPORTED,
   * IMAGE_FORBIDDEN, POLICY_INVALID, IMAGE_INVALID, DIGEST_MISMATCH, SIZE_MISMATCH, LAYER_INVALID, LAYER_TOO_LARGE, CREDENTIALS_INVALID,
   * REGISTRY_UNREACHABLE, REGISTRY_UNAUTHORIZED, REGISTRY_RATE_LIMITED, REGISTRY_FAILED, DISK_FULL, ABORTED
   */
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
      const fetcher = this.#fetching.open(registry, await registryOptions(registry, access, authFiles))
      try {
        const context = { fetcher, store, platform, allPlatforms, onProgress, signal, name }
        return await this.#work('pulled', options, (add) =>
          pullImage(source.reference, context, (parts, layers, ending) => add(parts, ending, layers)),
        )
      } finally {
        fetcher.close()
      }
    })
  }

  /** @internal Let go of the thread. */
  close(): Promise<void> {
    return this.#fetching.close()
  }

  /**
   * Push an image to its registry, byte for byte as it came: with all platforms, where they are here. Blobs that the
   * registry has are not sent, and those of another of its repositories are mounted.
   * @param image a name, an id or a digest
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE, INVALID_OPTION, PLATFORM_NOT_FOUND, BLOB_NOT_FOUND,
   * DIGEST_MISMATCH and SIZE_MISMATCH (a blob is damaged on disk), CREDENTIALS_INVALID, REGISTRY_UNREACHABLE,
   * REGISTRY_UNAUTHORIZED, REGISTRY_RATE_LIMITED, REGISTRY_FAILED, ABORTED
   */
  async push(image: Image | string, options: PushOptions = {}): Promise<PushResult> {
    checkPushOptions(options)
    checkAuth(options.auth)
    // As a work, so that nobody sweeps the blobs that are on their way.
    return this.#journal.run(options.signal, async () => {
      const record = this.#find(image)
      const name = typeof image === 'string' ? nameIn(record, image) : undefined
      return pushRecord(record, name, options, this.#publishParts)
    })
  }

  /**
   * Save images, one or several, so that `load`, Podman, Docker and skopeo can load them. A file gets its name when it is
   * whole, and then takes the place of one that had it.
   * @param images by a name: that name alone goes along; by `Image` or id: all names
   * @param destination a path, or a stream, which is ended
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE, INVALID_OPTION, PLATFORM_NOT_FOUND, BLOB_NOT_FOUND,
   * DIGEST_MISMATCH and SIZE_MISMATCH (a blob is damaged on disk), DISK_FULL, PERMISSION_DENIED, ABORTED
   */
  async save(
    images: Image | string | readonly (Image | string)[],
    destination: SaveDestination,
    options: SaveOptions = {},
  ): Promise<void> {
    checkSaveOptions(options)
    const wanted = Array.isArray(images) ? (images as readonly (Image | string)[]) : [images as Image | string]
    if (wanted.length === 0) throw new PodlingError('INVALID_OPTION', 'save: there is no image to save')
    await this.#journal.run(options.signal, async () => {
      const records = wanted.map((image) => {
        const record = this.#find(image)
        const name = typeof image === 'string' ? nameIn(record, image) : undefined
        return { record, names: name === undefined ? record.names : [name] }
      })
      await saveRecords(records, destination, options, this.#publishParts)
    })
  }

  /**
   * Load an image from an oci-archive, a docker-archive (`podman save`, `docker save`), gzip'd or not, or a directory
   * with an OCI layout.
   * @throws {PodlingError} ARCHIVE_INVALID, INVALID_OPTION when it holds several and `ref` chooses none, IMAGE_INVALID,
   * DIGEST_MISMATCH, SIZE_MISMATCH, PLATFORM_NOT_FOUND, MEDIA_TYPE_UNSUPPORTED, LAYER_INVALID, LAYER_TOO_LARGE, DISK_FULL, ABORTED
   */
  async load(source: ArchiveSource, options: LoadOptions = {}): Promise<Image> {
    checkLoadOptions(options)
    const name = options.ref === undefined ? undefined : tagName(options.ref)
    return first(await this.#load(source, options, (found) => [choose(found, name)]))
  }

  /**
   * Load all images of an archive.
   * @throws {PodlingError} as {@link load}
   */
  async loadAll(source: ArchiveSource, options: Omit<LoadOptions, 'ref'> = {}): Promise<Image[]> {
    checkLoadOptions(options)
    return this.#load(source, options, (found) => found)
  }

  /**
   * Make an image of one layer from the tar of a root file system, plain, gzip'd or zstd'd.
   * @throws {PodlingError} ARCHIVE_INVALID, INVALID_OPTION, INVALID_REFERENCE, LAYER_INVALID, LAYER_TOO_LARGE, DISK_FULL, ABORTED
   */
  async import(tar: ArchiveSource, options: ImportOptions = {}): Promise<Image> {
    checkImportOptions(options)
    const names = options.ref === undefined ? [] : [tagName(options.ref)]
    const platform = readPlatform(options.platform) ?? hostPlatform()
    const { config, created, signal } = options
    const { content: store, rules } = this.#parts
    const context = { store, names, platform, config, created, signal, maxBytes: rules?.maxBytes }
    return first(await this.#bring('imported', options, async () => [await importTar(tar, context)]))
  }

  /**
   * Make an image out of programs of this host, with the loader, the libraries and the files that they need. Making one
   * again that is here already copies nothing.
   * @example
   * await images.fromHost({ binaries: ['node'], files: [{ from: 'server.js', to: '/app/server.js' }] })
   * @throws {PodlingError} HOST_PROGRAM_NOT_FOUND, HOST_PROGRAM_INVALID, HOST_LIBRARY_NOT_FOUND, HOST_FILE_NOT_FOUND,
   * HOST_FILE_CHANGED, ELF_INVALID, PERMISSION_DENIED, INVALID_OPTION, INVALID_REFERENCE, DISK_FULL, ABORTED
   */
  async fromHost(options: FromHostOptions = {}): Promise<Image> {
    throwIfAborted('make an image of this host', options.signal)
    const { programs = searchAlong(standardPath), content: store } = this.#parts
    const names = options.ref === undefined ? [] : [tagName(options.ref)]
    const image = await hostImage(options, programs)
    const known = this.#index.byId(this.#hostImages.idOf(image.key) ?? '')
    if (known && names.every((name) => known.names.includes(name))) return this.#image(known)
    const context = { store, known: this.#hostImages.layers, names, signal: options.signal }
    const made = await this.#bring('imported', options, async () => [await storeHostImage(image, context)])
    await this.#hostImages.remember(image.key, first(made).id)
    return first(made)
  }

  /**
   * Mount an image, read-only, so that programs of the host can look into it; nobody else sees the mount, and nothing of
   * it is left when this process ends, however it does.
   * @example
   * await using root = await images.mount('debian:12')
   * console.log(await readFile(`${root.path}/etc/os-release`, 'utf8'))
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE, DIGEST_MISMATCH (it was changed on disk)
   */
  async mount(image: Image | string): Promise<MountedImage> {
    const { mount } = this.#parts
    const whole = this.#image(this.#find(image))
    if (mount === undefined) throw new PodlingError('INVALID_STATE', 'mount an image: nobody is here to do it')
    await this.verify(whole.id, whole.chainId)
    const { pid, close } = await mount(whole.chainId)
    return { path: `/proc/${String(pid)}/root`, unmount: close, [Symbol.asyncDispose]: close }
  }

  /** @internal Put a layer over an image: {@link Container.commit}. */
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

  /**
   * The image of a name, an id, the beginning of an id, a digest, or `name@digest`.
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE
   */
  async get(ref: string): Promise<Image> {
    try {
      return this.#image(this.#index.find(ref))
    } catch (error) {
      const record = await this.#byShortName(ref, error)
      if (record === undefined) throw error
      return this.#image(record)
    }
  }

  /** What a short name was pulled as, where the machine's rules say that it means something of their own. */
  async #byShortName(ref: string, error: unknown): Promise<ImageRecord | undefined> {
    if (!(error instanceof PodlingError) || error.code !== 'IMAGE_NOT_FOUND' || shortName(ref) === undefined)
      return undefined
    const names = await this.#policy.names(ref).catch((): string[] => [])
    return this.#index.list().find((record) => record.names.some((name) => names.includes(name)))
  }

  /** All images, the newest first. */
  list(): Promise<Image[]> {
    return attempt(() => {
      const images = this.#index.list().map((record) => this.#image(record))
      return images.sort((a, b) => (b.created?.getTime() ?? 0) - (a.created?.getTime() ?? 0))
    })
  }

  /**
   * Give an image one more name. Another image that had it loses it.
   * @returns the image with its new names
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE
   */
  async tag(image: Image | string, ref: string): Promise<Image> {
    const name = tagName(ref)
    const record = await this.#parts.database.transaction(() => {
      const found = this.#find(image)
      const tagged = { ...found, names: [...new Set([...found.names, name])] }
      this.#index.put(tagged)
      return tagged
    })
    this.#emit('tagged', record, [name])
    return this.#image(record)
  }

  /**
   * Remove an image; by one name of several, that name alone. Layers that other images or containers need stay.
   * @throws {PodlingError} IMAGE_NOT_FOUND, IMAGE_IN_USE unless `force`
   */
  async remove(image: Image | string, options: RemoveImageOptions = {}): Promise<void> {
    checkRemoveOptions(options)
    await this.#journal.run(undefined, async (work) => {
      const events = await this.#parts.database.transaction(() => this.#remove(image, options.force ?? false, work))
      for (const { type, record, names } of events) this.#emit(type, record, names)
    })
  }

  /**
   * How an image was made, oldest step first, with the layer that each step made.
   * @throws {PodlingError} IMAGE_NOT_FOUND, INVALID_REFERENCE
   */
  async history(image: Image | string): Promise<readonly ImageHistoryEntry[]> {
    return (typeof image === 'string' ? await this.get(image) : image).history
  }

  /**
   * @internal See that what containers of an image stand on is as it came: {@link verifyImage}.
   * @throws {PodlingError} DIGEST_MISMATCH
   */
  async verify(id: string, chainId: string | undefined): Promise<void> {
    const record = this.#index.byId(id)
    if (record !== undefined) return verifyImage(record, chainId, this.#parts)
    // The image was removed by force; its layers are there for as long as containers are.
    if (chainId !== undefined) await verifyLayers(chainId, id, this.#parts.layers)
  }

  /** @internal Check the images, their blobs and their layers: {@link Runtime.check}. */
  async check(
    parts: Pick<LayerCheckParts, 'layers' | 'openCopier' | 'isThere'>,
    findings: Findings,
  ): Promise<CheckReport['checked']> {
    const { content, database } = this.#parts
    // Nobody brings or removes an image meanwhile: what is half done looks like damage.
    return this.#journal.alone(findings.signal, async () => {
      const records = await checkImages({ database, index: this.#index, layers: parts.layers }, findings)
      const { sound, count, bytes } = await checkBlobs(content, records, findings)
      const holders = new Set(records.map(({ holder }) => holder))
      const isThere = (holder: string): boolean => holders.has(holder) || parts.isThere(holder)
      const layers = await checkLayers(records, { ...parts, content, sound, isThere }, findings)
      return { blobs: count, layers, images: records.length, bytes }
    })
  }

  #remove(
    image: Image | string,
    force: boolean,
    work: Work,
  ): { type: 'untagged' | 'removed'; record: ImageRecord; names: readonly string[] }[] {
    const record = this.#find(image)
    const name = typeof image === 'string' ? nameIn(record, image) : undefined
    if (name !== undefined && record.names.length > 1) {
      this.#index.removeName(record, name)
      return [{ type: 'untagged', record, names: [name] }]
    }
    const whole = this.#image(record)
    const users = force ? [] : (this.#parts.users?.(whole) ?? [])
    if (users.length > 0) {
      throw new PodlingError(
        'IMAGE_IN_USE',
        `remove image ${record.names[0] ?? record.id}: used by ${users.slice(0, 5).join(', ')}` +
          `${users.length > 5 ? ` and ${String(users.length - 5)} more` : ''}; remove them first, or pass force: true`,
      )
    }
    this.#index.remove(record)
    this.#hostImages.forget(record.id)
    if (whole.chainId !== undefined) void work.giveBack([{ chainId: whole.chainId, holder: record.holder }])
    void work.wantSweep()
    return [{ type: 'removed', record, names: record.names }]
  }

  #image(record: ImageRecord): Image {
    const { layers } = this.#parts
    return new Image(record, () => imageSpace(record, this.#index.list(), (chainId) => layers.get?.(chainId)?.size))
  }

  get #publishParts(): PublishParts {
    const { content, authFiles, layers } = this.#parts
    return {
      content,
      index: this.#index,
      authFiles,
      policy: this.#policy,
      plainSize: (chainId) => layers.get?.(chainId)?.size,
    }
  }

  #find(image: Image | string): ImageRecord {
    return this.#index.find(typeof image === 'string' ? image : image.id)
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
  ): Promise<T> {
    return this.#journal.run(signal, async (work) => {
      const store = new ImageStore({ ...this.#parts, index: this.#index, work, onProgress })
      return bring(async (parts, ending, layers) => {
        const record = await store.add(parts, ending, layers)
        this.#emit(type, record, parts.names)
        return this.#image(record)
      })
    })
  }

  #emit(type: ImageEvent['type'], { id }: Pick<ImageRecord, 'id'>, names: readonly string[]): void {
    this.#parts.onEvent?.({ type, id, names })
  }
}

const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function first([image]: readonly Image[]): Image {
  return image!
}

/** Synchronous work as a promise. */
function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work())
  })
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
