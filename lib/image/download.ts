/** One blob into the store, unless it is there. How it is fetched is the fetcher's business. */
import type { ArrivingBlob } from './blob-growth.js'
import type { BlobStore } from './blob-store.js'
import { wrongSize } from './fetch-blob.js'
import type { Fetcher } from './fetcher.js'
import type { Descriptor } from './manifest.js'
import type { ImageProgress, OnProgress } from './progress.js'

export interface DownloadContext {
  readonly fetcher: Fetcher
  readonly repository: string
  readonly store: BlobStore
  readonly onProgress?: OnProgress | undefined
}

/**
 * Bring a blob into the store, unless it is there.
 * @param begin gets the blob when it begins to come, and again if it has to begin anew; its file is the caller's to close
 * @throws {PodlingError} DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_NOT_FOUND, REGISTRY_*, ABORTED
 */
export async function downloadBlob(
  { fetcher, repository, store, onProgress }: DownloadContext,
  descriptor: Descriptor,
  kind: ImageProgress['kind'],
  signal: AbortSignal | undefined,
  begin?: (blob: ArrivingBlob) => void,
): Promise<void> {
  const { digest, size } = descriptor
  if (!(await store.has(digest))) {
    await fetcher.blob({ repository, digest, size, kind, signal, onProgress, begin })
    return
  }
  const stored = await store.size(digest)
  if (stored !== size) throw wrongSize(`pull the ${kind} ${digest} of ${fetcher.registry}/${repository}`, size, stored)
  onProgress?.({ digest, kind, phase: 'exists', current: size, total: size })
}
