/**
 * Writable layers made ahead. A directory on a disk file system takes a tenth of a millisecond to make, a container needs
 * three of them before it can start, and a rename costs a fraction of one: so a few are made in quiet moments.
 *
 * `<key>/<number>/{upper,work}` below the directory is one of the process that holds the lock `<key>.lock`. What stands
 * there without a lock is a dead process's.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { tryLockFile, type FileLock } from '../lock.js'
import { spreadDirectories } from '../spread.js'

/** As many as start within the time between two fillings, one after the other. */
const most = 8

/** Milliseconds from the taking of one until new ones are made, by when the container that took it has started. */
const fillDelay = 10

export class Spares {
  readonly #directory: string
  readonly #lock: FileLock
  #ready: string[] = []
  #made = 0
  #timer: NodeJS.Timeout | undefined
  #filling: Promise<void> | undefined
  #closed = false

  private constructor(directory: string, lock: FileLock) {
    this.#directory = directory
    this.#lock = lock
  }

  /** Begin to keep spares in `directory`, made when missing, and remove those of dead processes. */
  static open(directory: string): Spares {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    spreadDirectories(directory)
    for (const name of readdirSync(directory)) {
      const key = name.replace(/\.lock$/, '')
      const lock = tryLockFile(join(directory, `${key}.lock`))
      if (lock === undefined) continue
      rmSync(join(directory, key), { recursive: true, force: true })
      lock.release({ unlink: true })
    }
    const { key, lock } = takeKey(directory)
    const spares = new Spares(join(directory, key), lock)
    mkdirSync(spares.#directory, { mode: 0o700 })
    spares.#fillLater()
    return spares
  }

  /** A directory with an empty `upper`, 0755, and an empty `work` in it, to be renamed; made now when none is ready. */
  take(): string {
    this.#fillLater()
    return this.#ready.pop() ?? this.#makeNow()
  }

  /** Remove them. Closing twice is no error. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#filling
    rmSync(this.#directory, { recursive: true, force: true })
    this.#lock.release({ unlink: true })
  }

  #next(): string {
    return join(this.#directory, String(this.#made++))
  }

  #makeNow(): string {
    const path = this.#next()
    mkdirSync(path, 0o700)
    mkdirSync(join(path, 'upper'), 0o755)
    mkdirSync(join(path, 'work'), 0o700)
    return path
  }

  #fillLater(): void {
    if (this.#closed || this.#filling !== undefined) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#filling = this.#fill().finally(() => {
        this.#filling = undefined
      })
    }, fillDelay).unref()
  }

  /** On the thread pool, so that the event loop has no part in it. */
  async #fill(): Promise<void> {
    try {
      while (this.#ready.length < most && !this.#closed) {
        const path = this.#next()
        await mkdir(path, 0o700)
        await mkdir(join(path, 'upper'), 0o755)
        await mkdir(join(path, 'work'), 0o700)
        this.#ready.push(path)
      }
    } catch {
      // Of a full disk, or whatever it is, hears who needs one: it is made then.
    }
  }
}

/**
 * A key whose lock is ours. Who clears up may see the new file before it is locked, take it for a dead process's, and
 * remove it: then another one.
 */
function takeKey(directory: string): { readonly key: string; readonly lock: FileLock } {
  for (;;) {
    const key = randomUUID()
    const lock = tryLockFile(join(directory, `${key}.lock`))
    if (lock !== undefined) return { key, lock }
  }
}
