/** One blob from a registry into the store: resumed where a try broke off, verified, fetched once for all who want it. */
import { PodlingError, type ErrorCode } from '../errors.js'
import type { ArrivingBlob } from './blob-growth.js'
import type { BlobStore, BlobWriter } from './blob-store.js'
import type { Descriptor } from './manifest.js'
import { abortedError, type ImageProgress, type OnProgress } from './progress.js'
import type { RegistryClient } from './registry.js'
import { isPassing } from './registry-errors.js'

export interface DownloadContext {
  readonly client: RegistryClient
  readonly repository: string
  readonly store: BlobStore
  readonly onProgress?: OnProgress | undefined
}

/** Tries in a row that may bring not a single byte. */
const maxBarrenTries = 5

/**
 * Bring a blob into the store, unless it is there. What an interrupted try got is kept for the next.
 * @param begin gets the blob when it begins to come, and again if it has to begin anew; its file is the caller's to close
 * @throws {PodlingError} DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_NOT_FOUND, REGISTRY_*, ABORTED
 */
export async function downloadBlob(
  context: DownloadContext,
  descriptor: Descriptor,
  kind: ImageProgress['kind'],
  signal: AbortSignal | undefined,
  begin?: (blob: ArrivingBlob) => void,
): Promise<void> {
  const { store, onProgress } = context
  const { digest, size } = descriptor
  const what = `pull the ${kind} ${digest} of ${context.client.registry}/${context.repository}`
  const report: Report = (phase, current) => onProgress?.({ digest, kind, phase, current, total: size })
  if (await store.has(digest)) {
    const stored = await store.size(digest)
    if (stored !== size) throw wrongSize(what, size, stored)
    report('exists', size)
    return
  }
  try {
    await fetchOnce(context, descriptor, what, report, signal, begin)
  } catch (error) {
    // What an earlier try left may itself have been bad: such bytes get one clean try.
    if (!(error instanceof ResumedMismatch)) throw error
    await fetchOnce(context, descriptor, what, report, signal, begin)
  }
}

type Report = (phase: ImageProgress['phase'], current: number) => void

/** The bytes were wrong, and the first of them were of an earlier try. */
class ResumedMismatch extends Error {}

async function fetchOnce(
  context: DownloadContext,
  { digest, size }: Descriptor,
  what: string,
  report: Report,
  signal: AbortSignal | undefined,
  begin: ((blob: ArrivingBlob) => void) | undefined,
): Promise<void> {
  const writer = await context.store.writer({ digest, size }, signal ? { signal } : {})
  const resumed = writer.offset
  const whole = resumed === size && size > 0
  try {
    const arriving = begin === undefined ? undefined : writer.follow()
    if (arriving !== undefined) begin?.(arriving)
    if (!whole) await transfer(context, writer, digest, size, what, report, signal)
  } catch (error) {
    await (isFinal(signal?.aborted ? signal.reason : error) ? writer.discard() : writer.keep())
    throw error
  }
  try {
    await writer.commit()
    report(whole ? 'exists' : 'done', size)
  } catch (cause) {
    if (!(cause instanceof PodlingError) || cause.code !== 'DIGEST_MISMATCH') throw cause
    if (resumed > 0) throw new ResumedMismatch()
    throw new PodlingError('DIGEST_MISMATCH', `${what}: the registry sent other bytes: ${cause.message}`, { cause })
  }
}

/** What makes another try bring the same again, or find no room for it. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'LAYER_INVALID', 'LAYER_TOO_LARGE', 'MEDIA_TYPE_UNSUPPORTED', 'IMAGE_INVALID', 'DISK_FULL',
]) // prettier-ignore

/**
 * Wrong bytes are not kept; bytes that are merely not complete are, unless this blob was given up since another of its
 * image is bad.
 */
function isFinal(reason: unknown): boolean {
  return reason instanceof PodlingError && finalCodes.has(reason.code)
}

async function transfer(
  { client, repository }: DownloadContext,
  writer: BlobWriter,
  digest: string,
  size: number,
  what: string,
  report: Report,
  signal: AbortSignal | undefined,
): Promise<void> {
  report('download', writer.offset)
  let barren = 0
  let ended = false
  while (writer.offset < size || (size === 0 && !ended)) {
    const before = writer.offset
    try {
      const blob = await client.blob(repository, digest, before, signal)
      // A server that ignores the range sends all over again: what we have is skipped.
      let skip = before - blob.start
      for await (const chunk of blob.chunks) {
        const fresh = skip >= chunk.byteLength ? undefined : chunk.subarray(skip)
        skip -= chunk.byteLength - (fresh?.byteLength ?? 0)
        if (!fresh) continue
        if (writer.offset + fresh.byteLength > size) throw wrongSize(what, size, undefined)
        await writer.write(fresh)
        report('download', writer.offset)
      }
      ended = true
    } catch (error) {
      if (signal?.aborted) throw abortedError(what, signal)
      if (!isPassing(error)) throw client.failure(what, error)
      barren = writer.offset > before ? 0 : barren + 1
      if (barren >= maxBarrenTries) throw client.failure(what, error)
      continue
    }
    if (writer.offset < size && writer.offset === before) throw wrongSize(what, size, writer.offset)
  }
}

function wrongSize(what: string, expected: number, actual: number | undefined): PodlingError {
  const got = actual === undefined ? 'more came' : `it has ${String(actual)}`
  return new PodlingError('SIZE_MISMATCH', `${what}: the manifest says ${String(expected)} bytes, but ${got}`)
}
