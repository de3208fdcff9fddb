import type { ErrorCode } from '../../errors.js'

/** Why something failed. */
export interface Explanation {
  readonly code: ErrorCode
  readonly why: string
  /** What the caller can do; absent where that is anybody's guess. */
  readonly remedy?: string
}
