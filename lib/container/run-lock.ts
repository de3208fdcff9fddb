import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { isErrno } from '../storage/file-error.js'
import { tryLock } from '../sys/libc.js'
import type { ContainerPaths } from './record.js'

/**
 * Held by whoever makes or starts a container, from before anything of it is there until its record is written and its
 * monitor listens. So that whoever finds something without a record or a monitor can tell a beginning from a leftover.
 * The kernel lets go of it however the process ends.
 */
export class RunLock {
  readonly #fd: number
  #held = true

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** @returns undefined when another holder has it */
  static take({ runDirectory, lock }: Pick<ContainerPaths, 'runDirectory' | 'lock'>): RunLock | undefined {
    for (;;) {
      mkdirSync(runDirectory, { recursive: true, mode: 0o700 })
      const fd = openIfThere(lock)
      // Whoever cleans up after dead hosts may take the new directory for one of theirs, before the lock is ours.
      if (fd === undefined) continue
      if (!tryLock(fd, 'exclusive')) {
        closeSync(fd)
        return undefined
      }
      if (existsSync(lock)) return new RunLock(fd)
      closeSync(fd)
    }
  }

  /** Whether somebody holds it right now. */
  static isHeld(path: string): boolean {
    if (!existsSync(path)) return false
    const fd = openSync(path, 'r')
    try {
      return !tryLock(fd, 'shared')
    } finally {
      closeSync(fd)
    }
  }

  /** Let go. Twice is no error. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    closeSync(this.#fd)
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'w', 0o600)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
