/** What lib/image needs of a store of blobs; `ContentStore` of lib/storage is one. */
import type { ArrivingBlob } from './blob-growth.js'

export interface BlobStore {
  has(digest: string): Promise<boolean>
  /** The file that holds a blob. */
  path(digest: string): string
  size(digest: string): Promise<number>
  /** A small blob, whole. Rejects BLOB_NOT_FOUND, or SIZE_MISMATCH when it has more than `limit` bytes. */
  read(digest: string, limit?: number): Promise<Buffer>
  put(bytes: Uint8Array): Promise<{ digest: string; size: number }>
  /** Store a stream whose digest shows at its end. When it throws, that is thrown, and nothing is left. */
  ingest(chunks: AsyncIterable<Uint8Array>): Promise<{ digest: string; size: number }>
  /**
   * Begin or resume a blob: bytes that an interrupted try left are there already (`offset`). Waits while another
   * writer, of any process, has the same blob in work, and then finds it whole: so nothing is fetched twice.
   */
  writer(
    expected: { readonly digest: string; readonly size?: number },
    options?: { readonly signal?: AbortSignal },
  ): Promise<BlobWriter>
}

/** Exactly one of `commit`, `keep` and `discard` ends a writer. */
export interface BlobWriter {
  /** Bytes that are there. */
  readonly offset: number
  write(chunk: Uint8Array): Promise<void>
  /** The blob as it comes, for who reads behind this writer; undefined when it is whole already. Its file is the caller's to close. */
  follow(): ArrivingBlob | undefined
  /** Verify and publish. Rejects DIGEST_MISMATCH or SIZE_MISMATCH, and then nothing of it is left. */
  commit(): Promise<void>
  /** Close, and leave the bytes for a later try. */
  keep(): Promise<void>
  /** Close, and leave nothing. */
  discard(): Promise<void>
}
