import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { isErrno } from '../storage/file-error.js'
import { tryLock } from '../sys/file-calls.js'
import type { ContainerPaths } from './record.js'

/** How long a holder may take: whoever cleans up after dead hosts holds a lock only to look and to remove. */
const PATIENCE_MS = 5000
const PAUSE_MS = 2

/**
 * Held by whoever makes, starts or clears away a container: from before anything of it is there until its record is
 * written and its monitor listens. So that whoever finds something without a record or a monitor can tell a beginning
 * from a leftover. The kernel lets go of it however the process ends.
 */
export class RunLock {
  readonly #fd: number
  #held = true

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * For whoever makes or starts a container: the run directory is made where it is not there.
   * @returns undefined when another holder has it, and keeps it
   */
  static async acquire({
    runDirectory,
    lock,
  }: Pick<ContainerPaths, 'runDirectory' | 'lock'>): Promise<RunLock | undefined> {
    const patience = performance.now() + PATIENCE_MS
    for (;;) {
      mkdirSync(runDirectory, { recursive: true, mode: 0o700 })
      const taken = RunLock.#tryLock(lock, 'w')
      if (taken instanceof RunLock) return taken
      // Whoever cleans up may have taken the new directory for a leftover before the lock was ours: make it anew.
      if (taken === 'gone') continue
      if (performance.now() >= patience) return undefined
      await pause(PAUSE_MS)
    }
  }

  /**
   * For whoever clears away: nobody makes or starts it from here on.
   * @returns undefined when another has it, or it is not there
   */
  static seize(path: string): RunLock | undefined {
    const taken = RunLock.#tryLock(path, 'r')
    return taken instanceof RunLock ? taken : undefined
  }

  /** Whether somebody holds it right now. */
  static isHeld(path: string): boolean {
    const fd = openIfThere(path, 'r')
    if (fd === undefined) return false
    try {
      return !tryLock(fd, 'shared')
    } finally {
      closeSync(fd)
    }
  }

  static #tryLock(path: string, flags: 'r' | 'w'): RunLock | 'held' | 'gone' {
    const fd = openIfThere(path, flags)
    if (fd === undefined) return 'gone'
    const locked = tryLock(fd, 'exclusive')
    // The file may have been removed by its last holder, and be no longer the one that others will find.
    if (locked && existsSync(path)) return new RunLock(fd)
    closeSync(fd)
    return locked ? 'gone' : 'held'
  }

  /** For a child that is to hold it too: it is let go of when both have ended. */
  get fd(): number {
    return this.#fd
  }

  /** Let go. Twice is no error. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    closeSync(this.#fd)
  }
}

function openIfThere(path: string, flags: 'r' | 'w'): number | undefined {
  try {
    return openSync(path, flags, 0o600)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
