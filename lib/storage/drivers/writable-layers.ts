/**
 * What containers write to, for every driver that stacks it on layers: an upper directory each, in overlay's way.
 *
 * Below the driver's directory:
 * - `<id>/upper`, `<id>/work-<chain id>`: the container's writable layer, and what it lies on. A name costs nothing, where
 *   a file or a symbolic link would cost as much as a directory;
 * - `spare/`: writable layers made ahead;
 * - `skeleton`: the mount points of every container, the lowest layer of every root;
 * - `root`: the empty directory over which every container mounts, each in its own namespace;
 * - `lower/`: empty directories for layers that are mounted, see erofs.ts;
 * - `removed/`: what is being removed.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { joinProject } from '../../sys/project-quota.js'
import { fileError, isErrno } from '../file-error.js'
import type { OpenUnpacker, RootAttributes } from '../layer-types.js'
import { removeTrees } from '../remove-tree.js'
import { Removals } from '../removals.js'
import type { StorageRights } from '../rights.js'
import { checkedId } from './container-id.js'
import type { Changes } from './driver.js'
import { makeSkeleton } from './skeleton.js'
import { Spares } from './spares.js'

/** How the name of a work directory begins; the chain id follows. */
const workPrefix = 'work-'
const noLayer = 'none'

/** What stands beside the containers in the driver's directory. */
const ownNames = new Set(['lower', 'root', 'removed', 'skeleton', 'spare'])

/** What a prepared container has. */
export interface WritableLayer {
  readonly chainId: string | undefined
  readonly upper: string
  readonly work: string
}

export class WritableLayers {
  readonly #directory: string
  readonly #removals: Removals
  readonly #spares: Spares
  readonly #rights: StorageRights

  private constructor(directory: string, removals: Removals, spares: Spares, rights: StorageRights) {
    this.#directory = directory
    this.#rights = rights
    this.#removals = removals
    this.#spares = spares
  }

  /** Open `directory`, made when missing. Removals that were interrupted are finished. */
  static async open(directory: string, openUnpacker: OpenUnpacker, rights: StorageRights): Promise<WritableLayers> {
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
    const layers = new WritableLayers(directory, new Removals(openUnpacker, removed), spares, rights)
    try {
      await removeTrees(openUnpacker, removed, unfinished)
    } catch (error) {
      await layers.close()
      throw error
    }
    return layers
  }

  /** What all of it is in. */
  get directory(): string {
    return this.#directory
  }

  /** The lowest layer of every root. */
  get skeleton(): string {
    return join(this.#directory, 'skeleton')
  }

  /** Where roots are mounted. */
  get root(): string {
    return join(this.#directory, 'root')
  }

  /** An empty directory to mount the layer of this number at, made when missing. */
  mountPoint(number: number): string {
    const path = join(this.#directory, 'lower', String(number))
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      return path
    } catch (error) {
      throw fileError(error, `make ${path}, where a layer is mounted`)
    }
  }

  /** @param root what the root directory itself shows: owner and mode of the topmost directory, which is the upper one */
  // Not by promises of node:fs: each of them is a trip to the thread pool that costs more than all these calls.
  async prepare(
    containerId: string,
    chainId: string | undefined,
    root: RootAttributes,
    project?: number,
  ): Promise<void> {
    const directory = this.#path(containerId)
    try {
      const spare = this.#spares.take()
      const upper = join(spare, 'upper')
      await this.#rights.give(upper, root)
      const work = join(spare, workPrefix + (chainId ?? noLayer))
      renameSync(join(spare, 'work'), work)
      // Both, as overlay renames from one into the other, which the kernel does within a project alone.
      if (project !== undefined) for (const part of [upper, work]) joinProject(part, project)
      // All at once: what has its name is whole.
      renameSync(spare, directory)
    } catch (error) {
      if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw fileError(error, `prepare the root of container ${containerId}`)
    }
  }

  /** @throws PodlingError STATE_INVALID when it isn't prepared */
  get(containerId: string): WritableLayer {
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
    return {
      chainId: chainId === noLayer ? undefined : chainId,
      upper: join(directory, 'upper'),
      work: join(directory, work),
    }
  }

  /** As `StorageDriver.changes` has it: the upper directory is that already. */
  async changes(containerId: string): Promise<Changes> {
    const { upper } = this.get(containerId)
    return Promise.resolve({ upper, [Symbol.asyncDispose]: () => Promise.resolve() })
  }

  async list(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => !ownNames.has(name))
  }

  async remove(containerId: string): Promise<void> {
    const directory = this.#path(containerId)
    // A name of its own, so that a crash from here on leaves nothing that looks prepared; open() finishes it.
    const name = `${containerId}-${randomUUID()}`
    try {
      renameSync(directory, join(this.#directory, 'removed', name))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return
      throw fileError(error, `remove the root of container ${containerId}`)
    }
    await this.#removals.remove(name)
  }

  async close(): Promise<void> {
    await this.#spares.close()
  }

  #path(containerId: string): string {
    return join(this.#directory, checkedId(containerId, ownNames))
  }
}
