/** Attachments of a container that was never started: they get all that it will write, from its first byte on. */
import { closeAll } from '../../launch/connection.js'
import type { Monitor } from '../../launch/monitor.js'
import type { ExitStatus } from '../exit-status.js'

interface Early {
  readonly stdin: boolean
  /** What the monitor gets; ours until then. Nothing, once its other side has let go. */
  give: readonly number[]
  readonly started: (ended: Promise<ExitStatus>) => void
  readonly failed: (error: Error) => void
}

export class EarlyAttachments {
  readonly #all = new Set<Early>()

  /** Whether a start must halt for them before the command runs. */
  get any(): boolean {
    return [...this.#all].some(({ give }) => give.length > 0)
  }

  /** @returns to be called when its other side lets go of the streams */
  add(early: Early): () => void {
    this.#all.add(early)
    return () => {
      closeAll(take(early))
    }
  }

  /** At the barrier: nothing was written yet. */
  async give(monitor: Monitor): Promise<void> {
    for (const early of this.#all) {
      if (early.give.length > 0) await monitor.attach(early.stdin, take(early))
    }
  }

  /** It runs. */
  started(ended: Promise<ExitStatus>): void {
    for (const early of this.#all) early.started(ended)
    this.#all.clear()
  }

  /** It could not be started, or never will be. */
  failed(error: Error): void {
    for (const early of this.#all) {
      closeAll(take(early))
      early.failed(error)
    }
    this.#all.clear()
  }
}

/** They belong to the caller from here on. */
function take(early: Early): readonly number[] {
  const { give } = early
  early.give = []
  return give
}
