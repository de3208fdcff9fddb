/**
 * A monitor made ahead of its container (native/slot.h): a start that finds one waiting saves the way through the
 * launcher, and on cgroup v1 a wait in the kernel.
 */
import { close } from '../sys/descriptors.js'
import { socketPair } from '../sys/unix-sockets.js'
import { encodePlan } from './encode/plan.js'
import type { Plan } from './plan.js'
import { Remote } from './remote.js'

/**
 * Milliseconds. Entering a v1 cgroup waits for an RCU grace period, unless somebody has done so in the last dozen or so;
 * and meanwhile it holds the lock that every container's start and end needs. So another spare is made at once while that
 * is warm, and else in a quiet moment.
 */
const warmFor = 10
const quiet = 10

/** Keeps one. */
export class SpareKeeper {
  /** Takes the monitor's end of its stream to the launcher. */
  readonly #deliver: (stream: number) => Promise<void>
  #spare: Remote | undefined
  #ready = false
  /** When a process has last entered cgroups. */
  #entered = -Infinity
  #launching = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(deliver: (stream: number) => Promise<void>) {
    this.#deliver = deliver
  }

  /**
   * Run a launch. No spare is made while one runs.
   * @param viaLauncher the way without a spare
   */
  async launch<T>(
    plan: Plan,
    stdio: readonly number[],
    bySpare: (remote: Remote) => Promise<T>,
    viaLauncher: () => Promise<T>,
  ): Promise<T> {
    this.#launching++
    clearTimeout(this.#timer)
    try {
      const remote = await this.#begin(plan, stdio)
      if (remote !== undefined) return await bySpare(remote)
      const result = await viaLauncher()
      this.#entered = performance.now()
      return result
    } finally {
      if (--this.#launching === 0) this.fill()
    }
  }

  /** Does one wait? */
  get ready(): boolean {
    return this.#ready && this.#spare?.connection.closed === false
  }

  /** Hand a plan to the spare. @returns undefined where there is none, or it has died. */
  async #begin(plan: Plan, stdio: readonly number[]): Promise<Remote | undefined> {
    const remote = this.#spare
    if (remote === undefined || !this.ready) return undefined
    const bytes = encodePlan(plan)
    this.#spare = undefined
    remote.expect(plan)
    try {
      await remote.connection.send('launch', 0, 0, 0, stdio)
    } catch {
      // It was killed. Without its plan it has begun nothing.
      remote.connection.close()
      return undefined
    }
    remote.connection.write(bytes)
    return remote
  }

  /** Have one made, now or soon, where there is none. */
  fill(): void {
    if (this.#closed) return
    if (this.#spare?.connection.closed === true) this.#spare = undefined
    if (this.#spare !== undefined) return
    clearTimeout(this.#timer)
    const warm = performance.now() - this.#entered < warmFor
    this.#timer = setTimeout(() => void this.#make(), warm ? 0 : quiet).unref()
  }

  async #make(): Promise<void> {
    if (this.#closed || this.#spare !== undefined) return
    const [ours, theirs] = socketPair()
    const remote = new Remote(ours, undefined)
    this.#spare = remote
    this.#ready = false
    remote.onWarm = () => {
      this.#entered = performance.now()
      if (this.#spare === remote) this.#ready = true
    }
    try {
      await this.#deliver(theirs)
    } catch {
      // Who needs a launcher hears of what ails it.
      remote.connection.close()
    } finally {
      close(theirs)
    }
  }

  /** Let go of the spare: its launcher is gone. */
  drop(): void {
    this.#spare?.connection.close()
    this.#spare = undefined
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.drop()
  }
}
