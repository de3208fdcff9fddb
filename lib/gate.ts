import { PodlingError } from './errors.js'

/** Open until the runtime is closed; whoever begins something new passes through it. */
export class Gate {
  #open = true

  /** @throws PodlingError `RUNTIME_CLOSED` */
  pass(what: string): void {
    if (!this.#open) throw new PodlingError('RUNTIME_CLOSED', `${what}: the runtime was closed; open it again`)
  }

  close(): void {
    this.#open = false
  }
}
