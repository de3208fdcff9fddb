import type { Readable, Writable } from 'node:stream'
import { PodlingError } from '../errors.js'
import type { ExecProcess } from '../launch/monitor.js'
import { checkTerminalSize, type TerminalSize } from './terminal/size.js'
import { signalName } from '../sys/signal-name.js'
import { signalNumber, type Signal } from './signals.js'

/** How a process in a container ended. */
export interface ProcessExit {
  /** 0 to 255; 128 plus the signal's number when a signal ended it. */
  readonly exitCode: number
  /** The signal that ended it, such as `'SIGKILL'`. */
  readonly signal?: string
}

/** The ends of a process's streams. */
export interface ProcessStreams {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Of a terminal: they can be let go of. */
  readonly terminal?: { readonly detached: Promise<void>; readonly detach: () => void }
}

/**
 * A further process in a running container, with its streams live. They are the process's own pipes, or its terminal: what
 * isn't read here makes the writer there wait.
 *
 * Disposing it kills the process and waits until it is gone.
 */
export class ContainerProcess implements AsyncDisposable {
  /** The pid in the host's pid namespace. */
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Ended, for one with a terminal: there all is on `stdout`. */
  readonly stderr: Readable
  /**
   * Settles when the process has ended. What it wrote may still wait to be read from its streams.
   * @throws PodlingError `MONITOR_DIED`
   */
  readonly exited: Promise<ProcessExit>
  /** Resolves when its terminal was let go of, by keys or by {@link detach}; without a terminal never. */
  readonly detached: Promise<void>
  readonly #process: ExecProcess
  readonly #detach: (() => void) | undefined

  /** @internal Use {@link Container.spawn}. */
  constructor(process: ExecProcess, { stdin, stdout, stderr, terminal }: ProcessStreams) {
    this.#process = process
    this.pid = process.pid
    this.stdin = stdin
    this.stdout = stdout
    this.stderr = stderr
    this.detached = terminal?.detached ?? new Promise(() => undefined)
    this.#detach = terminal?.detach
    this.exited = process.exited.then(({ exitCode, signal }) => ({
      exitCode,
      ...(signal === undefined ? {} : { signal: signalName(signal) }),
    }))
    this.exited.catch(() => undefined)
  }

  /** Send a signal. One that has ended already is left as it is. @param signal @default 'SIGKILL' */
  async kill(signal: Signal = 'SIGKILL'): Promise<void> {
    const number = signalNumber(signal)
    try {
      await this.#process.kill(number)
    } catch (error) {
      if (!(error instanceof PodlingError) || error.code !== 'INVALID_STATE') throw error
    }
  }

  /**
   * Change the size of its terminal. Its programs are told by SIGWINCH.
   * @throws PodlingError `INVALID_STATE` when it has none, or has ended, `INVALID_OPTION`
   */
  async resize(size: TerminalSize): Promise<void> {
    checkTerminalSize('resize the terminal of a process', size)
    await this.#process.resize(size.columns, size.rows)
  }

  /**
   * Let go of its terminal: the streams end here, and what it writes from then on is lost. It goes on, until it ends or this
   * host does.
   * @throws PodlingError `INVALID_STATE` when it has none: the streams are its own pipes then, which it can't do without
   */
  async detach(): Promise<void> {
    if (this.#detach === undefined) {
      throw new PodlingError(
        'INVALID_STATE',
        'detach from a process: it has no terminal; start it with tty: true for that',
      )
    }
    this.#detach()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    this.stdin.destroy()
    this.stdout.destroy()
    this.stderr.destroy()
    await this.exited.catch(() => undefined)
  }
}
