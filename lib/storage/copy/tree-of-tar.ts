/** A tar unpacked into a tree that lives: a container's. */
import { PodlingError } from '../../errors.js'
import { LayerOperations } from '../layer-operations.js'
import type { IdCounts } from '../layer-owner.js'
import { TarReader } from '../tar/reader.js'
import {
  operationSize,
  unpackFlags,
  writeInteger,
  writeOperation,
  type Head,
  type OperationSink,
  type UnpackOperation,
} from '../unpack-operations.js'
import { parseUnpackStatus, type UnpackFailure } from '../unpack-status.js'
import { throwIfAborted } from '../../image/progress.js'
import { untilAborted } from './until-aborted.js'
import { readEnd, writeEnd, type OpenCopier, type Tree } from './copier.js'

/** The unpacker could not do it: which operation, which call, on what. */
export class UnpackError extends Error {
  readonly failure: UnpackFailure

  constructor(failure: UnpackFailure) {
    super(`${failure.operation} ${failure.path}: ${failure.syscall}: ${failure.errno}`)
    this.failure = failure
  }
}

/**
 * Unpack a tar at a directory of a tree, over what is there: a file takes the place of what has its name, a directory that
 * is there keeps what is in it. No name in the tar leads out of that directory, by whatever links.
 * @param path of the directory, as a program sees it whose root the tree is: a byte string
 * @param signal ends it, also while the tree takes nothing; what was unpacked by then stays
 * @throws UnpackError, PodlingError LAYER_INVALID for what is no tar, ABORTED, and whatever `tar` throws
 */
export async function unpackInto(
  openCopier: OpenCopier,
  tree: Tree,
  path: string,
  tar: AsyncIterable<Uint8Array>,
  { signal, ids }: { readonly signal?: AbortSignal | undefined; readonly ids?: IdCounts | undefined } = {},
): Promise<void> {
  const { input, output } = await openCopier(tree, 'in')
  const operations = writeEnd(input)
  const status = readAll(output)
  // In the tree's own root a link means what it means to its programs; elsewhere it could lead anywhere.
  const isRoot = path.replaceAll('/', '') === ''
  const sink = new GatheredOperations({ path, major: unpackFlags.atPath | (isRoot ? unpackFlags.followLinks : 0) })
  const ended = new Promise<void>((resolve) => operations.once('close', resolve))
  // Without an end operation the unpacker knows that it was given up, and goes.
  const giveUp = (): void => {
    operations.destroy()
  }
  signal?.addEventListener('abort', giveUp, { once: true })
  let failure: { readonly error: unknown } | undefined
  try {
    const layer = new LayerOperations(sink, {
      devices: 'make',
      absoluteNames: 'strip',
      overlayXattrs: 'trusted',
      maxEntries: Infinity,
      plainNames: true,
      ...(ids === undefined ? {} : { ids }),
    })
    const reader = new TarReader(layer)
    for await (const chunk of untilAborted(tar, 'unpack a tar', signal)) {
      reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      // It has stopped listening, and its status says why.
      if (operations.destroyed) break
      if (!operations.write(sink.take())) await Promise.race([ended, drained(operations)])
    }
    if (!operations.destroyed) {
      reader.finish()
      layer.end()
      operations.end(sink.take())
    }
  } catch (error) {
    failure = { error }
    operations.destroy()
  }
  const result = parseUnpackStatus(await status)
  operations.destroy()
  signal?.removeEventListener('abort', giveUp)
  if (failure !== undefined) throw failure.error
  throwIfAborted('unpack a tar', signal)
  if (result !== undefined) throw new UnpackError(result)
}

function drained(operations: ReturnType<typeof writeEnd>): Promise<void> {
  return new Promise((resolve) => operations.once('drain', resolve))
}

async function readAll(fd: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of readEnd(fd)) chunks.push(chunk as Buffer)
  } catch (cause) {
    throw new PodlingError('SYSTEM_CALL_FAILED', 'read what came of unpacking', { cause })
  }
  return Buffer.concat(chunks)
}

/** Operations in memory, until they are taken. */
class GatheredOperations implements OperationSink {
  readonly #start: Head
  #parts: Buffer[] = []

  /** @param start what the first operation says beside what is said anyway */
  constructor(start: Head) {
    this.#start = start
  }

  operation(operation: UnpackOperation, head: Head): void {
    // Nothing waits for the disk: what a container is given is as durable as what it writes itself.
    const whole =
      operation === 'start' ? { ...head, ...this.#start } : operation === 'end' ? { ...head, mode: 0 } : head
    const bytes = Buffer.allocUnsafe(operationSize(whole))
    writeOperation(bytes, 0, operation, whole)
    this.#parts.push(bytes)
  }

  chunk(offset: number, length: number): void {
    const bytes = Buffer.allocUnsafe(16)
    writeInteger(bytes, 0, offset)
    writeInteger(bytes, 8, length)
    this.#parts.push(bytes)
  }

  contents(bytes: Buffer): void {
    this.#parts.push(Buffer.from(bytes))
  }

  flush(): void {
    // They are taken when there is room for them.
  }

  take(): Buffer {
    return Buffer.concat(this.#parts.splice(0))
  }
}
