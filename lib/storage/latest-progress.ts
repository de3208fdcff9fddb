/** Progress on its way to another thread: the first and the last word of each phase, and of those between the newest now and then. */
import type { ImageProgress } from '../image/progress.js'

/** Milliseconds between two words of one phase. */
const interval = 50

export class LatestProgress {
  readonly #tell: (progress: ImageProgress) => void
  #told: ImageProgress | undefined
  #held: ImageProgress | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(tell: (progress: ImageProgress) => void) {
    this.#tell = tell
  }

  push(progress: ImageProgress): void {
    if (progress.phase !== this.#told?.phase) this.flush()
    this.#held = progress
    if (this.#timer !== undefined) return
    this.#give()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#held !== undefined) this.push(this.#held)
    }, interval)
  }

  /** Tell what is held. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#give()
  }

  #give(): void {
    if (this.#held === undefined) return
    this.#told = this.#held
    this.#held = undefined
    this.#tell(this.#told)
  }
}
