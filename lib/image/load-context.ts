import type { BlobStore } from './blob-store.js'
import type { Platform } from './platform.js'
import type { OnProgress } from './progress.js'

export interface LoadContext {
  /** Asked when it is known what is to be loaded; what it throws forbids it. @default all is let in */
  readonly admit?: ((transport: 'docker-archive' | 'oci-archive' | 'oci') => Promise<void>) | undefined
  readonly store: BlobStore
  /** Of the images for several platforms, the one to take. @default the machine's; an image for one platform is taken as it is */
  readonly platform?: Platform | undefined
  /** Of an index, bring the images of all platforms, and use that of `platform`. @default false */
  readonly allPlatforms?: boolean | undefined
  readonly onProgress?: OnProgress | undefined
  /** Bytes of a layer at most: a packed archive could fill the disk before its layers are looked at. @default no limit */
  readonly maxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** An archive that was read: its documents, and which member became which blob. */
export interface ReadArchive {
  readonly what: string
  readonly documents: ReadonlyMap<string, Buffer>
  /** The digest of the blob that a member, or a link to one, became. */
  readonly blob: (name: string) => string | undefined
}
