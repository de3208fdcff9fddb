import type { BlobStore } from './blob-store.js'
import type { OnProgress } from './progress.js'

export interface SavedImage {
  /** Of its manifest, or of the index that is to be saved whole. */
  readonly digest: string
  /** Canonical names that it gets there. */
  readonly names: readonly string[]
  /** Bytes of layers unpacked, by diff id, where they are known; what isn't is unpacked once more to see. */
  readonly plainSizes?: ReadonlyMap<string, number>
}

export interface SaveContext {
  readonly store: BlobStore
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** One file of what is saved. */
export interface SavedMember {
  /** Relative, `blobs/sha256/ab12`. */
  readonly name: string
  readonly size: number
  /** Exactly `size` bytes. */
  readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/** A small member whose bytes are in memory. */
export function documentMember(name: string, document: unknown): SavedMember {
  const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document))
  return { name, size: bytes.length, body: [bytes] }
}
