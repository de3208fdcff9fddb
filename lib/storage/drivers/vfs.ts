/**
 * The vfs driver, for where nothing can be stacked: a container's root is a copy of all of its image. Where the file system has
 * reflinks (XFS, Btrfs), a copy shares the contents of its files; elsewhere it takes as long, and as much room, as they are.
 *
 * Below the driver's directory: `<id>/root`, and `<id>/on-<chain id>` to say what it was made of; `skeleton`, the mount points
 * of every container; `making/`, what isn't whole yet, each under a lock of its own; `removed/`, what is being removed.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { PodlingError } from '../../errors.js'
import { joinProject } from '../../sys/project-quota.js'
import { fileError, isErrno } from '../file-error.js'
import { directoryFormat } from '../layer-format.js'
import { lockFile, tryLockFile } from '../lock.js'
import { removeTrees } from '../remove-tree.js'
import { runOperations } from '../run-operations.js'
import { spreadDirectories } from '../spread.js'
import type { Head, UnpackOperation } from '../unpack-operations.js'
import { checkedId } from './container-id.js'
import type { Changes, IdMaps, RootMount, RootOptions, StorageDriver } from './driver.js'
import type { DriverKind, DriverParts } from './kind.js'
import { mapIds } from './map-ids.js'
import { leftOut, mergesOf } from './mapped-layers.js'
import { makeSkeleton } from './skeleton.js'

const ownNames = new Set(['making', 'removed', 'root', 'skeleton'])
const chainPrefix = 'on-'
const noLayer = 'none'

export const vfsKind: DriverKind = {
  name: 'vfs',
  format: directoryFormat,
  merit:
    'works anywhere; each container is a copy of all of its image, which is quick only where files can share their contents',
  obstacle: () => undefined,
  open: (parts) => VfsDriver.open(parts),
}

type Operation = readonly [UnpackOperation, Head]

class VfsDriver implements StorageDriver {
  readonly name = 'vfs'
  readonly #parts: DriverParts
  readonly #making: string
  readonly #removed: string
  /** What holds both the layers and the containers: an unpacker works there. */
  readonly #above: string

  private constructor(parts: DriverParts) {
    this.#parts = parts
    this.#making = join(parts.directory, 'making')
    this.#removed = join(parts.directory, 'removed')
    this.#above = dirname(parts.directory)
  }

  /** What was interrupted is finished, or taken back. */
  static async open(parts: DriverParts): Promise<VfsDriver> {
    const driver = new VfsDriver(parts)
    const { directory, openUnpacker } = parts
    try {
      mkdirSync(driver.#making, { recursive: true, mode: 0o700 })
      spreadDirectories(driver.#making)
      mkdirSync(driver.#removed, { recursive: true, mode: 0o700 })
      makeSkeleton(join(directory, 'skeleton'))
    } catch (error) {
      throw fileError(error, `make the containers' directory ${directory}`)
    }
    await removeTrees(openUnpacker, driver.#removed, readdirSync(driver.#removed))
    for (const name of new Set(readdirSync(driver.#making).map((one) => one.replace(/\.lock$/, '')))) {
      const lock = tryLockFile(join(driver.#making, `${name}.lock`))
      if (lock === undefined) continue
      await removeTrees(openUnpacker, driver.#making, [name]).finally(() => {
        lock.release({ unlink: true })
      })
    }
    return driver
  }

  async prepare(containerId: string, chainId: string | undefined, project?: number, owners?: IdMaps): Promise<void> {
    const directory = this.#path(containerId)
    if (existsSync(directory)) return
    await this.#make(async (place) => {
      const root = join(place, 'root')
      mkdirSync(root, { mode: 0o755 })
      if (project !== undefined) joinProject(root, project)
      mkdirSync(join(place, chainPrefix + (chainId ?? noLayer)))
      await this.#run(this.#merges(chainId, root, owners), 'copy the layers to')
      try {
        renameSync(place, directory)
      } catch (error) {
        // Somebody else has prepared it meanwhile.
        if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw error
      }
    })
  }

  async mount(containerId: string, options: RootOptions = {}): Promise<RootMount> {
    this.#chainOf(containerId)
    const source = this.rootPath(containerId)
    const operations = [...mapIds([source], options), { op: 'root-bind', source } as const]
    return Promise.resolve({ operations, held: [] })
  }

  rootPath(containerId: string): string {
    return join(this.#path(containerId), 'root')
  }

  async changes(containerId: string, owners?: IdMaps): Promise<Changes> {
    const chainId = this.#chainOf(containerId)
    let upper = ''
    const dispose = await this.#makeKept(async (place) => {
      const base = join(place, 'base')
      upper = join(place, 'upper')
      for (const path of [base, upper]) mkdirSync(path, { mode: 0o755 })
      const names = { path: this.#name(upper), link: this.#name(this.rootPath(containerId)) }
      const compare: Operation = ['changes', { ...names, xattrs: Buffer.from(this.#name(base), 'latin1') }]
      await this.#run([...this.#merges(chainId, base, owners), compare], 'compare with the layers')
    })
    return { upper, [Symbol.asyncDispose]: dispose }
  }

  async list(): Promise<string[]> {
    return (await readdir(this.#parts.directory)).filter((name) => !ownNames.has(name))
  }

  async remove(containerId: string): Promise<void> {
    const name = `${containerId}-${randomUUID()}`
    try {
      renameSync(this.#path(containerId), join(this.#removed, name))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return
      throw fileError(error, `remove the root of container ${containerId}`)
    }
    await removeTrees(this.#parts.openUnpacker, this.#removed, [name])
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** All layers over an empty directory, the mount points first. */
  #merges(chainId: string | undefined, into: string, owners: IdMaps | undefined): Operation[] {
    const { layers, directory } = this.#parts
    const lower = chainId === undefined ? [] : layers.lower(chainId)
    return mergesOf(this.#above, into, [...lower, join(directory, 'skeleton')], owners)
  }

  async #run(operations: readonly Operation[], what: string): Promise<void> {
    await runOperations(this.#parts.openUnpacker, this.#above, operations, what)
  }

  /** Do something in a new directory, of which nothing is left. */
  async #make(work: (place: string) => Promise<void>): Promise<void> {
    const dispose = await this.#makeKept(work)
    await dispose()
  }

  /** Do something in a new directory. @returns what removes it, once or more; nothing is left when the work fails */
  async #makeKept(work: (place: string) => Promise<void>): Promise<() => Promise<void>> {
    const name = randomUUID()
    const place = join(this.#making, name)
    const lock = await lockFile(`${place}.lock`)
    const dispose = async (): Promise<void> => {
      await removeTrees(this.#parts.openUnpacker, this.#making, existsSync(place) ? [name] : [])
      lock.release({ unlink: true })
    }
    try {
      mkdirSync(place, { mode: 0o700 })
      await work(place)
    } catch (error) {
      await dispose()
      throw leftOut(fileError(error, `make ${place}`))
    }
    return dispose
  }

  /** A path as an unpacker that works above it is told it. */
  #name(path: string): string {
    return Buffer.from(relative(this.#above, path)).toString('latin1')
  }

  #chainOf(containerId: string): string | undefined {
    const directory = this.#path(containerId)
    let mark: string | undefined
    try {
      mark = readdirSync(directory).find((name) => name.startsWith(chainPrefix))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, `find the root of container ${containerId}`)
    }
    if (mark === undefined) {
      throw new PodlingError('STATE_INVALID', `the root of container ${containerId} is not prepared in ${directory}`)
    }
    const chainId = mark.slice(chainPrefix.length)
    return chainId === noLayer ? undefined : chainId
  }

  #path(containerId: string): string {
    return join(this.#parts.directory, checkedId(containerId, ownNames))
  }
}
