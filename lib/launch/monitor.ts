/** The host's side of a monitor: one connection to the process that keeps one container. */
import { open, readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { connectUnix, socketPair } from '../sys/unix-sockets.js'
import { closeAll } from './connection.js'
import { encodePlan } from './encode/plan.js'
import type { ContainerHealth } from './health.js'
import type { Plan } from './plan.js'
import { killHow, restoredStreams, type Ending, type ExitRecord, type Started, type StreamInodes } from './protocol.js'
import { Remote, Settled, endedError } from './remote.js'

const EXEC = 'Execute a command in the container'
const RESIZE = 'Resize the terminal'
const ATTACH = 'Attach to the container'

/** A process that was brought into a running container. */
export class ExecProcess {
  readonly #remote: Remote
  readonly started: Started

  /** @internal */
  constructor(remote: Remote, started: Started) {
    this.#remote = remote
    this.started = started
  }

  /** In the host's pid namespace. */
  get pid(): number {
    return this.started.pid
  }

  /**
   * How it ended; the event loop stays alive for it from the first look on. Rejects with `MONITOR_DIED` when the monitor
   * vanished, and the process with it.
   */
  get exited(): Promise<ExitRecord> {
    return this.#remote.awaitExit()
  }

  /** Send a signal to it. @throws PodlingError `INVALID_STATE` when it has ended. */
  async kill(signal: number): Promise<void> {
    if (this.#remote.exited.done) throw endedError(`Send signal ${signal} to the process`)
    await this.#remote.ask('kill', signal, 0, `Send signal ${signal} to the process`)
  }

  /**
   * Change the size of its terminal; the foreground processes get SIGWINCH.
   * @throws PodlingError `INVALID_STATE` when it has none, or has ended.
   */
  async resize(columns: number, rows: number): Promise<void> {
    if (this.#remote.exited.done) throw endedError(RESIZE)
    await this.#remote.ask('resize', columns, rows, RESIZE)
  }

  /** Drop the connection. The process is killed, unless it has ended. */
  close(): void {
    this.#remote.connection.close()
  }
}

/**
 * Open a stream pair, let `deliver` take one end to the helper, and send the plan over the other.
 * @internal
 */
async function begin(plan: Plan, deliver: (theirs: number) => Promise<void>): Promise<Remote> {
  const bytes = encodePlan(plan)
  const [ours, theirs] = socketPair()
  const remote = new Remote(ours, plan)
  try {
    await deliver(theirs)
  } catch (error) {
    remote.connection.close()
    throw error
  } finally {
    close(theirs)
  }
  remote.connection.write(bytes)
  return remote
}

/** The monitor's end of a stream of a process that was restored; `input-once` ends with the last who is attached. */
export interface RestoredStream {
  readonly kind: 'terminal' | 'input' | 'input-once'
  readonly fd: number
}

/** What a monitor tells between the start and the end. */
export interface MonitorListener {
  /** It has ended, and is to be started again. @param error why it could not be started, if that was the end */
  ended(record: ExitRecord, error: PodlingError | undefined): void
  /** It runs again. */
  started(): void
  /** All its processes are frozen, or go on. */
  frozen(frozen: boolean): void
}

/** One connection to one monitor. */
export class Monitor {
  readonly #remote: Remote
  #started: Started
  #running: boolean
  #waiting: Ending | undefined
  #listener: MonitorListener | undefined
  #lastCheck: Promise<void> = Promise.resolve()

  private constructor(remote: Remote, started: Started, running: boolean, waiting: Ending | undefined) {
    this.#remote = remote
    this.#started = started
    this.#running = running
    this.#waiting = waiting
    remote.onStarted = (anew, runs) => {
      this.#started = anew
      this.#running = runs
      if (!runs || this.#waiting === undefined) return
      this.#waiting = undefined
      this.#listener?.started()
    }
    remote.onEnded = (ending) => {
      this.#waiting = ending
      this.#tellEnded(ending)
    }
    remote.onFrozen = (frozen) => this.#listener?.frozen(frozen)
  }

  #tellEnded({ record }: Ending): void {
    this.#listener?.ended(record, this.#remote.lastFailure)
  }

  /** Hear of what happens from here on; at once of a restart that it waits for. */
  follow(listener: MonitorListener): void {
    this.#listener = listener
    if (this.#waiting !== undefined) this.#tellEnded(this.#waiting)
  }

  /** Has it ended, and is to be started again? */
  get restarting(): boolean {
    return this.#waiting !== undefined
  }

  /** Was it frozen when this connection was made? */
  get frozen(): boolean {
    return this.#started.frozen
  }

  /** The monitor at the other end, once it tells who pid 1 is. @internal */
  static async settle(remote: Remote): Promise<Monitor> {
    let running = false
    let waiting: Ending | undefined
    remote.onStarted = (_, runs) => {
      running = runs
      waiting = undefined
    }
    remote.onEnded = (ending) => (waiting = ending)
    try {
      const started = await remote.connection.holdWhile(remote.started.promise)
      return new Monitor(remote, started, running, waiting)
    } catch (error) {
      remote.connection.close()
      throw error
    }
  }

  /**
   * Have a new monitor start a container.
   * @param deliver takes the monitor's end of the stream to the launcher.
   * @returns undefined when the stream ended before a word came over it: the request is lost, or the monitor was killed.
   * @internal
   */
  static async start(plan: Plan, deliver: (stream: number) => Promise<void>): Promise<Monitor | undefined> {
    const remote = await begin(plan, deliver)
    try {
      return await Monitor.settle(remote)
    } catch (error) {
      if (!remote.heard) return undefined
      throw error
    }
  }

  /**
   * Adopt a container: connect to the socket that its plan named.
   * @throws PodlingError `MONITOR_DIED` when nobody listens there.
   */
  static async connect(socketPath: string): Promise<Monitor> {
    let fd
    try {
      /* Through the directory, as a socket address holds 107 bytes and a path may be longer. */
      const directory = await open(dirname(socketPath), 'r')
      try {
        fd = connectUnix(`/proc/self/fd/${directory.fd}/${basename(socketPath)}`)
      } finally {
        await directory.close()
      }
    } catch (error) {
      throw new PodlingError('MONITOR_DIED', `No monitor listens at ${socketPath}`, { cause: error, path: socketPath })
    }
    return Monitor.settle(new Remote(fd, undefined))
  }

  /** The container's pid 1 in the host's pid namespace; between two runs 0. */
  get pid(): number {
    return this.#started.pid
  }

  /** The monitor's own pid, which lives through restarts. */
  get monitorPid(): number {
    return this.#started.monitorPid
  }

  /** Why it could not be started again, where it ended by that. */
  get startError(): PodlingError | undefined {
    return this.#remote.lastFailure
  }

  /** Who pid 1 is; at the barrier as far as it is known there. */
  get started(): Started {
    return this.#started
  }

  /** How many lines the log lacks by now, since it could not be written; told anew at most once a second. */
  get lostLines(): number {
    return this.#remote.lostLines
  }

  /** Be told when {@link lostLines} has grown. */
  onLostLines(listener: (lines: number) => void): void {
    this.#remote.onLostLines = listener
  }

  /** How healthy the container is; undefined where nobody checks it. */
  get health(): ContainerHealth | undefined {
    return this.#remote.health
  }

  /** Be told of {@link health} with each check. */
  onHealth(listener: (health: ContainerHealth) => void): void {
    this.#remote.onHealth = listener
  }

  /** Do one check, and resolve when {@link health} has its result. @throws PodlingError `INVALID_STATE` when it has ended. */
  async checkHealth(): Promise<void> {
    const what = 'Check the health of the container'
    this.#assertLives(what)
    // The monitor has one of each connection's at a time.
    const mine = this.#lastCheck.then(() => this.#remote.ask('health', 0, 0, what))
    this.#lastCheck = mine.then(
      () => undefined,
      () => undefined,
    )
    await mine
  }

  /** Does the program run (true), or does the container stand at its barrier? */
  get running(): boolean {
    return this.#running
  }

  /**
   * How the container ended, told when all of it is gone. Whoever looks keeps the event loop alive until then; to look
   * without that, use {@link observe}. Rejects with `MONITOR_DIED` when the monitor vanished without a record.
   */
  get exited(): Promise<ExitRecord> {
    return this.#remote.awaitExit()
  }

  /** As {@link exited}, but nothing that a Node process stays alive for. */
  observe(): Promise<ExitRecord> {
    return this.#remote.exited.promise
  }

  /**
   * Send a signal to pid 1, or to all processes of the container. As pid 1 of its own pid namespace, a process gets only
   * the signals that it handles, and SIGKILL and SIGSTOP.
   * @param options `forGood`: it is not started again, whatever its policy says
   * @throws PodlingError `INVALID_STATE` when it has ended.
   */
  async kill(signal: number, options: { readonly all?: boolean; readonly forGood?: boolean } = {}): Promise<void> {
    this.#assertLives(`Send signal ${signal} to the container`)
    const how = (options.all ? killHow.all : 0) | (options.forGood ? killHow['for-good'] : 0)
    await this.#remote.ask('kill', signal, how, `Send signal ${signal} to the container`)
  }

  #assertLives(what: string): void {
    if (this.#remote.exited.done) throw endedError(what)
  }

  /**
   * Run a process in the namespaces and cgroups of pid 1; the plan's own `create`, `join` and `cgroup` don't count.
   * Resolves when its program runs.
   * @param stdio as of {@link Launcher.launch}: given away, and closed here in any case. For a plan with a terminal: a pipe to
   * read its input from, whose end is typed there, and one to write its output to.
   */
  async exec(plan: Plan, stdio: readonly number[]): Promise<ExecProcess> {
    const terminal = plan.stdio.stdin === 'terminal'
    let remote
    try {
      this.#assertLives(EXEC)
      remote = await begin(plan, (theirs) =>
        this.#remote.connection.send('exec', 0, terminal ? 1 : 0, 0, [theirs, ...stdio]),
      )
    } catch (error) {
      if (error instanceof PodlingError && error.syscall !== 'sendmsg') throw error
      throw await this.#remote.whyGone(EXEC, error)
    } finally {
      closeAll(stdio)
    }
    try {
      const started = await remote.connection.holdWhile(remote.started.promise)
      return new ExecProcess(remote, started)
    } catch (error) {
      remote.connection.close()
      await this.#assertOwnFailure(error)
      throw error
    }
  }

  /** Of a command that wasn't executed since the container ended meanwhile or has no room for it, say that. */
  async #assertOwnFailure(error: unknown): Promise<void> {
    if (!(error instanceof PodlingError)) return
    // A pid namespace whose pid 1 has ended takes no more processes (ENOMEM, pid_namespaces(7)).
    const ofTheEnd = error.errno === 'ESRCH' || error.errno === 'ENOMEM'
    if (!['MONITOR_DIED', 'START_FAILED'].includes(error.code) && !ofTheEnd) return
    // Signal 0 is the question alone (kill(2)).
    await this.#remote.ask('kill', 0, 0, EXEC)
    // Pid 1 takes the others along before it is gone itself; its end will be told of in a moment.
    if (await isExiting(this.pid)) await this.#remote.connection.holdWhile(this.#remote.exited.promise)
    this.#assertLives(EXEC)
    if (error.code !== 'MONITOR_DIED') return
    // It lives, and took the request's streams for nothing.
    throw new PodlingError(
      'LIMIT_REACHED',
      `${EXEC}: its monitor can open no more files; wait for other commands in it to end, or raise RLIMIT_NOFILE of this process`,
      { cause: error, errno: 'EMFILE' },
    )
  }

  /**
   * Let a container go on that stands at its barrier. Resolves when its program runs.
   * @throws PodlingError what {@link Launcher.launch} throws for a program that can't be run.
   */
  async proceed(): Promise<void> {
    const running = new Settled<undefined>()
    const before = this.#remote.onStarted
    this.#remote.onStarted = (started, runs) => {
      before(started, runs)
      if (runs) running.resolve(undefined)
    }
    const what = 'Let the container go on'
    this.#remote.exited.promise.then(
      // Killed on its way from the barrier to its program.
      () => {
        running.reject(endedError(what))
      },
      (error: unknown) => {
        running.reject(error instanceof Error ? error : new Error(String(error)))
      },
    )
    await this.#remote.ask('proceed', 0, 0, what)
    await this.#remote.connection.holdWhile(running.promise)
  }

  /**
   * Attach pipes: they get all that pid 1 writes from here on, and nothing of before. When one isn't read, the container waits
   * with its writing; when it is closed, it is dropped.
   * @param stdin whether the first is to be read as input of the container
   * @param pipes in the order stdin, stdout, stderr; a terminal has one output. Given away, and closed here in any case.
   * @throws PodlingError `INVALID_STATE` when it has ended, or its input has
   */
  async attach(stdin: boolean, pipes: readonly number[]): Promise<void> {
    try {
      this.#assertLives(ATTACH)
      await this.#remote.ask('attach', stdin ? 1 : 0, 0, ATTACH, pipes)
    } catch (error) {
      if (!(error instanceof PodlingError && error.errno === 'EPIPE')) throw error
      throw new PodlingError('INVALID_STATE', `${ATTACH}: its standard input has ended`, { cause: error })
    } finally {
      closeAll(pipes)
    }
  }

  /** Change the size of pid 1's terminal. @throws PodlingError `INVALID_STATE` when it has none, or has ended. */
  async resize(columns: number, rows: number): Promise<void> {
    this.#assertLives(RESIZE)
    await this.#remote.ask('resize', columns, rows, RESIZE)
  }

  /**
   * CRIU, which runs as pid 1, has made a process out of a checkpoint: that one is pid 1 from here on.
   * @param stream a stream that was restored with it, whose other end is to be the monitor's: the master of its terminal, or what
   *   its input is written to; stays the caller's
   * @throws PodlingError for a process that isn't the monitor's child
   */
  async adoptRestored(pid: number, stream?: RestoredStream): Promise<void> {
    this.#assertLives('Restore the container')
    const { kind, fd } = stream ?? { kind: 'alone' }
    const descriptors = fd === undefined ? [] : [fd]
    await this.#remote.ask('restored', pid, restoredStreams[kind], 'Restore the container', descriptors)
  }

  /** Which pipes the streams of pid 1 are, at whose other end the monitor stands. */
  async streams(): Promise<StreamInodes> {
    const what = 'Look for the streams of the container'
    this.#assertLives(what)
    return (await this.#remote.ask('streams', 0, 0, what)).streams ?? {}
  }

  /** Freeze all processes. Resolves when none runs any more. */
  async freeze(): Promise<void> {
    this.#assertLives('Freeze the container')
    await this.#remote.ask('freeze', 1, 0, 'Freeze the container')
  }

  /** Let the processes go on. */
  async thaw(): Promise<void> {
    this.#assertLives('Thaw the container')
    await this.#remote.ask('freeze', 0, 0, 'Thaw the container')
  }

  /**
   * Drop the connection. Of a bound container, that of the one who started it is its life: the monitor ends it then. Nothing is
   * told after that: {@link exited} rejects, unless it has settled.
   */
  close(): void {
    this.#remote.connection.close()
  }
}

const PF_EXITING = 0x4

/** Whether a process has begun to end: its flags in proc_pid_stat(5). */
async function isExiting(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The name stands in parentheses and may hold some itself; the flags are the seventh field after it.
  const flags = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[6]
  return flags === undefined || (Number(flags) & PF_EXITING) !== 0
}
