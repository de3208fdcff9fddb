/** The work of an unpacking thread: a blob is read, unpacked, hashed, understood, and sent to where it goes. */
import { createHash } from 'node:crypto'
import { closeSync, readSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { readBlob } from './blob-bytes.js'
import { indexTar } from './erofs/index-tar.js'
import { fileError, isErrno } from './file-error.js'
import { LayerOperations } from './layer-operations.js'
import type { LayerProgress, RootAttributes } from './layer-types.js'
import { TarReader } from './tar/reader.js'
import { unpackFlags, type UnpackJob, type UnpackTarget } from './unpack-flags.js'
import type { OperationSink } from './unpack-operations.js'
import { layerFailure, parseUnpackStatus, type UnpackFailure } from './unpack-status.js'
import { UnpackStream } from './unpack-stream.js'

export interface UnpackResult {
  readonly bytes: number
  readonly entries: number
  /** What the layer says of its root, when it does. */
  readonly root?: RootAttributes
}

type OnProgress = (progress: LayerProgress) => void

/** @returns what was unpacked. @throws PodlingError, BlobLost; no descriptor of the target is open any more then */
export async function unpackBlob(job: UnpackJob, onProgress: OnProgress): Promise<UnpackResult> {
  const { target } = job
  return target.to === 'unpacker' ? toUnpacker(job, target, onProgress) : toTar(job, target, onProgress)
}

async function toUnpacker(
  job: UnpackJob,
  { stream, status }: Extract<UnpackTarget, { to: 'unpacker' }>,
  onProgress: OnProgress,
): Promise<UnpackResult> {
  let result: UnpackResult | undefined
  let failure: unknown
  try {
    result = await read(job, new UnpackStream(stream), onProgress)
  } catch (error) {
    failure = error
  } finally {
    // Without an end operation the unpacker knows that nothing came of it, and goes.
    Atomics.store(job.flags, unpackFlags.streamClosed, 1)
    closeSync(stream)
  }
  const outcome = readStatus(status, job.flags)
  if (result !== undefined && outcome === undefined) return result
  // The unpacker stopped listening: it knows why.
  if (failure === undefined || isErrno(failure, 'EPIPE')) throw layerFailure(outcome ?? vanished)
  throw failure instanceof Error ? failure : fileError(failure, `read ${job.name}`)
}

const vanished: UnpackFailure = { operation: 'unpack', syscall: 'write', errno: 'EPIPE', path: '' }

async function toTar(
  job: UnpackJob,
  target: Extract<UnpackTarget, { to: 'tar' }>,
  onProgress: OnProgress,
): Promise<UnpackResult> {
  return indexTar(target, (sink, write) => read(job, sink, onProgress, write))
}

/** @param write gets the bytes of the tar before they are understood */
async function read(
  job: UnpackJob,
  sink: OperationSink,
  onProgress: OnProgress,
  write?: (chunk: Buffer) => void,
): Promise<UnpackResult> {
  const operations = new LayerOperations(sink, job.policy)
  const reader = new TarReader(operations)
  const hash = createHash('sha256')
  let bytes = 0
  const cancelled = (): boolean => Atomics.load(job.flags, unpackFlags.cancel) !== 0
  const take = (chunk: Buffer): void => {
    if (cancelled()) throw new PodlingError('ABORTED', 'unpacking a layer was aborted')
    bytes += chunk.length
    if (bytes > job.maxBytes) {
      throw new PodlingError('LAYER_TOO_LARGE', `the layer has more than ${String(job.maxBytes)} bytes uncompressed`)
    }
    hash.update(chunk)
    write?.(chunk)
    reader.push(chunk)
  }
  try {
    await readBlob({ ...job, cancelled }, take, onProgress)
  } catch (error) {
    if (isErrno(error, 'EPIPE') || !(error instanceof Error && 'syscall' in error)) throw error
    throw fileError(error, `read ${job.name}`)
  }
  reader.finish()
  const actual = `sha256:${hash.digest('hex')}`
  if (actual !== job.diffId) {
    throw new PodlingError(
      'DIGEST_MISMATCH',
      `the layer ${job.name} has diff id ${actual}, and its image says ${job.diffId}`,
    )
  }
  operations.end()
  const { entries, root } = operations
  return { bytes, entries, ...(root === undefined ? {} : { root }) }
}

function readStatus(status: number, flags: Int32Array): UnpackFailure | undefined {
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
