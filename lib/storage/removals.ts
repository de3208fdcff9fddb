/**
 * Removing trees of one directory, many at a time: what is asked for while an unpacker is at it goes with the next one, all
 * together. One process for a whole batch costs less than the dozens of trips to the thread pool that one tree takes.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { OpenUnpacker } from './layer-types.js'
import { removeTrees } from './remove-tree.js'

interface Wanted {
  readonly name: string
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class Removals {
  readonly #openUnpacker: OpenUnpacker
  readonly #directory: string
  #waiting: Wanted[] = []
  #working = false

  constructor(openUnpacker: OpenUnpacker, directory: string) {
    this.#openUnpacker = openUnpacker
    this.#directory = directory
  }

  /** Resolves when `name` in the directory is gone with all that is in it. @throws as {@link removeTrees} */
  remove(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name, resolve, reject })
      if (!this.#working) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#working = true
    // Those of one turn of the event loop go together.
    await nextTurn()
    while (this.#waiting.length > 0) await this.#removeAll(this.#waiting.splice(0))
    this.#working = false
  }

  async #removeAll(batch: readonly Wanted[]): Promise<void> {
    const names = batch.map(({ name }) => name)
    try {
      await removeTrees(this.#openUnpacker, this.#directory, names)
      for (const { resolve } of batch) resolve()
    } catch (error) {
      // One that resists keeps those behind it: each by itself then, to know whose failure it is.
      if (batch.length === 1) for (const { reject } of batch) reject(error)
      else for (const one of batch) await this.#removeAll([one])
    }
  }
}
