/** One blob from a registry: resumed where a try broke off, verified, fetched once for all who want it. */
import { PodlingError, type ErrorCode } from '../errors.js'
import type { BlobStore, BlobWriter } from './blob-store.js'
import type { BlobRequest } from './fetcher.js'
import { abortedError, type ImageProgress } from './progress.js'
import type { RegistryClient } from './registry.js'
import { isPassing } from './registry-errors.js'

/** Tries in a row that may bring not a single byte. */
const maxBarrenTries = 5

/**
 * Fetch a blob. What an interrupted try got is kept for the next.
 * @throws {PodlingError} DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_NOT_FOUND, REGISTRY_*, ABORTED
 */
export async function fetchBlob(client: RegistryClient, store: BlobStore, request: BlobRequest): Promise<void> {
  const { repository, digest, size, kind, onProgress } = request
  const what = `pull the ${kind} ${digest} of ${client.registry}/${repository}`
  const report: Report = (phase, current) => onProgress?.({ digest, kind, phase, current, total: size })
  try {
    await fetchOnce(client, store, request, what, report)
  } catch (error) {
    // What an earlier try left may itself have been bad: such bytes get one clean try.
    if (!(error instanceof ResumedMismatch)) throw error
    await fetchOnce(client, store, request, what, report)
  }
}

type Report = (phase: ImageProgress['phase'], current: number) => void

/** The bytes were wrong, and the first of them were of an earlier try. */
class ResumedMismatch extends Error {}

async function fetchOnce(
  client: RegistryClient,
  store: BlobStore,
  request: BlobRequest,
  what: string,
  report: Report,
): Promise<void> {
  const { digest, size, signal, begin } = request
  const writer = await store.writer({ digest, size }, signal ? { signal } : {})
  const resumed = writer.offset
  const whole = resumed === size && size > 0
  try {
    const arriving = begin === undefined ? undefined : writer.follow()
    if (arriving !== undefined) await begin?.(arriving)
    if (!whole) await transfer(client, writer, request, what, report)
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
  client: RegistryClient,
  writer: BlobWriter,
  { repository, digest, size, signal }: BlobRequest,
  what: string,
  report: Report,
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

export function wrongSize(what: string, expected: number, actual: number | undefined): PodlingError {
  const got = actual === undefined ? 'more came' : `it has ${String(actual)}`
  return new PodlingError('SIZE_MISMATCH', `${what}: the manifest says ${String(expected)} bytes, but ${got}`)
}
