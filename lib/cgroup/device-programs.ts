/**
 * Device programs, kept by what their rules say: nearly all containers have the same rules. A program depends on nothing
 * else, so none gets out of date.
 */
import { deviceProgram } from './device-program.js'
import { deviceRules } from './device-rules.js'
import type { DeviceRule } from './resources.js'

/** Then the oldest one goes. */
const most = 16

export class DevicePrograms {
  readonly #known = new Map<string, Uint8Array | undefined>()

  /** The program for a container with these rules of its own; undefined when everything is allowed. */
  of(own: readonly DeviceRule[] = []): Uint8Array | undefined {
    const key = JSON.stringify(own)
    if (this.#known.has(key)) return this.#known.get(key)
    const program = deviceProgram(deviceRules(own))
    const [oldest] = this.#known.keys()
    if (oldest !== undefined && this.#known.size === most) this.#known.delete(oldest)
    this.#known.set(key, program)
    return program
  }
}
