/** The directories of volumes, one each. What is in them is hostile: it is removed by an unpacker, confined to them. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, isErrno } from '../file-error.js'
import type { OpenUnpacker } from '../layer-types.js'
import { removeTrees } from '../remove-tree.js'

/** Where directories go that are being removed; no volume can be called so. */
const removedName = '.removed'

export class VolumeFiles {
  readonly #directory: string
  readonly #openUnpacker: OpenUnpacker

  constructor(directory: string, openUnpacker: OpenUnpacker) {
    this.#directory = directory
    this.#openUnpacker = openUnpacker
  }

  path(name: string): string {
    return join(this.#directory, name)
  }

  /** Make the directory of a volume where it is missing. Nobody but root gets into it. */
  make(name: string): void {
    try {
      mkdirSync(this.path(name), { mode: 0o700 })
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the directory of volume ${name}`)
    }
  }

  /** Remove directories with all that is in them. 'Already gone' is success. */
  async remove(names: readonly string[]): Promise<void> {
    const removed = join(this.#directory, removedName)
    const moved: string[] = []
    try {
      mkdirSync(removed, { recursive: true, mode: 0o700 })
      for (const name of names) {
        const own = randomUUID()
        if (rename(this.path(name), join(removed, own))) moved.push(own)
      }
    } catch (error) {
      throw fileError(error, `remove the directory of volume ${names.join(', ')}`)
    }
    await removeTrees(this.#openUnpacker, removed, moved)
  }

  /** Remove what is no volume's, and finish what was being removed. */
  async sweep(isKnown: (name: string) => boolean): Promise<void> {
    const strays = readdirSync(this.#directory).filter((name) => name !== removedName && !isKnown(name))
    if (strays.length > 0) await this.remove(strays)
    await removeTrees(this.#openUnpacker, join(this.#directory, removedName), this.#unfinished())
  }

  #unfinished(): string[] {
    try {
      return readdirSync(join(this.#directory, removedName))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return []
      throw error
    }
  }
}

/** @returns false when there is nothing of that name */
function rename(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}
