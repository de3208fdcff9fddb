/**
 * Room on the disk for what a commit will write, taken before LMDB writes it.
 *
 * lmdb answers a write that finds no room with a message of more than 99 characters in 100 bytes of memory (3.5.6), and
 * the process dies of that sooner or later. So LMDB never gets as far as that: its file owns the blocks beforehand, past
 * its end (fallocate(2), FALLOC_FL_KEEP_SIZE), and a full disk is told by us.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { allocate } from '../sys/file-calls.js'

/** Of each commit, for the list of free pages and the roots, and of each of its writes. */
interface Need {
  readonly commit: number
  readonly write: number
}

/** More than records and the pages of the tree above them take, which are written anew. */
const ample: Need = { commit: 512 * 1024, write: 16 * 1024 }
/** Enough for what is small: from a full disk one must still be able to remove. */
const scarce: Need = { commit: 32 * 1024, write: 16 * 1024 }
/** Taken at once, so that most commits find their room. */
const step = 1024 * 1024
const statBlock = 512

export class DatabaseRoom {
  readonly #fd: number
  readonly #path: string
  /** Not where the file system can't: some on a network, and those that never write in place. */
  #possible = true

  constructor(path: string) {
    this.#path = path
    this.#fd = openSync(path, 'r+')
  }

  /**
   * Call it with the write lock held.
   * @throws PodlingError DISK_FULL
   */
  take(writes: number): void {
    if (!this.#possible) return
    const { size, blocks } = fstatSync(this.#fd)
    const end = (need: Need) => size + need.commit + writes * need.write
    const owned = blocks * statBlock
    if (owned >= end(ample)) return
    try {
      this.#possible = this.#allocate(Math.ceil(end(ample) / step) * step)
    } catch {
      if (owned < end(scarce)) this.#allocate(end(scarce))
    }
  }

  #allocate(bytes: number): boolean {
    return allocate(
      this.#fd,
      bytes,
      `commit to the state database ${this.#path}, which needs space on its disk`,
      this.#path,
    )
  }

  close(): void {
    closeSync(this.#fd)
  }
}
