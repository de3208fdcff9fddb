/** What an archive is read from: a file or a stream, unpacked where it is packed as a whole. */
import { open } from 'node:fs/promises'
import { constants } from 'node:fs'
import { Readable } from 'node:stream'
import { PodlingError } from '../errors.js'
import { decompressor, detectCompression, magicLength, peek } from './decompress.js'
import type { Compression } from './media-types.js'
import { abortedError, throwIfAborted } from './progress.js'

/** A path, or a stream of bytes, which is read to its end or destroyed. */
export type ArchiveSource = string | Readable

export interface OpenSource {
  readonly stream: Readable
  /** How messages call it. */
  readonly what: string
  close(): Promise<void>
}

/** Open a source for reading. A FIFO or device is refused: it may never end, and the open would block. */
export async function openSource(source: ArchiveSource, verb: string): Promise<OpenSource> {
  if (typeof source !== 'string') {
    const what = `${verb} a stream`
    return {
      stream: source,
      what,
      close: () => {
        source.destroy()
        return Promise.resolve()
      },
    }
  }
  const what = `${verb} ${source}`
  try {
    const file = await open(source, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!(await file.stat()).isFile()) {
      await file.close()
      throw new PodlingError('ARCHIVE_INVALID', `${what}: is not a regular file`, { path: source })
    }
    const stream = file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 })
    const close = async (): Promise<void> => {
      stream.destroy()
      await file.close()
    }
    return { stream, what, close }
  } catch (cause) {
    if (cause instanceof PodlingError) throw cause
    const errno = (cause as NodeJS.ErrnoException).code ?? String(cause)
    const reason = errno === 'ENOENT' ? 'no such file' : errno
    throw new PodlingError('ARCHIVE_INVALID', `${what}: ${reason}`, { cause, errno, path: source })
  }
}

/** The bytes of a source and how they are packed. */
export async function sniff(
  source: OpenSource,
): Promise<{ bytes: AsyncIterable<Uint8Array>; head: Buffer; compression: Compression }> {
  const { head, all } = await peek(source.stream as AsyncIterable<Buffer>, magicLength)
  const compression = detectCompression(head)
  if (compression === 'xz' || compression === 'bzip2') {
    throw new PodlingError(
      'ARCHIVE_INVALID',
      `${source.what}: is packed with ${compression}; unpack it first, or use gzip or zstd`,
    )
  }
  return { bytes: all, head, compression }
}

/** Bytes unpacked. Damage becomes ARCHIVE_INVALID; what the source itself throws stays as it is. */
export async function* unpacked(
  bytes: AsyncIterable<Uint8Array>,
  compression: Compression,
  what: string,
): AsyncGenerator<Uint8Array> {
  const transform = decompressor(compression)
  if (!transform) {
    yield* bytes
    return
  }
  const input = Readable.from(bytes, { objectMode: false })
  let inputError: Error | undefined
  input.once('error', (error) => {
    inputError = error
    transform.destroy(error)
  })
  input.pipe(transform)
  try {
    for await (const chunk of transform as AsyncIterable<Buffer>) yield chunk
  } catch (cause) {
    if (inputError) throw inputError
    throw new PodlingError('ARCHIVE_INVALID', `${what}: its ${compression} data is damaged or cut off`, { cause })
  } finally {
    input.destroy()
    transform.destroy()
  }
}

/** The same chunks, until the caller cancels. */
export async function* abortable(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    throwIfAborted(what, signal)
    yield chunk
  }
}

/** Any failure of reading a source as a typed one. */
export function sourceFailure(what: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof PodlingError) return error
  if (signal?.aborted) return abortedError(what, signal)
  const errno = (error as NodeJS.ErrnoException | undefined)?.code
  return new PodlingError(
    errno === 'ENOSPC' || errno === 'EDQUOT' ? 'DISK_FULL' : 'ARCHIVE_INVALID',
    `${what}: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error, ...(errno === undefined ? {} : { errno }) },
  )
}
