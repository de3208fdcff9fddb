import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
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
  static take(paths: Pick<ContainerPaths, 'runDirectory' | 'lock'>): RunLock | undefined {
    mkdirSync(paths.runDirectory, { recursive: true, mode: 0o700 })
    const fd = openSync(paths.lock, 'w', 0o600)
    if (tryLock(fd, 'exclusive')) return new RunLock(fd)
    closeSync(fd)
    return undefined
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
