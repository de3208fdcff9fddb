/** What a pull asks of a registry. Who answers may be another thread. */
import type { ArrivingBlob } from './blob-growth.js'
import type { ImageProgress, OnProgress } from './progress.js'
import type { RegistryManifest } from './registry.js'

export interface BlobRequest {
  readonly repository: string
  readonly digest: string
  readonly size: number
  readonly kind: ImageProgress['kind']
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  /** Gets the blob when it begins to come, and again if it has to begin anew; its file is the receiver's to close. */
  readonly begin?: ((blob: ArrivingBlob) => void | Promise<void>) | undefined
}

export interface Fetcher {
  /** As references name it. */
  readonly registry: string
  /** As `RegistryClient.manifest`. */
  manifest(repository: string, reference: string, signal?: AbortSignal): Promise<RegistryManifest>
  /**
   * Bring a blob into the store, verified.
   * @throws {PodlingError} DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_NOT_FOUND, REGISTRY_*, ABORTED
   */
  blob(request: BlobRequest): Promise<void>
}
