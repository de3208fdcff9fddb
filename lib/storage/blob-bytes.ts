/** The bytes of a layer's blob, unpacked, as they come: of a whole file, or behind a writer that is still at it. */
import { fstatSync, read } from 'node:fs'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MessageChannel } from 'node:worker_threads'
import { PodlingError } from '../errors.js'
import { readGrowth } from '../image/blob-growth.js'
import { detectCompression, magicLength, nativeDecompressor, zstdDecoder } from '../image/decompress.js'
import type { LayerCompression, LayerProgress } from './layer-types.js'

/** Bytes that are read at once, and that come out of a decompressor at once: each time costs a trip to another thread. */
const chunkSize = 256 * 1024

/** Unpacked chunks that may wait to be used, so that the decompressor goes on meanwhile. */
const readAhead = 8

/** Milliseconds between two looks at a blob that grows. */
const growthInterval = 2

const readAt = promisify(read)

/** A blob that was being written is not going to be whole: what was read of it is worth nothing. */
export class BlobLost extends Error {}

export interface BlobInput {
  readonly blob: number
  readonly name: string
  readonly growth?: BigInt64Array
  readonly compression?: LayerCompression
  /** Asked while nothing comes. */
  readonly cancelled?: () => boolean
}

/**
 * Read a blob to its end and pass on what is in it.
 * @param take gets the unpacked bytes, valid during the call. What it throws ends the reading.
 * @throws PodlingError LAYER_INVALID, MEDIA_TYPE_UNSUPPORTED; BlobLost; what reading the file throws
 */
export async function readBlob(
  input: BlobInput,
  take: (chunk: Buffer) => void,
  onProgress: (progress: LayerProgress) => void,
): Promise<void> {
  const source = new BlobReader(input)
  const report = (): void => {
    onProgress({ bytes: source.position, total: source.total })
  }
  const compression = input.compression ?? (await detected(source, input.name))
  try {
    if (compression === 'none') {
      for await (const chunk of source.chunks()) {
        take(chunk)
        report()
      }
    } else await decompress(source, compression, take, report)
  } catch (error) {
    if (error instanceof PodlingError || error instanceof BlobLost || isSystemError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new PodlingError('LAYER_INVALID', `the layer ${input.name} is not sound ${compression}: ${why}`, {
      cause: error,
    })
  }
  // What is left behind the end of the packed data has a part in whether the blob is the right one.
  await source.whole()
}

async function decompress(
  source: BlobReader,
  compression: 'gzip' | 'zstd',
  take: (chunk: Buffer) => void,
  report: () => void,
): Promise<void> {
  // As objects: else what waits would be put together into one buffer, by copying it, each time that it is read.
  const native = nativeDecompressor(compression, {
    chunkSize,
    readableObjectMode: true,
    readableHighWaterMark: readAhead,
  })
  if (native === undefined) {
    // What comes out goes on at once: a bomb doesn't find the room to go off.
    const decoder = zstdDecoder((chunk) => {
      take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    })
    for await (const chunk of source.chunks()) {
      // It keeps what it can't use yet.
      decoder.push(Uint8Array.from(chunk))
      report()
    }
    decoder.push(new Uint8Array(0), true)
    return
  }
  const free = freer()
  try {
    // An error of the file ends the decompressor, whose reader is here.
    feed(native, source).catch((error: unknown) => native.destroy(error as Error))
    for await (const chunk of native as AsyncIterable<Buffer>) {
      take(chunk)
      free(chunk)
      report()
    }
  } finally {
    native.destroy()
  }
}

/** An error of the decompressor is for who reads from it; this is then never done, as when it has no use for the rest. */
async function feed(decompressor: Writable, source: BlobReader): Promise<void> {
  let taken = Promise.resolve()
  for await (const chunk of source.chunks()) {
    await taken
    if (decompressor.destroyed) return
    taken = new Promise((resolve) => {
      decompressor.write(chunk, () => {
        resolve()
      })
    })
  }
  await taken
  decompressor.end()
}

/**
 * What frees the memory of chunks at once. A layer's would else wait for the garbage collector, which is told of it, and goes
 * through all that the thread has for every 64 MB: a fifth of the time of a pull. A message to a port that is closed takes
 * what is transferred with it along.
 */
function freer(): (chunk: Buffer) => void {
  const { port1: closed } = new MessageChannel()
  closed.close()
  return ({ buffer, byteOffset, byteLength }) => {
    // The decompressor writes on behind a chunk that doesn't reach the end.
    if (byteOffset + byteLength === buffer.byteLength) closed.postMessage(undefined, [buffer as ArrayBuffer])
  }
}

class BlobReader {
  readonly #input: BlobInput
  readonly total: number
  position = 0

  constructor(input: BlobInput) {
    this.#input = input
    this.total = input.growth === undefined ? fstatSync(input.blob).size : readGrowth(input.growth).total
  }

  /** The first bytes, without going on. */
  async head(length: number): Promise<Buffer> {
    const { bytes } = await this.#available(length)
    const { buffer, bytesRead } = await readAt(this.#input.blob, Buffer.alloc(length), 0, Math.min(length, bytes), 0)
    return buffer.subarray(0, bytesRead)
  }

  /** All from here on. A chunk is valid until the one after the next is asked for. */
  async *chunks(): AsyncGenerator<Buffer> {
    let [current, other] = [Buffer.allocUnsafeSlow(chunkSize), Buffer.allocUnsafeSlow(chunkSize)]
    for (;;) {
      const { bytes } = await this.#available(this.position + 1)
      if (bytes <= this.position) return
      const length = Math.min(chunkSize, bytes - this.position)
      const { bytesRead } = await readAt(this.#input.blob, current, 0, length, this.position)
      if (bytesRead === 0) return
      this.position += bytesRead
      yield current.subarray(0, bytesRead)
      ;[current, other] = [other, current]
    }
  }

  /** Wait until all of it is there. */
  async whole(): Promise<void> {
    await this.#available(Infinity)
  }

  /** Wait until so many bytes are there, or all of them. */
  async #available(wanted: number): Promise<{ bytes: number }> {
    const { growth } = this.#input
    if (growth === undefined) return { bytes: this.total }
    for (;;) {
      const now = readGrowth(growth)
      if (now.lost) throw new BlobLost('the blob that was being written is gone')
      // At its end for the word that the bytes are the right ones, not just as many.
      if (now.whole || (now.bytes >= wanted && wanted <= now.total)) return now
      if (this.#input.cancelled?.()) throw new PodlingError('ABORTED', 'unpacking a layer was aborted')
      await sleep(growthInterval)
    }
  }
}

/** The bytes tell, not the media type: there are registries full of layers that are marked wrongly. */
async function detected(source: BlobReader, name: string): Promise<LayerCompression> {
  const compression = detectCompression(await source.head(Math.min(magicLength, source.total)))
  if (compression !== 'xz' && compression !== 'bzip2') return compression
  throw new PodlingError(
    'MEDIA_TYPE_UNSUPPORTED',
    `layer ${name}: is packed with ${compression}, which no image may be`,
  )
}

/** zlib's errors have an errno too, but none of the kernel's names. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
