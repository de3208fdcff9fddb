/** Files of {@link KernelFiles} that stay open from one look to the next: to read them again is one system call, not three. */
import { closeSync, openSync, readFileSync } from 'node:fs'
import type { KernelFiles } from './kernel-files.js'

/** How many more descriptors may be kept. */
export interface DescriptorRoom {
  left: number
}

/** A quarter of what this process may have; the rest is for what it is there for (getrlimit(2), RLIMIT_NOFILE). */
export function descriptorRoom(): DescriptorRoom {
  const soft = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  return { left: Math.floor(Number(soft ?? 1024) / 4) }
}

export class KeptFiles {
  readonly #files: KernelFiles
  readonly #room: DescriptorRoom
  /** By directory and name: no path is put together, and looked up, for what is open. */
  readonly #open = new Map<string, Map<string, number>>()
  #keeps = false

  constructor(files: KernelFiles, room: DescriptorRoom) {
    this.#files = files
    this.#room = room
  }

  /** What is read from now on stays open, as long as there is room. */
  keep(): void {
    this.#keeps = true
  }

  /** As {@link KernelFiles.read}. One whose directory was removed, and maybe made again, is opened anew. */
  read(directory: string, name: string): string | undefined {
    const fd = this.#open.get(directory)?.get(name) ?? this.#begin(directory, name)
    if (fd === undefined) return this.#files.read(`${directory}/${name}`)
    const text = this.#files.readOpen(fd)
    if (text !== undefined) return text
    this.#end(directory, name, fd)
    return this.#files.read(`${directory}/${name}`)
  }

  close(): void {
    this.#keeps = false
    for (const [directory, files] of this.#open) {
      for (const [name, fd] of files) this.#end(directory, name, fd)
    }
  }

  #begin(directory: string, name: string): number | undefined {
    if (!this.#keeps || this.#room.left <= 0) return undefined
    try {
      const fd = openSync(`${directory}/${name}`, 'r')
      this.#room.left--
      const files = this.#open.get(directory) ?? new Map<string, number>()
      this.#open.set(directory, files.set(name, fd))
      return fd
    } catch {
      return undefined
    }
  }

  #end(directory: string, name: string, fd: number): void {
    closeSync(fd)
    this.#open.get(directory)?.delete(name)
    this.#room.left++
  }
}
