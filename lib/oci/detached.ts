/**
 * The helper that makes one process and leaves it (native/detach.c): its protocol, as this side sees it.
 *
 *   plan ──▶, ◀── READY at each stop, 'g' ──▶, ◀── STARTED; with 's' in the place of the last 'g', ◀── EXITED at its end
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { failureError } from '../launch/describe.js'
import { encodePlan } from '../launch/encode.js'
import { findHelper } from '../launch/helper-path.js'
import type { Plan } from '../launch/plan.js'
import { FrameReader, type ExitRecord, type Frame, type Started } from '../launch/protocol.js'
import { OciError } from './oci-error.js'
import { startFailure } from './start-failure.js'

export interface HelperOptions {
  /** The FIFO that the start is waited for on. @default none */
  readonly fifo?: string
  /** The socket that the terminal's master goes to. @default none */
  readonly console?: string | undefined
  /** What the plan calls /proc/self/fd/4. @default nothing */
  readonly directory?: number
  /** How many descriptors from 3 on the program inherits. @default 0 */
  readonly passed?: number
}

export class Helper {
  readonly #plan: Plan
  readonly #child: ChildProcess
  readonly #stream: Duplex
  readonly #frames: Frame[] = []
  #wake: () => void = () => undefined
  #ended = false

  /** Begin. Our streams are those of the process, unless its plan says otherwise. */
  constructor(plan: Plan, { fifo = '-', console = '-', directory, passed = 0 }: HelperOptions) {
    this.#plan = plan
    const inherited = Array.from({ length: passed }, (_, index) => 3 + index)
    this.#child = spawn(findHelper(), ['detach', fifo, console, String(passed)], {
      stdio: [0, 1, 2, 'pipe', directory ?? 'ignore', ...inherited],
      env: {},
    })
    this.#stream = this.#child.stdio[3] as Duplex
    const reader = new FrameReader()
    this.#stream.on('data', (chunk: Buffer) => {
      this.#frames.push(...reader.push(chunk))
      this.#wake()
    })
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    // Whatever has become of it, the end of what it says tells.
    this.#stream.on('error', () => undefined).on('close', end)
    this.#child.on('error', end)
    this.#stream.write(encodePlan(plan))
  }

  /** It has stopped, and waits for a word. @throws OciError why it did not come so far */
  async ready(): Promise<Started> {
    const frame = await this.#next()
    if (frame.kind !== 'ready') throw unexpected(frame)
    return frame.started
  }

  /** Let it go on. `stay`: and wait for its end. */
  goOn(stay = false): void {
    this.#stream.write(stay ? 's' : 'g')
  }

  /** The process lives by itself now. */
  async started(): Promise<void> {
    const frame = await this.#next()
    if (frame.kind !== 'started') throw unexpected(frame)
  }

  async exited(): Promise<ExitRecord> {
    const frame = await this.#next()
    if (frame.kind !== 'exited') throw unexpected(frame)
    return frame.ending.record
  }

  /** Nothing is left of it but the process that it made. */
  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    this.#stream.destroy()
  }

  /** Give up: what has not parted yet ends. */
  async abandon(): Promise<void> {
    // Its last words are about that.
    this.#stream.removeAllListeners('data').resume()
    this.#stream.end()
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
