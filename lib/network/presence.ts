/**
 * Whether other processes have networks of this root in use: each holds a shared flock(2) while it does, and who could
 * have it for himself alone is the last one, and may take away what is shared.
 */
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../sys/file-calls.js'

const retryDelay = 1

export class Presence {
  readonly #path: string
  #fd: number | undefined
  #entering: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Be known as one that uses networks, from here on. Waits while the last one before us cleans up. */
  async enter(): Promise<void> {
    if (this.#fd !== undefined) return
    this.#entering ??= this.#enter()
    await this.#entering
  }

  async #enter(): Promise<void> {
    const fd = openSync(this.#path, 'a', 0o600)
    try {
      while (!tryLock(fd, 'shared')) await sleep(retryDelay)
      this.#fd = fd
    } finally {
      this.#entering = undefined
      if (this.#fd !== fd) closeSync(fd)
    }
  }

  /** Has this process used networks? */
  get entered(): boolean {
    return this.#fd !== undefined
  }

  /**
   * Run `work` if no process is present, with none coming in meanwhile. Who does so at its end leaves first: of two that ask
   * while both are there, neither would be the last one.
   */
  async whenNobody(work: () => Promise<void>): Promise<void> {
    const fd = openSync(this.#path, 'a', 0o600)
    try {
      if (tryLock(fd, 'exclusive')) await work()
    } finally {
      closeSync(fd)
    }
  }

  leave(): void {
    if (this.#fd === undefined) return
    closeSync(this.#fd)
    this.#fd = undefined
  }
}
