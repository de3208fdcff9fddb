/**
 * Layers, unpacked: `<hex of the chain id>/diff` is the directory that an overlay is made of.
 *
 * A layer is unpacked in `tmp/<hex>` and gets its name when it is whole and synced; it is known when its record is in the
 * database. All that is done to a layer, or to what is left of it, is done under the lock `tmp/<hex>.lock`, so that
 * processes do it once, and what is found in `tmp/` with its lock free is a dead process's.
 *
 * A layer stays as long as somebody holds a reference: an image, a container, or the layer above it.
 */
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import { digestHex, isDigest, sha256 } from '../image/digest.js'
import type { Database, Table } from './database.js'
import { fileError } from './file-error.js'
import type { ApplyOptions, LayerSource, OpenUnpacker } from './layer-types.js'
import { lockFile, tryLockFile } from './lock.js'
import { removeTrees } from './remove-tree.js'
import { UnpackThreads } from './unpack-thread.js'

/** What the database holds of a layer. */
export interface LayerRecord {
  readonly diffId: string
  readonly parent?: string
  /** Bytes of the tar, uncompressed. */
  readonly size: number
  readonly entries: number
  /** Milliseconds since the epoch. */
  readonly created: number
}

const defaultMaxBytes = 64 * 1024 ** 3
const defaultMaxEntries = 10_000_000

export class Layers {
  readonly #directory: string
  readonly #temporary: string
  readonly #database: Database
  readonly #records: Table<LayerRecord>
  /** Who holds a layer: keys `<chain id> <holder>`. */
  readonly #references: Table<true>
  readonly #openUnpacker: OpenUnpacker
  readonly #threads = new UnpackThreads()

  private constructor(directory: string, database: Database, openUnpacker: OpenUnpacker) {
    this.#directory = directory
    this.#temporary = join(directory, 'tmp')
    this.#database = database
    this.#records = database.table('layers')
    this.#references = database.table('layer-references')
    this.#openUnpacker = openUnpacker
  }

  /** Open the layers in `directory`, made when missing. What killed processes left half-made is removed. */
  static async open(directory: string, database: Database, openUnpacker: OpenUnpacker): Promise<Layers> {
    const layers = new Layers(directory, database, openUnpacker)
    try {
      mkdirSync(layers.#temporary, { recursive: true, mode: 0o700 })
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
    if (await this.#hold(chainId, options.holder)) return chainId
    const lock = await lockFile(this.#lockPath(chainId), options.signal)
    try {
      if (await this.#hold(chainId, options.holder)) return chainId
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
    return [...this.#records.entries()].map(([chainId]) => chainId)
  }

  /**
   * The directories of a layer and of all below it, topmost first.
   * @throws PodlingError STATE_INVALID when one of them isn't there
   */
  lower(chainId: string): string[] {
    const directories: string[] = []
    for (let id: string | undefined = chainId; id !== undefined;) {
      const record: LayerRecord = this.#known(id)
      directories.push(join(this.#path(id), 'diff'))
      id = record.parent
    }
    return directories
  }

  /**
   * Hold a layer, and with it those below, for `holder`: any name, such as `container:<id>`. Holding twice is holding
   * once. Inside a transaction of the database it takes part in that.
   * @throws PodlingError STATE_INVALID when the layer isn't there
   */
  reference(chainId: string, holder: string): Promise<void> {
    return this.#database.transaction(() => {
      this.#known(chainId)
      void this.#references.put(`${chainId} ${holder}`, true)
    })
  }

  /**
   * Give a reference back; one that is not held is no error. A layer that nobody holds any more is removed, and the ones
   * below it unless something else holds them.
   */
  async release(chainId: string, holder: string): Promise<void> {
    await this.#references.remove(`${chainId} ${holder}`)
    await this.#removeUnheld(chainId)
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

  async #hold(chainId: string, holder: string | undefined): Promise<boolean> {
    if (!this.has(chainId)) return false
    if (holder === undefined) return true
    return this.#database.transaction(() => {
      // It may be gone since.
      if (!this.has(chainId)) return false
      void this.#references.put(`${chainId} ${holder}`, true)
      return true
    })
  }

  async #make(chainId: string, layer: LayerSource, options: ApplyOptions): Promise<void> {
    const { parent, diffId, blob, compression } = layer
    const name = digestHex(chainId)
    const temporary = join(this.#temporary, name)
    const [below] = parent === undefined ? [] : this.lower(parent)
    await this.#clear(name)
    try {
      const diff = makeDiff(temporary, below)
      const { stream, status } = await this.#openUnpacker(diff)
      const { bytes, entries } = await this.#threads.run(
        {
          blob,
          compression,
          diffId,
          stream,
          status,
          maxBytes: options.limits?.maxBytes ?? defaultMaxBytes,
          policy: {
            devices: options.devices ?? 'make',
            absoluteNames: options.absoluteNames ?? 'strip',
            overlayXattrs: options.overlayXattrs ?? 'trusted',
            maxEntries: options.limits?.maxEntries ?? defaultMaxEntries,
          },
        },
        options,
      )
      await this.#publish(chainId, temporary)
      await this.#database.transaction(() => {
        // Held by its child, a parent can't go; it may have gone before.
        if (parent !== undefined) {
          this.#known(parent)
          void this.#references.put(`${parent} layer:${chainId}`, true)
        }
        void this.#records.put(chainId, {
          diffId,
          size: bytes,
          entries,
          created: Date.now(),
          ...(parent === undefined ? {} : { parent }),
        })
        if (options.holder !== undefined) void this.#references.put(`${chainId} ${options.holder}`, true)
      })
    } catch (error) {
      const failure = fileError(error, `unpack layer ${diffId}`)
      try {
        await this.#clear(name)
      } catch (cleanUp) {
        // What went wrong first is what happened; that something is left behind is the next open()'s business.
        throw new PodlingError(failure.code, `${failure.message}; what it left could not be removed`, {
          cause: new AggregateError([failure, cleanUp]),
        })
      }
      throw failure
    }
  }

  /** The layer's contents are synced by now; its name becomes so here. */
  async #publish(chainId: string, temporary: string): Promise<void> {
    renameSync(temporary, this.#path(chainId))
    const directory = await open(this.#directory, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
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
      if (!this.has(id) || this.#isHeld(id)) return
      const lock = await lockFile(this.#lockPath(id))
      try {
        const gone: LayerRecord | undefined = await this.#forget(id)
        if (gone === undefined) return
        const name = digestHex(id)
        renameSync(this.#path(id), join(this.#temporary, name))
        await removeTrees(this.#openUnpacker, this.#temporary, [name])
        id = gone.parent
      } catch (error) {
        throw fileError(error, `remove layer ${String(id)}`)
      } finally {
        lock.release({ unlink: true })
      }
    }
  }

  /** From here on nobody can hold it. @returns undefined when somebody does, or it is gone */
  #forget(chainId: string): Promise<LayerRecord | undefined> {
    return this.#database.transaction(() => {
      const record = this.#records.get(chainId)
      if (record === undefined || this.#isHeld(chainId)) return undefined
      void this.#records.remove(chainId)
      if (record.parent !== undefined) void this.#references.remove(`${record.parent} layer:${chainId}`)
      return record
    })
  }

  #isHeld(chainId: string): boolean {
    return [...this.#references.entries(`${chainId} `)].length > 0
  }

  #known(chainId: string): LayerRecord {
    const record = this.#records.get(chainId)
    if (record === undefined) throw new PodlingError('STATE_INVALID', `layer ${chainId} is not in ${this.#directory}`)
    return record
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

/**
 * The directory that a layer is unpacked in. Its own owner and mode are those of the layer below, unless the layer has an
 * entry for its root: a layer that only adds a file must not change `/`.
 */
function makeDiff(temporary: string, below: string | undefined): string {
  const diff = join(temporary, 'diff')
  mkdirSync(temporary, { mode: 0o700 })
  mkdirSync(diff, { mode: 0o755 })
  const { uid, gid, mode } = below === undefined ? { uid: 0, gid: 0, mode: 0o755 } : statSync(below)
  if (uid !== 0 || gid !== 0) chownSync(diff, uid, gid)
  chmodSync(diff, mode & 0o7777)
  return diff
}
