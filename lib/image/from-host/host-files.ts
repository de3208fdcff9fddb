/**
 * The host's file system as the making of one image sees it: every answer is asked of the kernel once and kept, so that
 * a library that twenty programs share costs one look.
 */
import { constants, type BigIntStats } from 'node:fs'
import { lstat, open, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { codeForErrno } from '../../sys/libc.js'
import { readElf, type Elf, type ElfSource } from './elf.js'

/** Where a path leads. Every directory of these paths is a real one: links are resolved, and listed. */
export interface Walk {
  /** The symbolic links that were met, in the order of meeting them. */
  readonly links: readonly { readonly path: string; readonly target: string }[]
  /** The path with all links resolved. */
  readonly path: string
  readonly stats: BigIntStats
}

/** path_resolution(7): the kernel gives up after 40 links. */
const MAX_LINKS = 40
const HEAD = 4096

export class HostFiles {
  readonly #stats = new Map<string, Promise<BigIntStats | undefined>>()
  readonly #walks = new Map<string, Promise<Walk | undefined>>()
  readonly #elves = new Map<string, Promise<Elf | undefined>>()

  /** lstat(2); undefined where nothing is. */
  lstat(path: string): Promise<BigIntStats | undefined> {
    return remembered(this.#stats, path, () => lstat(path, { bigint: true }).catch(absent(path)))
  }

  /** Resolve an absolute path as the kernel does; undefined where it leads nowhere. */
  walk(path: string): Promise<Walk | undefined> {
    return remembered(this.#walks, path, () => this.#walk(path))
  }

  async #walk(path: string): Promise<Walk | undefined> {
    const links: { path: string; target: string }[] = []
    const left = path.split('/')
    let current = '/'
    let stats = await this.lstat('/')
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      if (name === '' || name === '.') continue
      const next = join(current, name)
      const found = await this.lstat(next)
      if (found === undefined) return undefined
      stats = found
      if (found.isSymbolicLink()) {
        if (links.length === MAX_LINKS) return undefined
        const target = await this.readlink(next)
        links.push({ path: next, target })
        left.unshift(...target.split('/'))
        if (target.startsWith('/')) current = '/'
        stats = await this.lstat(current)
      } else {
        current = next
      }
    }
    return stats === undefined ? undefined : { links, path: current, stats }
  }

  /** readlink(2). */
  async readlink(path: string): Promise<string> {
    return readlink(path).catch(unreadable(path))
  }

  /** Whether a path leads to a regular file that someone may execute. */
  async isProgram(path: string): Promise<boolean> {
    const walk = await this.walk(path)
    return walk !== undefined && walk.stats.isFile() && (walk.stats.mode & 0o111n) !== 0n
  }

  /** What an ELF file says; undefined for other files, and where no file is. @throws `ELF_INVALID` */
  elf(path: string): Promise<Elf | undefined> {
    return remembered(this.#elves, path, async () => {
      const walk = await this.walk(path)
      return walk?.stats.isFile() === true ? readElfFile(walk.path, Number(walk.stats.size)) : undefined
    })
  }

  /** The beginning of a file: up to 256 bytes, which is what the kernel looks at for `#!`. */
  async head(path: string): Promise<Buffer> {
    return withFile(path, async (read) => read(0, 256))
  }
}

async function readElfFile(path: string, size: number): Promise<Elf | undefined> {
  return withFile(path, async (read) => {
    // Header, program headers and interpreter are at the beginning of every real file: one read serves them all.
    const head = await read(0, Math.min(HEAD, size))
    const source: ElfSource = {
      size,
      read: (position, length) =>
        position + length <= head.length
          ? Promise.resolve(head.subarray(position, position + length))
          : read(position, length),
    }
    return readElf(source, path)
  })
}

type Read = (position: number, length: number) => Promise<Buffer>

async function withFile<T>(path: string, work: (read: Read) => Promise<T>): Promise<T> {
  // Without O_NONBLOCK the open of a FIFO, put there between the look and the open, would wait for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(unreadable(path))
  try {
    return await work(async (position, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    })
  } finally {
    await file.close()
  }
}

/** Nothing there is an answer; being forbidden to look is an error. */
function absent(path: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP') return undefined
    return unreadable(path)(error)
  }
}

/** Turns a failed look at the host into a typed error. */
export function unreadable(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const errno = error.code ?? 'EIO'
    const code = errno === 'ENOENT' ? 'HOST_FILE_NOT_FOUND' : codeForErrno(errno)
    throw new PodlingError(code, `read ${path} for an image of the host: ${errno}`, {
      cause: error,
      syscall: error.syscall ?? 'open',
      errno,
      path,
    })
  }
}

function remembered<T>(answers: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(key)
  if (known !== undefined) return known
  const answer = ask()
  answers.set(key, answer)
  return answer
}
