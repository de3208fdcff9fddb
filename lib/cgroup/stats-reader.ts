import { KernelFiles } from '../sys/kernel-files.js'
import { descriptorRoom, KeptFiles } from '../sys/kept-files.js'
import type { Places } from './places.js'
import { StatsOfOne } from './stats-of-one.js'
import type { CgroupStats } from './stats.js'

interface Known {
  readonly stats: StatsOfOne
  readonly kept: KeptFiles
}

/**
 * Reads what there is about containers, one at a time and at once. Whoever looks at one for the second time will go on to:
 * from then on its files stay open, as to find them is most of the work.
 */
export class StatsReader {
  readonly #files = new KernelFiles()
  readonly #places: Places
  readonly #room = descriptorRoom()
  readonly #known = new Map<string, Known>()

  constructor(places: Places) {
    this.#places = places
  }

  /** @returns undefined for a container that has no cgroup */
  read(id: string): CgroupStats | undefined {
    const known = this.#known.get(id)
    const { stats, kept } = known ?? this.#begin(id)
    if (known !== undefined) kept.keep()
    const found = stats.read()
    if (found === undefined) this.forget(id)
    return found
  }

  /** Nobody will ask again. */
  forget(id: string): void {
    this.#known.get(id)?.kept.close()
    this.#known.delete(id)
  }

  close(): void {
    for (const id of this.#known.keys()) this.forget(id)
  }

  #begin(id: string): Known {
    const kept = new KeptFiles(this.#files, this.#room)
    const known = { stats: new StatsOfOne(this.#places, id, kept, this.#files), kept }
    this.#known.set(id, known)
    return known
  }
}
