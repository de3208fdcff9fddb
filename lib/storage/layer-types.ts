/** The words of lib/storage that its users and its parts share. */
import type { ArrivingBlob } from '../image/blob-growth.js'

/**
 * Start an unpacker (native/unpack.c) that works in `directory` and can reach nothing else. Injected, since the
 * launcher that forks it stands further down.
 * @returns descriptors that the caller owns: `stream` takes the operations, `status` gives the result. Both blocking.
 */
export type OpenUnpacker = (directory: string) => Promise<{ readonly stream: number; readonly status: number }>

export type LayerCompression = 'gzip' | 'zstd' | 'none'

/** A layer to be applied. */
export interface LayerSource {
  /** Chain id of the layer that it stands on. */
  readonly parent?: string
  /** Digest of the uncompressed tar. */
  readonly diffId: string
  /** Host path of the blob, or the blob on its way. */
  readonly blob: string | ArrivingBlob
  /** @default what its first bytes say */
  readonly compression?: LayerCompression
}

/** Owner and mode of the root of a file system. */
export interface RootAttributes {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

export interface LayerProgress {
  /** Bytes of the blob, as it is compressed, that have been read. */
  readonly bytes: number
  /** Bytes of the blob in all. */
  readonly total: number
}

export interface LayerLimits {
  /** Bytes of the layer uncompressed; holes of sparse files, which take no room, don't count. @default 64 GiB */
  readonly maxBytes?: number
  /** Entries in the tar. @default 10 million */
  readonly maxEntries?: number
}

/** How strangers' layers are taken. */
export interface LayerRules extends LayerLimits {
  /**
   * What to do with a name that starts with a slash: take it as standing in the layer's root, as Docker and Podman do,
   * or refuse the layer. A name that leads out of the root is refused in either case. @default 'strip'
   */
  readonly absoluteNames?: 'strip' | 'refuse'
}

export interface ApplyOptions {
  readonly signal?: AbortSignal
  /** Called at most every 100 ms, and at the end. */
  readonly onProgress?: (progress: LayerProgress) => void
  readonly limits?: LayerLimits
  /**
   * Takes a reference to the layer for this holder in the transaction that makes it known, so that nobody's release
   * removes it in between. Given back by `release`.
   */
  readonly holder?: string
  /**
   * What the layer waits for before it becomes known, when all else is done: that its blob is verified, and that its
   * parent is there. @default nothing: both are so
   */
  readonly ready?: () => Promise<unknown>
  /** What to do with device nodes in the tar. @default 'make', and 'skip' where there can be none */
  readonly devices?: 'make' | 'skip' | 'refuse'
  /** See {@link LayerRules}. @default 'strip' */
  readonly absoluteNames?: 'strip' | 'refuse'
  /** The class of overlay's own attributes: `user` for mounts with `userxattr`. @default as the runtime mounts */
  readonly overlayXattrs?: 'trusted' | 'user'
}
