/** A process by the descriptor of its directory in procfs: what is read through it is this process's or nothing at all. */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs'
import type { KernelFiles } from './kernel-files.js'

export class ProcessDirectory {
  readonly #fd: number
  readonly #files: KernelFiles

  private constructor(fd: number, files: KernelFiles) {
    this.#fd = fd
    this.#files = files
  }

  /**
   * Open the directory of a pid that was a container's a moment ago, and may be another's by now.
   * @param belongs whether what is open now is the container's
   * @returns undefined when it is gone, or another's
   */
  static open(
    pid: number,
    belongs: (process: ProcessDirectory) => boolean,
    files: KernelFiles,
  ): ProcessDirectory | undefined {
    let fd
    try {
      fd = openSync(`/proc/${String(pid)}`, constants.O_RDONLY | constants.O_DIRECTORY)
    } catch {
      return undefined
    }
    const process = new ProcessDirectory(fd, files)
    // Asked through the descriptor: no new process with this pid can answer.
    if (belongs(process)) return process
    process.close()
    return undefined
  }

  /** One of its files, `stat`, `net/dev`. @returns undefined when it has ended */
  read(file: string): string | undefined {
    return this.#files.read(this.path(file))
  }

  /** Where one of its links leads, `ns/pid`. @returns undefined when it has ended, or this user may not look at it */
  link(file: string): string | undefined {
    try {
      return readlinkSync(this.path(file))
    } catch {
      return undefined
    }
  }

  /** Of its files, while it is open. */
  path(file: string): string {
    return `/proc/self/fd/${String(this.#fd)}/${file}`
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** @param part of the path of its cgroup, that nothing else has, such as the container's id */
export function isInCgroup(part: string): (process: ProcessDirectory) => boolean {
  return (process) => process.read('cgroup')?.includes(part) === true
}
