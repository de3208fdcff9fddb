/**
 * Files that the kernel makes up as they are read: of cgroups, of procfs. They are short, never on a disk and never make a
 * reader wait, so they are read at once, by three system calls; `readFileSync` takes twice the time for them, and a trip
 * to the thread pool ten times.
 */
import { closeSync, openSync, readSync } from 'node:fs'

/** A read that gives less has come to the end: the kernel stops early only where the next line doesn't fit into a page. */
const HALF_A_PAGE = 2048

export class KernelFiles {
  readonly #room = Buffer.allocUnsafe(1 << 20)

  /** @returns undefined for a file that isn't there, or can't be read. What is beyond a megabyte is left out. */
  read(path: string): string | undefined {
    let fd: number | undefined
    try {
      fd = openSync(path, 'r')
      return this.readOpen(fd)
    } catch {
      return undefined
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  /** The same from its beginning, where the kernel makes it up anew. @returns undefined for what can't be read any more */
  readOpen(fd: number): string | undefined {
    try {
      let size = 0
      for (let got = HALF_A_PAGE; got >= HALF_A_PAGE; size += got) {
        got = readSync(fd, this.#room, size, this.#room.length - size, size)
      }
      return this.#room.toString('latin1', 0, size)
    } catch {
      return undefined
    }
  }
}
