/** An archive as a file, which gets its name when it is whole, or as a stream. */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PodlingError } from '../errors.js'
import { linkDescriptor } from '../sys/file-calls.js'
import { codeForErrno } from '../sys/libc.js'
import { tarBytes } from './archive-write.js'
import { abortedError, throwIfAborted } from './progress.js'
import type { SavedMember } from './save-types.js'
import { syncPath } from '../sys/sync-path.js'

/** @throws {PodlingError} as `saveImages` */
export async function writeArchive(
  destination: string | Writable,
  members: AsyncIterable<SavedMember>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const bytes = tarBytes(members)
  if (typeof destination === 'string') {
    await writeFile(destination, bytes, what, signal)
    return
  }
  try {
    await pipeline(Readable.from(bytes, { objectMode: false }), destination, ...(signal ? [{ signal }] : []))
  } catch (error) {
    if (signal?.aborted) throw abortedError(what, signal)
    throw destinationError(what, error)
  }
}

async function writeFile(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await checkFile(path, what)
  let file: Unnamed | undefined
  try {
    file = await Unnamed.open(dirname(path))
    for await (const chunk of bytes) {
      throwIfAborted(what, signal)
      await file.handle.writeFile(chunk)
    }
    await file.handle.datasync()
    await file.publish(path)
  } catch (error) {
    throw destinationError(what, error, path)
  } finally {
    await file?.close()
  }
}

/** @throws {PodlingError} INVALID_OPTION when something stands there that can't be replaced by a file */
async function checkFile(path: string, what: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined || found.isFile()) return
  const why = found.isDirectory()
    ? "is a directory; give a file's name, or format: 'oci-dir'"
    : 'is no regular file; pass a stream'
  throw new PodlingError('INVALID_OPTION', `${what}: ${why}`, { path })
}

/** Not among Node's constants; the same number on x86-64 and arm64, beside the O_DIRECTORY that it comes with. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

/** A file that has no name yet, so that nothing is left of it whatever happens (open(2), O_TMPFILE). */
class Unnamed {
  readonly handle: FileHandle
  readonly #directory: string
  /** The name that it has where the file system knows no files without. */
  #name: string | undefined

  private constructor(handle: FileHandle, directory: string, name?: string) {
    this.handle = handle
    this.#directory = directory
    this.#name = name
  }

  static async open(directory: string): Promise<Unnamed> {
    try {
      return new Unnamed(await open(directory, O_TMPFILE | constants.O_RDWR, 0o644), directory)
    } catch (error) {
      const errno = (error as NodeJS.ErrnoException).code
      if (errno !== 'EOPNOTSUPP' && errno !== 'EISDIR') throw error
    }
    const name = temporaryName(directory)
    return new Unnamed(await open(name, 'wx', 0o644), directory, name)
  }

  /** Give it its name; a file that has it loses it in the same moment. */
  async publish(path: string): Promise<void> {
    if (this.#name === undefined) {
      if (linkDescriptor(this.handle.fd, path)) return this.#sync()
      const name = temporaryName(this.#directory)
      linkDescriptor(this.handle.fd, name)
      this.#name = name
    }
    await rename(this.#name, path)
    this.#name = undefined
    await this.#sync()
  }

  async close(): Promise<void> {
    await this.handle.close()
    if (this.#name !== undefined) await unlink(this.#name).catch(() => undefined)
  }

  /** Make the name durable. */
  async #sync(): Promise<void> {
    await syncPath(this.#directory)
  }
}

function temporaryName(directory: string): string {
  return join(directory, `.podling-${randomUUID()}`)
}

/** Any failure of writing to a destination as a typed one. */
export function destinationError(what: string, error: unknown, path?: string): PodlingError {
  if (error instanceof PodlingError) return error
  const errno = (error as NodeJS.ErrnoException | undefined)?.code
  const code = errno === undefined ? 'SYSTEM_CALL_FAILED' : errno === 'ENOENT' ? 'INVALID_OPTION' : codeForErrno(errno)
  const why = errno === 'ENOENT' ? 'there is no such directory' : error instanceof Error ? error.message : String(error)
  return new PodlingError(code, `${what}: ${why}`, {
    cause: error,
    ...(errno === undefined ? {} : { errno }),
    ...(path === undefined ? {} : { path }),
  })
}
