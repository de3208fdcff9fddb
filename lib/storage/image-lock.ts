/**
 * Who works on images (shared) and who sweeps what no image needs (alone): flock(2) on one file, over all processes.
 * While anybody pulls, a blob that no image names yet is not garbage.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../sys/file-calls.js'
import { fileError } from './file-error.js'
import { aborted } from './lock.js'

/** Milliseconds between two tries; a sweep takes a few. */
const retryDelay = 5

export class ImageLock {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Work on images; waits while somebody sweeps. @returns what ends it, once or more */
  async enter(signal?: AbortSignal): Promise<() => void> {
    for (;;) {
      if (signal?.aborted) throw aborted(signal)
      const leave = this.#try('shared')
      if (leave) return leave
      await sleep(retryDelay)
    }
  }

  /** Be alone. @returns undefined when somebody works */
  tryAlone(): (() => void) | undefined {
    return this.#try('exclusive')
  }

  #try(mode: 'shared' | 'exclusive'): (() => void) | undefined {
    let fd: number
    try {
      fd = openSync(this.#path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
    } catch (error) {
      throw fileError(error, `open ${this.#path}`)
    }
    let held = false
    try {
      held = tryLock(fd, mode)
    } finally {
      if (!held) closeSync(fd)
    }
    if (!held) return undefined
    return () => {
      if (held) closeSync(fd)
      held = false
    }
  }
}
