import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tryLock } from '../sys/file-calls.js'

/**
 * Who lives on a root. Each runtime instance holds a flock(2) on a file of its own; the kernel lets go of it however the
 * process ends, so that others can tell the dead from the living without pids, which are used again.
 */
export class Owner {
  readonly id: string
  readonly #path: string
  readonly #file: FileHandle

  private constructor(id: string, path: string, file: FileHandle) {
    this.id = id
    this.#path = path
    this.#file = file
  }

  static async register(runRoot: string): Promise<Owner> {
    const directory = `${runRoot}/owners`
    await mkdir(directory, { recursive: true, mode: 0o700 })
    for (;;) {
      const id = randomBytes(8).toString('hex')
      const path = `${directory}/${id}`
      const file = await open(path, 'wx', 0o600)
      // Between its making and its lock the file looks like one of the dead, and may have been removed as such.
      if (tryLock(file.fd, 'exclusive') && (await isStill(path, file))) return new Owner(id, path, file)
      await file.close()
    }
  }

  /** Whether the instance of that id has its lock. The file of a dead one is removed. */
  static async lives(runRoot: string, id: string): Promise<boolean> {
    const path = `${runRoot}/owners/${id}`
    let file: FileHandle
    try {
      file = await open(path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
    try {
      if (!tryLock(file.fd, 'shared')) return true
      await rm(path, { force: true })
      return false
    } finally {
      await file.close()
    }
  }

  /** Remove the files of all that are dead, also of those that no record speaks of. */
  static async forgetDead(runRoot: string): Promise<void> {
    const ids = await readdir(`${runRoot}/owners`)
    await Promise.all(ids.map((id) => Owner.lives(runRoot, id)))
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true })
    await this.#file.close()
  }
}

async function isStill(path: string, file: FileHandle): Promise<boolean> {
  const [there, ours] = await Promise.all([stat(path).catch(() => undefined), file.stat()])
  return there?.ino === ours.ino
}
