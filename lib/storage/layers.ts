/**
 * Layers, each in `<hex of the chain id>/`, in the format that the storage driver works with (layer-format.ts).
 *
 * A layer is made in `tmp/<hex>` and gets its name when it is whole and synced; it is known when its record is in the
 * database. All that is done to a layer, or to what is left of it, is done under the lock `tmp/<hex>.lock`, so that
 * processes do it once, and what is found in `tmp/` with its lock free is a dead process's.
 *
 * A layer stays as long as somebody holds a reference: an image, a container, or the layer above it.
 */
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import { BlobLost } from './blob-bytes.js'
import { digestHex, isDigest, sha256 } from '../image/digest.js'
import type { Database } from './database.js'
import { fileError } from './file-error.js'
import { lookAgain, looksSame, type ChangedLayer } from './layer-files.js'
import { directoryFormat, type LayerFormat } from './layer-format.js'
import { LayerRecords, type LayerRecord } from './layer-records.js'
import type { ApplyOptions, LayerSource, OpenUnpacker, RootAttributes } from './layer-types.js'
import { lockFile, tryLockFile } from './lock.js'
import { removeTrees } from './remove-tree.js'
import { fullRights, type StorageRights } from './rights.js'
import { spreadDirectories } from './spread.js'
import type { UnpackResult } from './unpack-blob.js'
import { UnpackThreads } from './unpack-thread.js'
import { syncPath } from '../sys/sync-path.js'

const defaultRoot: RootAttributes = { uid: 0, gid: 0, mode: 0o755 }

const defaultMaxBytes = 64 * 1024 ** 3
const defaultMaxEntries = 10_000_000

export class Layers {
  readonly #directory: string
  readonly #temporary: string
  readonly #records: LayerRecords
  readonly #openUnpacker: OpenUnpacker
  readonly #format: LayerFormat
  readonly #rights: StorageRights
  readonly #threads = new UnpackThreads()

  private constructor(
    directory: string,
    database: Database,
    openUnpacker: OpenUnpacker,
    format: LayerFormat,
    rights: StorageRights,
  ) {
    this.#directory = directory
    this.#temporary = join(directory, 'tmp')
    this.#records = new LayerRecords(directory, database)
    this.#openUnpacker = openUnpacker
    this.#format = format
    this.#rights = rights
  }

  /**
   * Open the layers in `directory`, made when missing. What killed processes left half-made is removed.
   * @param format of all layers in it; whoever opens it must know which one it is
   */
  static async open(
    directory: string,
    database: Database,
    openUnpacker: OpenUnpacker,
    format: LayerFormat = directoryFormat,
    rights: StorageRights = fullRights,
  ): Promise<Layers> {
    const layers = new Layers(directory, database, openUnpacker, format, rights)
    try {
      mkdirSync(layers.#temporary, { recursive: true, mode: 0o700 })
      spreadDirectories(layers.#temporary)
    } catch (error) {
      throw fileError(error, `make the layers' directory ${directory}`)
    }
    await layers.#removeLeftovers()
    return layers
  }

  /**
   * Unpack a layer, unless it is there. Of several calls for one layer, in any processes, one does the work and the
   * others wait for it. The event loop is free meanwhile.
   * @returns its chain id
   * @throws PodlingError LAYER_INVALID, LAYER_TOO_LARGE, DIGEST_MISMATCH (not its diffId), DISK_FULL, ABORTED,
   *   STATE_INVALID (the parent is not there); nothing of the layer is left then
   */
  async apply(layer: LayerSource, options: ApplyOptions = {}): Promise<string> {
    const { parent, diffId } = layer
    if (!isDigest(diffId))
      throw new PodlingError('IMAGE_INVALID', `${JSON.stringify(diffId)} is not the digest of a layer`)
    const chainId = parent === undefined ? diffId : sha256(`${parent} ${diffId}`)
    if (await this.#records.hold(chainId, options.holder)) return chainId
    const lock = await lockFile(this.#lockPath(chainId), options.signal)
    try {
      if (await this.#records.hold(chainId, options.holder)) return chainId
      await this.#make(chainId, layer, options)
    } finally {
      lock.release({ unlink: true })
    }
    return chainId
  }

  /** Whether the layer is there. */
  has(chainId: string): boolean {
    return this.#records.get(chainId) !== undefined
  }

  /** What is known of a layer; undefined when it isn't there. */
  get(chainId: string): LayerRecord | undefined {
    return this.#records.get(chainId)
  }

  /** The chain ids of all layers. */
  list(): string[] {
    return this.#records.list()
  }

  /**
   * Where a layer and all below it are, topmost first: the directories of an unpacked format.
   * @throws PodlingError STATE_INVALID when one of them isn't there
   */
  lower(chainId: string): string[] {
    const places: string[] = []
    for (let id: string | undefined = chainId; id !== undefined;) {
      const record: LayerRecord = this.#records.known(id)
      places.push(this.#format.place(this.#path(id)))
      id = record.parent
    }
    return places
  }

  /** Owner and mode of the root that a layer and all below it make. @throws PodlingError STATE_INVALID when it isn't there */
  root(chainId: string): RootAttributes {
    return this.#records.known(chainId).root ?? defaultRoot
  }

  /**
   * Hold a layer, and with it those below, for `holder`: any name, such as `container:<id>`. Holding twice is holding
   * once. Inside a transaction of the database it takes part in that.
   * @throws PodlingError STATE_INVALID when the layer isn't there
   */
  reference(chainId: string, holder: string): Promise<void> {
    return this.#records.reference(chainId, holder)
  }

  /**
   * Give a reference back; one that is not held is no error. A layer that nobody holds any more is removed, and the ones
   * below it unless something else holds them.
   */
  async release(chainId: string, holder: string): Promise<void> {
    await this.#records.letGo(chainId, holder)
    await this.#removeUnheld(chainId)
  }

  /** How they are kept. */
  get format(): LayerFormat {
    return this.#format
  }

  /** Where a layer is, or would be. */
  directory(chainId: string): string {
    return this.#path(chainId)
  }

  /**
   * Make a layer that is known once more, beside the one that is there, if it is.
   * @param judge sees the directory of the new one; true puts it in the place of the old
   * @throws PodlingError as {@link apply}
   */
  async remake(layer: LayerSource, judge: (anew: string) => Promise<boolean>): Promise<void> {
    const { parent, diffId } = layer
    const chainId = parent === undefined ? diffId : sha256(`${parent} ${diffId}`)
    const name = digestHex(chainId)
    const lock = await lockFile(this.#lockPath(chainId))
    try {
      const temporary = join(this.#temporary, name)
      const old = join(this.#temporary, `${name}.old`)
      mkdirSync(temporary, { mode: 0o700 })
      const { bytes, root } = await this.#fill(temporary, layer, {})
      if (root === undefined) await this.#format.setRoot(temporary, this.root(chainId), this.#rights)
      if (await judge(temporary)) {
        // First, so that what an interruption leaves is known to be other than it should be.
        const files = await this.#format.describe(temporary, { digest: diffId, size: bytes })
        await this.#records.setFiles(chainId, files)
        if (this.#found([name]).length > 0) renameSync(this.#path(chainId), old)
        await this.#publish(chainId, temporary)
      }
    } finally {
      await removeTrees(this.#openUnpacker, this.#temporary, [name, `${name}.old`])
      lock.release({ unlink: true })
    }
  }

  /**
   * What has changed of the files of a layer and of those below it; undefined when nothing has, as far as it shows: a file in
   * the tree of an unpacked layer is not looked at.
   */
  async changed(chainId: string): Promise<ChangedLayer | undefined> {
    for (let id: string | undefined = chainId; id !== undefined;) {
      const { files = [], parent }: LayerRecord = this.#records.known(id)
      const directory = this.#path(id)
      if (!files.every((file) => looksSame(directory, file))) {
        const found = await lookAgain(directory, files)
        if ('changed' in found) return { chainId: id, file: found.changed }
        await this.#records.setFiles(id, found)
      }
      id = parent
    }
    return undefined
  }

  /** Who holds which layer. */
  references(): { readonly chainId: string; readonly holder: string }[] {
    return this.#records.references()
  }

  /** Remove layers that nobody holds: those applied without a holder. @returns their chain ids */
  async prune(): Promise<string[]> {
    const before = this.list()
    for (const chainId of before) await this.#removeUnheld(chainId)
    return before.filter((chainId) => !this.has(chainId))
  }

  /** Let go of the threads. Layers stay as they are. */
  async close(): Promise<void> {
    await this.#threads.close()
  }

  async #make(chainId: string, layer: LayerSource, options: ApplyOptions): Promise<void> {
    const { parent, diffId } = layer
    const name = digestHex(chainId)
    const temporary = join(this.#temporary, name)
    await this.#clear(name)
    try {
      mkdirSync(temporary, { mode: 0o700 })
      const { bytes, entries, root: own } = await this.#fill(temporary, layer, options)
      await options.ready?.()
      const root = own ?? (parent === undefined ? defaultRoot : this.root(parent))
      // A layer that only adds a file must not change `/`.
      if (own === undefined) await this.#format.setRoot(temporary, root, this.#rights)
      const files = await this.#format.describe(temporary, { digest: diffId, size: bytes })
      await this.#publish(chainId, temporary)
      const record = {
        diffId,
        size: bytes,
        entries,
        root,
        created: Date.now(),
        ...(files.length === 0 ? {} : { files }),
        ...(parent === undefined ? {} : { parent }),
      }
      await this.#records.add(chainId, record, options.holder)
    } catch (error) {
      const failure = error instanceof BlobLost ? error : fileError(error, `unpack layer ${diffId}`)
      try {
        await this.#clear(name)
      } catch (cleanUp) {
        // What went wrong first is what happened; that something is left behind is the next open()'s business.
        throw new PodlingError(
          failure instanceof PodlingError ? failure.code : 'SYSTEM_CALL_FAILED',
          `${failure.message}; what it left could not be removed`,
          { cause: new AggregateError([failure, cleanUp]) },
        )
      }
      throw failure
    }
  }

  /** Read the blob into a new directory, on a thread. Only so many at once: the place is not kept for what comes after. */
  async #fill(temporary: string, layer: LayerSource, options: ApplyOptions): Promise<UnpackResult> {
    const { blob, compression, diffId } = layer
    const leave = await this.#threads.place()
    let opened: number | undefined
    try {
      if (typeof blob === 'string') opened = openSync(blob, 'r')
      return await this.#threads.run(
        {
          blob: typeof blob === 'string' ? opened! : blob.fd,
          name: typeof blob === 'string' ? blob : diffId,
          ...(typeof blob === 'string' ? {} : { growth: blob.growth.shared }),
          ...(compression === undefined ? {} : { compression }),
          diffId,
          target: await this.#format.begin(temporary, this.#openUnpacker),
          maxBytes: options.limits?.maxBytes ?? defaultMaxBytes,
          policy: {
            devices: options.devices ?? (this.#rights.confined ? 'skip' : 'make'),
            absoluteNames: options.absoluteNames ?? 'strip',
            overlayXattrs: options.overlayXattrs ?? (this.#rights.confined ? 'user' : 'trusted'),
            maxEntries: options.limits?.maxEntries ?? defaultMaxEntries,
            ...(this.#rights.ids === undefined ? {} : { ids: this.#rights.ids }),
          },
        },
        options,
      )
    } finally {
      if (opened !== undefined) closeSync(opened)
      leave()
    }
  }

  /** The layer's contents are synced by now; its name becomes so here. */
  async #publish(chainId: string, temporary: string): Promise<void> {
    renameSync(temporary, this.#path(chainId))
    await syncPath(this.#directory)
  }

  /** Remove what there is of a layer that isn't known. Its lock must be held. */
  async #clear(name: string): Promise<void> {
    await removeTrees(this.#openUnpacker, this.#directory, this.#found([join('tmp', name), name]))
  }

  #found(names: readonly string[]): string[] {
    return names.filter((name) => statSync(join(this.#directory, name), { throwIfNoEntry: false }) !== undefined)
  }

  async #removeUnheld(chainId: string): Promise<void> {
    for (let id: string | undefined = chainId; id !== undefined;) {
      if (!this.has(id) || this.#records.isHeld(id)) return
      const lock = await lockFile(this.#lockPath(id))
      try {
        const gone: LayerRecord | undefined = await this.#records.forget(id)
        if (gone === undefined) return
        const name = digestHex(id)
        // Its files may be gone before it, by whatever hand.
        if (this.#found([name]).length > 0) renameSync(this.#path(id), join(this.#temporary, name))
        await removeTrees(this.#openUnpacker, this.#temporary, [name])
        id = gone.parent
      } catch (error) {
        throw fileError(error, `remove layer ${String(id)}`)
      } finally {
        lock.release({ unlink: true })
      }
    }
  }

  #path(chainId: string): string {
    if (!isDigest(chainId))
      throw new PodlingError('IMAGE_INVALID', `${JSON.stringify(chainId)} is not the id of a layer`)
    return join(this.#directory, digestHex(chainId))
  }

  #lockPath(chainId: string): string {
    return `${join(this.#temporary, digestHex(chainId))}.lock`
  }

  /**
   * What dead processes left: halves in `tmp/`, and layers that got their name but no record. What a living process
   * works at is locked, and left alone.
   */
  async #removeLeftovers(): Promise<void> {
    const unnamed = readdirSync(this.#directory).filter((name) => name !== 'tmp' && !this.has(`sha256:${name}`))
    const names = new Set(readdirSync(this.#temporary).map((name) => name.replace(/\.lock$/, '')))
    for (const name of new Set([...unnamed, ...names])) {
      const lock = tryLockFile(`${join(this.#temporary, name)}.lock`)
      if (lock === undefined) continue
      try {
        const known = this.has(`sha256:${name}`)
        await removeTrees(
          this.#openUnpacker,
          this.#directory,
          this.#found([join('tmp', name), ...(known ? [] : [name])]),
        )
      } finally {
        lock.release({ unlink: true })
      }
    }
  }
}
