/**
 * The helper that makes one process and leaves it (native/detach.c): its protocol, as this side sees it.
 *
 *   plan ──▶, ◀── READY at each stop, 'g' ──▶, ◀── STARTED; with 's' in the place of the last 'g', ◀── EXITED at its end
 *   plan of CRIU ──▶, ◀── STARTED, RESTORED ──▶, ◀── STARTED of what it has made
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Connection } from '../launch/connection.js'
import { failureError } from '../launch/describe.js'
import { encodePlan } from '../launch/encode/plan.js'
import { findHelper } from '../launch/helper-path.js'
import type { Plan } from '../launch/plan.js'
import type { ExitRecord, Frame, Started } from '../launch/protocol.js'
import { close } from '../sys/descriptors.js'
import { socketPair } from '../sys/unix-sockets.js'
import { OciError } from './oci-error.js'
import { startFailure } from './start-failure.js'

export interface HelperOptions {
  /** The FIFO that the start is waited for on. @default none */
  readonly fifo?: string
  /** The socket that the terminal's master goes to. @default none */
  readonly console?: string | undefined
  /** What the plan calls /proc/self/fd/4. @default nothing */
  readonly directory?: number
  /** Descriptors that the program inherits, from 3 on. @default none */
  readonly passed?: readonly number[]
}

export class Helper {
  readonly #plan: Plan
  readonly #child: ChildProcess
  readonly #connection: Connection
  readonly #frames: Frame[] = []
  #wake: () => void = () => undefined
  #ended = false

  /** Begin. Our streams are those of the process, unless its plan says otherwise. */
  constructor(plan: Plan, { fifo = '-', console = '-', directory, passed = [] }: HelperOptions) {
    this.#plan = plan
    const [ours, theirs] = socketPair()
    this.#child = spawn(findHelper(), ['detach', fifo, console, String(passed.length)], {
      stdio: [0, 1, 2, theirs, directory ?? 'ignore', ...passed],
      env: {},
    })
    close(theirs)
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    this.#connection = new Connection(ours, {
      onFrame: (frame) => {
        this.#frames.push(frame)
        this.#wake()
      },
      // Whatever has become of it, the end of what it says tells.
      onClose: end,
    })
    this.#connection.hold()
    this.#child.on('error', end)
    this.#connection.write(encodePlan(plan))
  }

  /** It has stopped, and waits for a word. @throws OciError why it did not come so far */
  async ready(): Promise<Started> {
    const frame = await this.#next()
    if (frame.kind !== 'ready') throw unexpected(frame)
    return frame.started
  }

  /** Let it go on. `stay`: and wait for its end. */
  goOn(stay = false): void {
    this.#connection.write(Buffer.from(stay ? 's' : 'g'))
  }

  /** The process lives by itself now; or it is CRIU, which waits for its first word. */
  async started(): Promise<void> {
    const frame = await this.#next()
    if (frame.kind !== 'started') throw unexpected(frame)
  }

  /**
   * CRIU has made a process, which is what the helper is for from here on.
   * @param master of its terminal, where it has one; stays the caller's
   * @param stay wait for its end
   */
  async restored(pid: number, master: number | undefined, stay: boolean): Promise<void> {
    await this.#connection.send('restored', 0, pid, stay ? 1 : 0, master === undefined ? [] : [master])
    await this.started()
  }

  async exited(): Promise<ExitRecord> {
    const frame = await this.#next()
    if (frame.kind !== 'exited') throw unexpected(frame)
    return frame.ending.record
  }

  /** Nothing is left of it but the process that it made. */
  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    this.#connection.close()
  }

  /** Give up: what has not parted yet ends. */
  async abandon(): Promise<void> {
    this.#connection.close()
    await this.end()
  }

  async #next(): Promise<Frame> {
    while (this.#frames.length === 0) {
      if (this.#ended) throw new OciError('the helper died before the process had begun')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const frame = this.#frames.shift()!
    if (frame.kind === 'failed') throw startFailure(failureError(frame.failure, this.#plan), this.#plan)
    return frame
  }
}

function unexpected(frame: Frame): OciError {
  return new OciError(`the helper says '${frame.kind}' out of turn`)
}
