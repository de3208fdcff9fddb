/** What a thread that unpacks is given, and how both sides see where the other is. */
import type { LayerPolicy } from './layer-operations.js'
import type { LayerCompression } from './layer-types.js'

export interface UnpackJob {
  readonly blob: string
  readonly compression: LayerCompression
  readonly diffId: string
  /** Descriptors of the unpacker, which the job closes. */
  readonly stream: number
  readonly status: number
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
