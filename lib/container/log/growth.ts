import { basename, dirname } from 'node:path'
import { watchDirectory } from '../../sys/watch-directory.js'

/** Tells when a log may have grown (inotify(7)), and whether that is over. */
export class Growth {
  ended = false
  #changed = false
  #wake: (() => void) | undefined
  readonly #watcher
  readonly #signal
  readonly #onAbort = () => {
    this.#notify()
  }

  /**
   * @param path the file that is written to. Its directory is watched, since another file takes its name.
   * @param ended settles when nothing more will be written
   */
  constructor(path: string, ended: Promise<unknown>, signal: AbortSignal | undefined) {
    const name = basename(path)
    this.#watcher = watchDirectory(dirname(path), (changed) => {
      if (changed === undefined || changed === name) this.#notify()
    })
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort)
    const finish = () => {
      this.ended = true
      this.#notify()
    }
    ended.then(finish, finish)
  }

  #notify(): void {
    this.#changed = true
    this.#wake?.()
  }

  async wait(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    this.#changed = false
  }

  close(): void {
    this.#watcher.close()
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}
