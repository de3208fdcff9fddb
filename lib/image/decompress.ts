/** Finding out how bytes are packed, and unpacking them as a stream. */
import type * as Fzstd from 'fzstd'
import { Transform, type TransformCallback } from 'node:stream'
import * as zlib from 'node:zlib'
import { late } from '../late.js'
import type { Compression } from './media-types.js'

const fzstd = late('fzstd') as () => typeof Fzstd

/** Bytes that {@link detectCompression} needs. */
export const magicLength = 6

/** How a stream that begins so is packed; other packers by their name, since they are not supported. */
export function detectCompression(head: Uint8Array): Compression | 'bzip2' | 'xz' {
  const starts = (...magic: number[]): boolean => magic.every((byte, index) => head[index] === byte)
  if (starts(0x1f, 0x8b)) return 'gzip'
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd'
  // A zstd stream may begin with a skippable frame.
  if (head[0] !== undefined && head[0] >> 4 === 5 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18)
    return 'zstd'
  if (starts(0x42, 0x5a, 0x68)) return 'bzip2'
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz'
  return 'none'
}

/** How much comes out of a stream that unpacks at once, in bytes. */
interface UnpackOptions {
  readonly chunkSize?: number
  /** Bytes, or with `readableObjectMode` chunks, that may wait to be read. */
  readonly readableHighWaterMark?: number
  readonly readableObjectMode?: boolean
}

/** A stream that unpacks; for `none` there is nothing to do. */
export function decompressor(compression: Compression): Transform | undefined {
  if (compression === 'none') return undefined
  return nativeDecompressor(compression) ?? new ZstdDecompress()
}

/** What unpacks zstd where this Node can't; what comes out is `take`'s for the time of its call. */
export function zstdDecoder(take: (chunk: Uint8Array) => void): Fzstd.Decompress {
  return new (fzstd().Decompress)(take)
}

/** A stream that unpacks outside of JavaScript; undefined where this Node has none for it. */
export function nativeDecompressor(compression: 'gzip' | 'zstd', options: UnpackOptions = {}): Transform | undefined {
  if (compression === 'gzip') return zlib.createGunzip(options)
  // Node has zstd of its own from 22.15 on; it is ten times as fast as the one in JavaScript.
  return (zlib as { createZstdDecompress?: (options: UnpackOptions) => Transform }).createZstdDecompress?.(options)
}

class ZstdDecompress extends Transform {
  readonly #decoder = zstdDecoder((chunk) => this.push(chunk.slice()))
  #empty = true

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#empty = false
    this.#step(chunk, false, done)
  }

  override _flush(done: TransformCallback): void {
    if (this.#empty) done()
    else this.#step(new Uint8Array(), true, done)
  }

  #step(chunk: Uint8Array, final: boolean, done: TransformCallback): void {
    try {
      this.#decoder.push(chunk, final)
      done()
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** The first bytes of a stream, and all of it again. Fewer than `length` come only from a stream that is shorter. */
export async function peek(
  source: AsyncIterable<Uint8Array>,
  length: number,
): Promise<{ head: Buffer; all: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]()
  const parts: Uint8Array[] = []
  let size = 0
  while (size < length) {
    const result = await iterator.next()
    if (result.done) break
    parts.push(result.value)
    size += result.value.byteLength
  }
  const head = Buffer.concat(parts)
  return { head: head.subarray(0, length), all: replay(head, iterator) }
}

async function* replay(head: Buffer, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.byteLength > 0) yield head
    for (;;) {
      const result = await iterator.next()
      if (result.done) return
      yield result.value
    }
  } finally {
    await iterator.return?.()
  }
}
