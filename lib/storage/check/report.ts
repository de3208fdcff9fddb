/** What a check of a root tells. */

/** What can be wrong in a root. */
export type ProblemKind =
  /** An image needs a blob that is not there: it can't be pushed or saved. Pull or load the image again. */
  | 'blob-missing'
  /** A blob has other bytes than its digest says. Repaired by its removal, which makes it missing. */
  | 'blob-altered'
  /** A blob that no image needs. */
  | 'blob-orphaned'
  /** A layer that is known is not on disk. Repaired out of its blob. */
  | 'layer-missing'
  /** A layer's files are not those of its blob. Repaired out of that, unless containers use it. */
  | 'layer-altered'
  /** A layer that nobody needs. */
  | 'layer-orphaned'
  /** A layer is held by something that isn't there. */
  | 'reference-orphaned'
  /** An image whose layers are not known. Repaired by its removal; pull or load it again. */
  | 'image-broken'
  /** A name, of an image or a container, that leads to nothing. */
  | 'name-orphaned'
  /** A container whose layers, or whose own files, are not there. Remove it. */
  | 'container-broken'

export interface Problem {
  readonly kind: ProblemKind
  /** The digest, chain id, name or id that it is about. */
  readonly subject: string
  /** What was found, and what is left to do. */
  readonly detail: string
  /** It was put right. */
  readonly repaired: boolean
}

export interface CheckReport {
  /** None: all is as it should be. */
  readonly problems: readonly Problem[]
  /** How much was looked at. */
  readonly checked: { readonly blobs: number; readonly layers: number; readonly images: number; readonly bytes: number }
}

export interface CheckOptions {
  /** Put right what can be; what isn't needed is removed. @default false */
  readonly repair?: boolean
  /** Cancels; what was repaired stays so. */
  readonly signal?: AbortSignal
}

/** Gathers problems. */
export class Findings {
  readonly problems: Problem[] = []
  readonly repair: boolean
  readonly signal: AbortSignal | undefined

  constructor({ repair = false, signal }: CheckOptions) {
    this.repair = repair
    this.signal = signal
  }

  /** Note a problem, and put it right by `repair` if that is wanted. Without one it can't be. */
  async add(kind: ProblemKind, subject: string, detail: string, repair?: () => Promise<void>): Promise<void> {
    const repaired = this.repair && repair !== undefined
    if (repaired) await repair()
    this.problems.push({ kind, subject, detail, repaired })
  }
}
