import { PodlingError } from '../errors.js'

/** How far one part of an image has come. Sent often; `current` never goes back within one phase of a digest. */
export interface ImageProgress {
  /** The blob that it is about; a layer's, a config's or a manifest's. */
  readonly digest: string
  readonly kind: 'manifest' | 'config' | 'layer'
  /**
   * `exists`: the blob was there already, here or, of a push, in the registry. `done`: the blob is there and verified.
   * `unpack`: a layer becomes a directory. `mounted`: the registry took it from another of its repositories.
   */
  readonly phase: 'exists' | 'download' | 'copy' | 'done' | 'unpack' | 'unpacked' | 'upload' | 'mounted'
  /** Bytes done. Of `unpack`: bytes of the packed blob that were read. */
  readonly current: number
  /** Bytes in all. */
  readonly total: number
}

export type OnProgress = (progress: ImageProgress) => void

/** The typed error for a caller's own cancel. */
export function abortedError(what: string, signal: AbortSignal): PodlingError {
  return new PodlingError('ABORTED', `${what}: aborted by the caller`, { cause: signal.reason })
}

export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(what, signal)
}
