/** The images of a runtime: the public face of pull, load, import and fromHost, and the records of what they brought. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import type { CommitContext } from '../image/commit.js'
import type { FromHostOptions } from '../image/from-host/options.js'
import { ImagePolicy } from '../image/policy/image-policy.js'
import { shortName } from '../image/reference.js'
import type { SaveDestination } from '../image/save.js'
import type { ArchiveSource } from '../image/source.js'
import { checkBlobs } from './check/check-blobs.js'
import { checkImages } from './check/check-images.js'
import { checkLayers, type LayerCheckParts } from './check/check-layers.js'
import type { CheckReport, Findings } from './check/report.js'
import { fileError } from './file-error.js'
import { HostImageMemory } from './host-image-memory.js'
import { ImageIndex } from './image-index.js'
import { nameIn, tagName } from './image-names.js'
import { ImageJournal, type Work } from './image-journal.js'
import { ImageLock } from './image-lock.js'
import {
  checkAuth,
  checkPushOptions,
  checkRemoveOptions,
  checkSaveOptions,
  type ImportOptions,
  type LoadOptions,
  type PullOptions,
  type PushOptions,
  type PushResult,
  type RemoveImageOptions,
  type SaveOptions,
} from './image-options.js'
import { pushRecord, saveRecords, type PublishParts } from './publish-image.js'
import { imageSpace } from './image-space.js'
import { Image, type ImageHistoryEntry, type ImageRecord } from './image.js'
import { verifyImage, verifyLayers } from './verify-image.js'
import { ImageIntake } from './image-intake.js'
import type { ImageEvent, ImagesParts, MountedImage } from './images-parts.js'

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
  readonly #intake: ImageIntake

  private constructor(parts: ImagesParts) {
    this.#parts = parts
    this.#index = new ImageIndex(parts.database)
    this.#policy = parts.policy ?? new ImagePolicy({})
    this.#hostImages = new HostImageMemory(parts)
    this.#journal = new ImageJournal({ ...parts, lock: new ImageLock(join(parts.directory, 'images.lock')) })
    this.#intake = new ImageIntake({
      parts,
      index: this.#index,
      journal: this.#journal,
      policy: this.#policy,
      hostImages: this.#hostImages,
      asImage: (record) => this.#image(record),
    })
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
    return this.#intake.pull(ref, options)
  }

  /** @internal Let go of the thread. */
  close(): Promise<void> {
    return this.#intake.close()
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
    return this.#intake.load(source, options)
  }

  /**
   * Load all images of an archive.
   * @throws {PodlingError} as {@link load}
   */
  async loadAll(source: ArchiveSource, options: Omit<LoadOptions, 'ref'> = {}): Promise<Image[]> {
    return this.#intake.loadAll(source, options)
  }

  /**
   * Make an image of one layer from the tar of a root file system, plain, gzip'd or zstd'd.
   * @throws {PodlingError} ARCHIVE_INVALID, INVALID_OPTION, INVALID_REFERENCE, LAYER_INVALID, LAYER_TOO_LARGE, DISK_FULL, ABORTED
   */
  async import(tar: ArchiveSource, options: ImportOptions = {}): Promise<Image> {
    return this.#intake.import(tar, options)
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
    return this.#intake.fromHost(options)
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
    return this.#intake.commit(id, layer, options)
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

  #emit(type: ImageEvent['type'], { id }: Pick<ImageRecord, 'id'>, names: readonly string[]): void {
    this.#parts.onEvent?.({ type, id, names })
  }
}

/** Synchronous work as a promise. */
function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work())
  })
}
