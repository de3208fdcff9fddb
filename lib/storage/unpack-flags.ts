/** What a thread that unpacks is given, and how both sides see where the other is. */
import type { LayerPolicy } from './layer-operations.js'
import type { LayerCompression } from './layer-types.js'

/** Where a layer goes. */
export type UnpackTarget =
  /** To an unpacker, by its descriptors, which the job closes. */
  | { readonly to: 'unpacker'; readonly stream: number; readonly status: number }
  /** As it is into a new file, with an index over it in another. */
  | { readonly to: 'tar'; readonly tar: string; readonly index: string }

export interface UnpackJob {
  /** The blob, open for reading; the job leaves it open. */
  readonly blob: number
  /** What it is called in messages. */
  readonly name: string
  /** Of a blob that is still coming; see blob-growth.ts. */
  readonly growth?: BigInt64Array
  /** @default what its first bytes say */
  readonly compression?: LayerCompression
  readonly diffId: string
  readonly target: UnpackTarget
  readonly policy: LayerPolicy
  readonly maxBytes: number
  /** Shared between the threads, by {@link unpackFlags}: not zero is yes. */
  readonly flags: Int32Array
}

/** Places in {@link UnpackJob.flags}. */
export const unpackFlags = {
  /** Give up. */
  cancel: 0,
  /** The thread has closed its descriptors: they are somebody else's now. */
  streamClosed: 1,
  statusClosed: 2,
} as const
