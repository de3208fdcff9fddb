/**
 * The overlay driver: a container's root is an overlay of its image's layers, mounted by the container itself in its
 * own mount namespace, so that nothing has to be unmounted, ever.
 *
 * Below the driver's directory:
 * - `<id>/upper`, `<id>/work-<chain id>`: the container's writable layer, and what it lies on. A name costs nothing, where
 *   a file or a symbolic link would cost as much as a directory;
 * - `spare/`: writable layers made ahead;
 * - `skeleton`: the mount points of every container, the lowest layer of every root;
 * - `root`: the empty directory over which every container mounts, each in its own namespace;
 * - `removed/`: what is being removed.
 */
import { randomUUID } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, type Dirent } from 'node:fs'
import { opendir, readdir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { fileError, isErrno } from '../file-error.js'
import type { OpenUnpacker } from '../layer-types.js'
import { removeTrees } from '../remove-tree.js'
import type { RootMount, RootOptions, StorageDriver } from './driver.js'
import { makeSkeleton } from './skeleton.js'
import { Spares } from './spares.js'

/** What the driver needs of the layers. */
interface LayerDirectories {
  lower(chainId: string): readonly string[]
}

/**
 * The options of every root:
 * - `metacopy=off`, `redirect_dir=off`: the upper directory is a plain change set, which diff and commit read, and an
 *   attribute in a layer can't redirect a lookup, whatever the kernel was built with. As Podman and Docker have it.
 * - `index=off`: an upper directory can be used again after a crash; hard links break on copy-up, as they always did.
 * `xino` stays as the kernel has it: upper and lower are on one file system, so inode numbers are true without it.
 */
const mountOptions = ['index=off', 'metacopy=off', 'redirect_dir=off'] as const

/** Entries below which a writable layer is removed right here, instead of by an unpacker. */
const smallTree = 64

/** How the name of a work directory begins; the chain id follows. */
const workPrefix = 'work-'
const noLayer = 'none'

/** What stands beside the containers in the driver's directory. */
const ownNames = new Set(['root', 'removed', 'skeleton', 'spare'])

export class OverlayDriver implements StorageDriver {
  readonly name = 'overlay'
  readonly #directory: string
  readonly #layers: LayerDirectories
  readonly #openUnpacker: OpenUnpacker
  readonly #spares: Spares

  private constructor(directory: string, layers: LayerDirectories, openUnpacker: OpenUnpacker, spares: Spares) {
    this.#directory = directory
    this.#layers = layers
    this.#openUnpacker = openUnpacker
    this.#spares = spares
  }

  /** Open the driver in `directory`, made when missing. Removals that were interrupted are finished. */
  static async open(directory: string, layers: LayerDirectories, openUnpacker: OpenUnpacker): Promise<OverlayDriver> {
    const removed = join(directory, 'removed')
    let unfinished: string[]
    let spares: Spares
    try {
      mkdirSync(join(directory, 'root'), { recursive: true, mode: 0o700 })
      makeSkeleton(join(directory, 'skeleton'))
      mkdirSync(removed, { recursive: true, mode: 0o700 })
      unfinished = readdirSync(removed)
      spares = Spares.open(join(directory, 'spare'))
    } catch (error) {
      throw fileError(error, `make the containers' directory ${directory}`)
    }
    const driver = new OverlayDriver(directory, layers, openUnpacker, spares)
    try {
      await removeTrees(openUnpacker, removed, unfinished)
    } catch (error) {
      await driver.close()
      throw error
    }
    return driver
  }

  // Not by promises of node:fs: each of them is a trip to the thread pool that costs more than all these calls.
  async prepare(containerId: string, chainId: string | undefined): Promise<void> {
    const directory = this.#path(containerId)
    const [top] = chainId === undefined ? [] : this.#layers.lower(chainId)
    try {
      const spare = this.#spares.take()
      const upper = join(spare, 'upper')
      // The root directory itself shows the owner and mode of the topmost directory, which is the upper one.
      const { uid, gid, mode } = top === undefined ? { uid: 0, gid: 0, mode: 0o755 } : statSync(top)
      if (uid !== 0 || gid !== 0) chownSync(upper, uid, gid)
      chmodSync(upper, mode & 0o7777)
      renameSync(join(spare, 'work'), join(spare, workPrefix + (chainId ?? noLayer)))
      // All at once: what has its name is whole.
      renameSync(spare, directory)
    } catch (error) {
      if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw fileError(error, `prepare the root of container ${containerId}`)
    }
    return Promise.resolve()
  }

  rootOperation(containerId: string, options: RootOptions = {}): RootMount {
    const directory = this.#path(containerId)
    let work: string | undefined
    try {
      work = readdirSync(directory).find((name) => name.startsWith(workPrefix))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, `find the root of container ${containerId}`)
    }
    if (work === undefined) {
      throw new PodlingError('STATE_INVALID', `the root of container ${containerId} is not prepared in ${directory}`)
    }
    const chainId = work.slice(workPrefix.length)
    if (options.volatile) allowVolatile(join(directory, work))
    const at = this.rootPath()
    return {
      op: 'root-overlay',
      lower: [...(chainId === noLayer ? [] : this.#layers.lower(chainId)), join(this.#directory, 'skeleton')],
      upper: join(directory, 'upper'),
      work: join(directory, work),
      options: options.volatile ? [...mountOptions, 'volatile'] : [...mountOptions],
      at,
    }
  }

  rootPath(): string {
    return join(this.#directory, 'root')
  }

  async list(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => !ownNames.has(name))
  }

  async remove(containerId: string): Promise<void> {
    const directory = this.#path(containerId)
    const removed = join(this.#directory, 'removed')
    // A name of its own, so that a crash from here on leaves nothing that looks prepared; open() finishes it.
    const name = `${containerId}-${randomUUID()}`
    try {
      renameSync(directory, join(removed, name))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return
      throw fileError(error, `remove the root of container ${containerId}`)
    }
    if (!(await removeSmall(join(removed, name), { left: smallTree }))) {
      await removeTrees(this.#openUnpacker, removed, [name])
    }
  }

  async close(): Promise<void> {
    await this.#spares.close()
  }

  #path(containerId: string): string {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId) || ownNames.has(containerId)) {
      throw new PodlingError('INVALID_OPTION', `${JSON.stringify(containerId)} can't be the id of a container`)
    }
    return join(this.#directory, containerId)
  }
}

/**
 * After a volatile mount overlay refuses the same upper directory, since it can't know whether the machine went down in
 * between. A volatile container doesn't outlive that, so the mark can go.
 */
function allowVolatile(work: string): void {
  try {
    // With what stands in it: `dirty`, which the kernel makes to tell of it in its log.
    rmSync(join(work, 'work', 'incompat', 'volatile'), { recursive: true, force: true })
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw fileError(error, `use ${work} again`)
  }
}

/**
 * Remove a tree that turns out to be small. Nothing else works in it, so going by path is safe; symbolic links are
 * removed, not followed. By promises: freeing what was written can wait for the disk, and the event loop must not.
 * @returns false when it is not small, or resists: part of it may be gone then.
 */
async function removeSmall(path: string, budget: { left: number }): Promise<boolean> {
  try {
    const entries: Dirent[] = []
    // Not readdir(), which would hold a directory of any size.
    for await (const entry of await opendir(path)) {
      if (--budget.left < 0) return false
      entries.push(entry)
    }
    const removed = await Promise.all(
      entries.map(async (entry) => {
        const child = join(path, entry.name)
        if (entry.isDirectory()) return removeSmall(child, budget)
        await unlink(child)
        return true
      }),
    )
    if (removed.includes(false)) return false
    await rmdir(path)
    return true
  } catch {
    return false
  }
}
