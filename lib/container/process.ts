import type { Readable, Writable } from 'node:stream'
import { PodlingError } from '../errors.js'
import type { ExecProcess } from '../launch/monitor.js'
import { signalName, signalNumber, type Signal } from './signals.js'

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
}

/**
 * A further process in a running container, with its streams live. They are the process's own pipes: what isn't read
 * here makes the writer there wait.
 *
 * Disposing it kills the process and waits until it is gone.
 */
export class ContainerProcess implements AsyncDisposable {
  /** The pid in the host's pid namespace. */
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /**
   * Settles when the process has ended. What it wrote may still wait to be read from its streams.
   * @throws PodlingError `MONITOR_DIED`
   */
  readonly exited: Promise<ProcessExit>
  readonly #process: ExecProcess

  /** @internal Use {@link Container.spawn}. */
  constructor(process: ExecProcess, { stdin, stdout, stderr }: ProcessStreams) {
    this.#process = process
    this.pid = process.pid
    this.stdin = stdin
    this.stdout = stdout
    this.stderr = stderr
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    this.stdin.destroy()
    this.stdout.destroy()
    this.stderr.destroy()
    await this.exited.catch(() => undefined)
  }
}
