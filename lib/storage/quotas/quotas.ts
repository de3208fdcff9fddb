/**
 * Who may write how much. Each holder of a quota has a project id of the file system's (see ../../sys/project-quota.ts), drawn
 * by chance from a wide range, since other roots and other programs draw theirs on the same file system. It is written
 * down before it is used: whatever dies, the next open finds it, and takes the limit away.
 */
import { randomInt } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { holdsProjects, joinProject, limitProject, projectUse, type ProjectLimits } from '../../sys/project-quota.js'
import type { Table } from '../database.js'
import { fileError } from '../file-error.js'

/** Most that something may keep on disk. */
export interface QuotaLimits {
  /** Bytes. */
  readonly size?: number
  /** Files, directories and whatever else has an inode. */
  readonly inodes?: number
}

/** Whether quotas can be had on this root's file system. */
export interface QuotaReport {
  readonly works: boolean
  /** Why not, with the remedy. */
  readonly reason: string
}

/** Ids below are often given by hand, in projid(5). */
const lowest = 2 ** 24
const highest = 2 ** 31

export class Quotas {
  readonly #directory: string
  readonly #table: Table<number>

  /**
   * @param directory on whose file system the holders write
   * @param table holders to project ids
   */
  constructor(directory: string, table: Table<number>) {
    this.#directory = directory
    this.#table = table
  }

  report(): QuotaReport {
    try {
      if (holdsProjects(this.#directory)) return { works: true, reason: 'the file system has project quotas' }
      return { works: false, reason: remedyFor(this.#directory) }
    } catch (error) {
      return { works: false, reason: error instanceof Error ? error.message : String(error) }
    }
  }

  /** @throws PodlingError `QUOTA_UNSUPPORTED` with the remedy */
  require(what: string): void {
    const { works, reason } = this.report()
    if (!works) throw new PodlingError('QUOTA_UNSUPPORTED', `${what}: ${reason}`, { path: this.#directory })
  }

  /**
   * Draw a project and limit it.
   * @returns its id, for `joinProject`
   * @throws PodlingError `QUOTA_UNSUPPORTED`
   */
  async allot(holder: string, { size = 0, inodes = 0 }: QuotaLimits, what: string): Promise<number> {
    this.require(what)
    const limits: ProjectLimits = { bytes: size, inodes }
    try {
      const project = this.#draw()
      await this.#table.put(holder, project)
      limitProject(this.#directory, project, limits)
      return project
    } catch (error) {
      throw fileError(error, what)
    }
  }

  /** @throws PodlingError `DISK_FULL` when more is there already than may be, since who writes it may write past limits */
  check(holder: string, what: string): void {
    const project = this.#table.get(holder)
    if (project === undefined) return
    const { bytes, inodes, usedBytes, usedInodes } = projectUse(this.#directory, project)
    if (bytes > 0 && usedBytes > bytes) throw tooMuch(what, `${String(usedBytes)} bytes`, String(bytes))
    if (inodes > 0 && usedInodes > inodes) throw tooMuch(what, `${String(usedInodes)} inodes`, String(inodes))
  }

  /** Count a file beside the holder's others, if that has a quota. */
  count(holder: string, file: string): void {
    const project = this.#table.get(holder)
    if (project !== undefined) joinProject(file, project)
  }

  /** Whether something has a quota. */
  has(holder: string): boolean {
    return this.#table.get(holder) !== undefined
  }

  /** The limit falls, and the project is anyone's. Without one, or 'already gone', is success. */
  async free(holder: string): Promise<void> {
    const project = this.#table.get(holder)
    if (project === undefined) return
    // Where quotas are off by now there is nothing to take away.
    if (holdsProjects(this.#directory)) limitProject(this.#directory, project, { bytes: 0, inodes: 0 })
    await this.#table.remove(holder)
  }

  holders(): string[] {
    return [...this.#table.entries()].map(([holder]) => holder)
  }

  /** One that nobody has limited or written with. */
  #draw(): number {
    for (;;) {
      const project = randomInt(lowest, highest)
      const { bytes, inodes, usedInodes } = projectUse(this.#directory, project)
      if (bytes === 0 && inodes === 0 && usedInodes === 0) return project
    }
  }
}

function tooMuch(what: string, is: string, limit: string): PodlingError {
  return new PodlingError('DISK_FULL', `${what}: it begins with ${is}, and may have ${limit}; give it a larger quota`)
}

/** statfs(2) tells file systems by these. */
const ext4Magic = 0xef53
const xfsMagic = 0x5846_5342

function remedyFor(directory: string): string {
  switch (statfsSync(directory).type) {
    case ext4Magic:
      return (
        `quotas of containers and volumes need project quotas, which the ext4 of ${directory} has not switched on; ` +
        'make it ready once, unmounted, by `tune2fs -O project,quota -Q prjquota DEVICE`, and mount it with the option ' +
        'prjquota (the kernel must have CONFIG_QFMT_V2)'
      )
    case xfsMagic:
      return (
        `quotas of containers and volumes need project quotas, which the XFS of ${directory} was mounted without; ` +
        'unmount it, and mount it with the option prjquota; for / boot with rootflags=prjquota (the kernel must have ' +
        'CONFIG_XFS_QUOTA)'
      )
    default:
      return (
        `quotas of containers and volumes need project quotas, which the file system of ${directory} does not have; ` +
        'keep the root on ext4 or XFS, mounted with the option prjquota'
      )
  }
}
