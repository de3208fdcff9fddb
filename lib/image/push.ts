/** An image of the blob store becomes one of a registry: first all blobs, then the manifests, the name at last. */
import { forEachParallel } from './parallel.js'
import type { BlobStore } from './blob-store.js'
import { blobsHere, flattenTree, storedTree } from './image-tree.js'
import type { OnProgress } from './progress.js'
import { formatReference, type Reference } from './reference.js'
import type { RegistryUploads } from './registry-upload.js'
import { uploadBlob } from './upload.js'

export interface PushContext {
  readonly uploads: RegistryUploads
  readonly store: BlobStore
  /** Other repositories of the registry that may have a blob. @default none */
  readonly neighbours?: (digest: string) => readonly string[]
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** Connections at once, as for a pull. */
const parallelUploads = 5

/**
 * Push a manifest or an index, and all that hangs on it, byte for byte as it is in the store. Whenever it ends, the
 * registry has the name as it was, or wholly as it is now: a manifest is put when all is there that it points to.
 * @throws {PodlingError} BLOB_NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_INVALID, REGISTRY_*, ABORTED
 */
export async function pushImage(digest: string, reference: Reference, context: PushContext): Promise<void> {
  const { uploads, store, onProgress, signal } = context
  const { repository, tag } = reference
  const what = `push ${formatReference(reference)}`
  const { trees, blobs } = flattenTree(await storedTree(store, digest, what))
  const configs = new Set(trees.flatMap((tree) => tree.blobs.slice(0, 1).map((blob) => blob.digest)))
  const upload = { uploads, repository, store, onProgress, neighbours: context.neighbours ?? (() => []) }
  const here = await blobsHere(store, blobs, what)
  await forEachParallel(here, parallelUploads, signal, (blob, laneSignal) =>
    uploadBlob(upload, blob, configs.has(blob.digest) ? 'config' : 'layer', laneSignal),
  )
  for (const { descriptor, bytes } of trees) {
    const isTop = descriptor.digest === digest
    // Under a tag it is put though it is there: the tag may be another's.
    const target = isTop && tag !== undefined ? tag : descriptor.digest
    const report = (phase: 'exists' | 'done'): void => {
      onProgress?.({ digest: descriptor.digest, kind: 'manifest', phase, current: bytes.length, total: bytes.length })
    }
    if (target === descriptor.digest && (await uploads.hasManifest(repository, target, descriptor.mediaType, signal))) {
      report('exists')
      continue
    }
    await uploads.putManifest(repository, target, descriptor, bytes, signal)
    report('done')
  }
}
