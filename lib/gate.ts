import { PodlingError } from './errors.js'

/** Open until the runtime is closed; whoever begins something new passes through it. */
export class Gate {
  readonly #closing = new AbortController()

  /** Aborts with the close. */
  get closed(): AbortSignal {
    return this.#closing.signal
  }

  /** @throws PodlingError `RUNTIME_CLOSED` */
  pass(what: string): void {
    if (this.closed.aborted) throw new PodlingError('RUNTIME_CLOSED', `${what}: the runtime was closed; open it again`)
  }

  close(): void {
    this.#closing.abort()
  }
}
