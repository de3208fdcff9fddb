/** The work of an unpacking thread: a blob is read, unpacked, hashed, understood, and sent to an unpacker. */
import { createHash } from 'node:crypto'
import { closeSync, createReadStream, readSync, statSync } from 'node:fs'
import { Decompress } from 'fzstd'
import { PodlingError } from '../errors.js'
import { nativeDecompressor } from '../image/decompress.js'
import { fileError, isErrno } from './file-error.js'
import { LayerOperations } from './layer-operations.js'
import type { LayerProgress } from './layer-types.js'
import { TarReader } from './tar/reader.js'
import { unpackFlags, type UnpackJob } from './unpack-flags.js'
import { layerFailure, parseUnpackStatus, type UnpackFailure } from './unpack-status.js'
import { UnpackStream } from './unpack-stream.js'

/** Bytes that come out of a decompressor at once: each time costs a trip to another thread. */
const chunkSize = 256 * 1024

/** @returns what was unpacked. @throws PodlingError; nothing of the job is open any more then */
export async function unpackBlob(
  job: UnpackJob,
  onProgress: (progress: LayerProgress) => void,
): Promise<{ bytes: number; entries: number }> {
  let result: { bytes: number; entries: number } | undefined
  let failure: unknown
  try {
    result = await send(job, onProgress)
  } catch (error) {
    failure = error
  } finally {
    // Without an end operation the unpacker knows that nothing came of it, and goes.
    Atomics.store(job.flags, unpackFlags.streamClosed, 1)
    closeSync(job.stream)
  }
  const outcome = readStatus(job)
  if (result !== undefined && outcome === undefined) return result
  // The unpacker stopped listening: it knows why.
  if (failure === undefined || isErrno(failure, 'EPIPE')) throw layerFailure(outcome ?? vanished)
  throw fileError(failure, `read ${job.blob}`)
}

const vanished: UnpackFailure = { operation: 'unpack', syscall: 'write', errno: 'EPIPE', path: '' }

async function send(
  job: UnpackJob,
  onProgress: (progress: LayerProgress) => void,
): Promise<{ bytes: number; entries: number }> {
  const stream = new UnpackStream(job.stream)
  const operations = new LayerOperations(stream, job.policy)
  const reader = new TarReader(operations)
  const hash = createHash('sha256')
  let bytes = 0
  const take = (chunk: Buffer): void => {
    if (Atomics.load(job.flags, unpackFlags.cancel) !== 0)
      throw new PodlingError('ABORTED', 'unpacking a layer was aborted')
    bytes += chunk.length
    if (bytes > job.maxBytes) {
      throw new PodlingError('LAYER_TOO_LARGE', `the layer has more than ${String(job.maxBytes)} bytes uncompressed`)
    }
    hash.update(chunk)
    reader.push(chunk)
  }
  await decompress(job, take, onProgress)
  reader.finish()
  const actual = `sha256:${hash.digest('hex')}`
  if (actual !== job.diffId) {
    throw new PodlingError(
      'DIGEST_MISMATCH',
      `the layer ${job.blob} has diff id ${actual}, and its image says ${job.diffId}`,
    )
  }
  operations.end()
  return { bytes, entries: operations.entries }
}

async function decompress(
  { blob, compression }: UnpackJob,
  take: (chunk: Buffer) => void,
  onProgress: (progress: LayerProgress) => void,
): Promise<void> {
  const total = statSync(blob).size
  const file = createReadStream(blob, { highWaterMark: chunkSize })
  const report = (): void => {
    onProgress({ bytes: file.bytesRead, total })
  }
  const native = compression === 'none' ? undefined : nativeDecompressor(compression, { chunkSize })
  try {
    if (compression === 'none' || native !== undefined) {
      // An error of the file ends the decompressor, whose reader is here.
      file.once('error', (error) => native?.destroy(error))
      for await (const chunk of native === undefined ? file : file.pipe(native)) {
        take(chunk as Buffer)
        report()
      }
    } else {
      // What comes out goes on at once: a bomb doesn't find the room to go off.
      const decoder = new Decompress((chunk) => {
        take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      })
      for await (const chunk of file) {
        decoder.push(chunk as Buffer)
        report()
      }
      decoder.push(new Uint8Array(0), true)
    }
  } catch (error) {
    if (error instanceof PodlingError || isSystemError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new PodlingError('LAYER_INVALID', `the layer ${blob} is not sound ${compression}: ${why}`, { cause: error })
  } finally {
    native?.destroy()
    file.destroy()
  }
}

/** zlib's errors have an errno too, but none of the kernel's names. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function readStatus({ status, flags }: UnpackJob): UnpackFailure | undefined {
  const parts: Buffer[] = []
  try {
    for (;;) {
      const part = Buffer.alloc(8192)
      const length = readSync(status, part, 0, part.length, null)
      if (length === 0) break
      parts.push(part.subarray(0, length))
    }
  } finally {
    Atomics.store(flags, unpackFlags.statusClosed, 1)
    closeSync(status)
  }
  return parseUnpackStatus(Buffer.concat(parts))
}
