/** What a monitor says over one stream, about pid 1 or about an exec'd process, and what it is asked there. */
import { PodlingError } from '../errors.js'
import { codeForErrno, errnoName } from '../sys/libc.js'
import { Connection, goneError } from './connection.js'
import { failureError } from './describe.js'
import type { ContainerHealth } from './health.js'
import type { Plan } from './plan.js'
import type { Ending, ExitRecord, Failure, Frame, RequestKind, Started } from './protocol.js'

type Answer = Extract<Frame, { kind: 'answer' }>

/** A promise with its ends, whose rejection is nobody's fault while nobody looks. */
export class Settled<T> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void
  reject!: (error: Error) => void
  done = false

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = (value) => {
        this.done = true
        resolve(value)
      }
      this.reject = (error) => {
        this.done = true
        reject(error)
      }
    })
    this.promise.catch(() => undefined)
  }
}

/** @internal What both a container's pid 1 and an exec'd process have: a start, an end, and answers in between. */
export class Remote {
  readonly connection: Connection
  readonly started = new Settled<Started>()
  readonly exited = new Settled<ExitRecord>()
  /** Every frame that says who the process is, anew: at the barrier, after the exec. */
  onStarted: (started: Started, running: boolean) => void = () => undefined
  /** The container has ended and is to be started again. */
  onEnded: (ending: Ending) => void = () => undefined
  /** All its processes are frozen, or go on. */
  onFrozen: (frozen: boolean) => void = () => undefined
  /** Has the other side said anything about a process? */
  heard = false
  /** It waits for its launch: see {@link Spare}. */
  onWarm: () => void = () => undefined
  /** So many lines of its output the log lacks by now. */
  onLostLines: (lines: number) => void = () => undefined
  lostLines = 0
  /** How healthy the container is, told anew with each check. */
  onHealth: (health: ContainerHealth) => void = () => undefined
  health: ContainerHealth | undefined
  /** Why the container could not be started again, the last time. */
  lastFailure: PodlingError | undefined
  /** Has it told of the end? Its silence is in order then. */
  #ended = false
  #plan: Plan | undefined
  readonly #answers = new Map<number, { readonly answer: Settled<Answer>; readonly what: string }>()
  #nextId = 1

  constructor(fd: number, plan: Plan | undefined) {
    this.#plan = plan
    this.connection = new Connection(fd, {
      onFrame: (frame) => {
        this.#take(frame)
      },
      onClose: () => {
        this.#lose(goneError('MONITOR_DIED'))
      },
    })
  }

  /** What is to be launched over this stream, to tell of its failure. */
  expect(plan: Plan): void {
    this.#plan = plan
  }

  #take(frame: Frame): void {
    if (frame.kind === 'warm') {
      this.onWarm()
      return
    }
    if (frame.kind === 'lost-lines') {
      this.lostLines = frame.lines
      this.onLostLines(frame.lines)
      return
    }
    if (frame.kind === 'health') {
      this.health = frame.health
      this.onHealth(frame.health)
      return
    }
    // What a launcher says of itself, and no monitor.
    if (frame.kind === 'unmapped' || frame.kind === 'inside') return
    this.heard = true
    switch (frame.kind) {
      case 'started':
      case 'ready':
        this.onStarted(frame.started, frame.kind === 'started')
        this.started.resolve(frame.started)
        return
      case 'failed':
        this.#lose(this.#failed(frame.failure))
        return
      case 'exited':
        this.#ended = true
        this.lastFailure = this.#startError(frame.ending)
        this.exited.resolve(frame.ending.record)
        return
      case 'ended':
        this.lastFailure = this.#startError(frame.ending)
        this.onStarted(frame.started, false)
        this.onEnded(frame.ending)
        this.started.resolve(frame.started)
        return
      case 'frozen':
        this.onFrozen(frame.frozen)
        return
      case 'answer':
        this.#answers.get(frame.id)?.answer.resolve(frame)
        this.#answers.delete(frame.id)
        return
    }
  }

  #failed(failure: Failure): PodlingError {
    return this.#plan === undefined
      ? new PodlingError('START_FAILED', 'The container could not be started')
      : failureError(failure, this.#plan)
  }

  #startError({ failure }: Ending): PodlingError | undefined {
    return failure === undefined ? undefined : this.#failed(failure)
  }

  #lose(error: PodlingError): void {
    this.started.reject(error)
    this.exited.reject(error)
    for (const { answer, what } of this.#answers.values()) answer.reject(this.#ended ? endedError(what) : error)
    this.#answers.clear()
  }

  /** Why the other side takes nothing more. It told of its end before it went, and that may still be on its way. */
  async whyGone(what: string, cause: unknown): Promise<PodlingError> {
    const errno = cause instanceof PodlingError ? cause.errno : undefined
    if (errno === 'EPIPE' || errno === 'ECONNRESET') {
      await this.connection.holdWhile(this.exited.promise).catch(() => undefined)
    }
    return this.#ended ? endedError(what) : goneError('MONITOR_DIED', cause)
  }

  /** The exit, for which the event loop stays alive. Whoever drops the promise has no unhandled rejection. */
  awaitExit(): Promise<ExitRecord> {
    const exit = this.connection.holdWhile(this.exited.promise)
    exit.catch(() => undefined)
    return exit
  }

  /** Ask, and wait for the answer. `what` begins the message of an error. @param descriptors stay the caller's */
  async ask(
    kind: RequestKind,
    first: number,
    second: number,
    what: string,
    descriptors: readonly number[] = [],
  ): Promise<Answer> {
    const id = this.#nextId++
    const answer = new Settled<Answer>()
    this.#answers.set(id, { answer, what })
    try {
      await this.connection.send(kind, id, first, second, descriptors)
    } catch (error) {
      this.#answers.delete(id)
      throw await this.whyGone(what, error)
    }
    const given = await this.connection.holdWhile(answer.promise)
    if (given.error === 0) return given
    const errno = errnoName(given.error)
    if (errno === 'ENOTTY') throw new PodlingError('INVALID_STATE', `${what}: it has none; start it with tty: true`)
    throw errno === 'ESRCH' ? endedError(what) : new PodlingError(codeForErrno(errno), `${what}: ${errno}`, { errno })
  }
}

/** @internal */
export function endedError(what: string): PodlingError {
  return new PodlingError('INVALID_STATE', `${what}: it has ended`)
}
