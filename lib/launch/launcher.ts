/** The host's side of the launcher process. */
import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { close } from '../sys/descriptors.js'
import { reap, spawnHelper } from '../sys/helper-process.js'
import { socketPair } from '../sys/unix-sockets.js'
import { Connection, closeAll, goneError } from './connection.js'
import { findHelper } from './helper-path.js'
import { Monitor } from './monitor.js'
import type { Plan } from './plan.js'
import { copyFrom, copyWays, type Frame, type RequestKind } from './protocol.js'
import { Settled } from './remote.js'
import type { Namespaces } from './rootless/namespaces.js'
import { SpareKeeper } from './spare.js'
import { PodlingError } from '../errors.js'

/** A launcher process that lives, or did. */
class LauncherProcess {
  readonly connection: Connection
  /** Until it serves; undefined where it does so from the start. */
  readonly entering: Promise<void> | undefined
  readonly #pid: number
  #answer: Settled<Frame> | undefined
  #left: (() => void) | undefined

  constructor(helper: string, warm: readonly string[], namespaces: Namespaces | undefined, onDeath: () => void) {
    const [ours, theirs] = socketPair()
    try {
      this.#pid = spawnHelper(helper, [namespaces === undefined ? 'launcher' : 'rootless', ...warm], theirs)
    } catch (error) {
      close(ours)
      throw error
    } finally {
      close(theirs)
    }
    this.connection = new Connection(ours, {
      onFrame: (frame) => this.#answer?.resolve(frame),
      onClose: () => {
        this.#answer?.reject(goneError('LAUNCHER_DIED'))
        this.#left?.()
        onDeath()
        this.#reapSoon()
      },
    })
    if (namespaces === undefined) return
    this.entering = this.connection.holdWhile(this.#enter(namespaces))
    // Who needs the launcher hears of it.
    this.entering.catch(() => {
      this.connection.close()
    })
  }

  async #enter(namespaces: Namespaces): Promise<void> {
    const ask = async (kind: RequestKind, descriptors: readonly number[]): Promise<Frame> => {
      const answer = new Settled<Frame>()
      this.#answer = answer
      try {
        await this.connection.send(kind, 0, 0, 0, descriptors)
      } catch (error) {
        throw isGone(error) ? goneError('LAUNCHER_DIED', error) : error
      }
      return answer.promise
    }
    this.#left = await namespaces.enter({ pid: this.#pid, ask })
  }

  get pid(): number {
    return this.#pid
  }

  /** Has it died? Two sockets that one death closes are not seen closed at the same time. */
  async hasDied(): Promise<boolean> {
    for (let i = 0; i < 10 && !this.connection.closed; i++) await delay(5)
    return this.connection.closed
  }

  /** Its socket closes a moment before it can be reaped. */
  #reapSoon(pause = 0): void {
    setTimeout(() => {
      if (!reap(this.#pid)) this.#reapSoon(Math.min(pause * 2 + 1, 100))
    }, pause).unref()
  }
}

export interface LauncherOptions {
  /** The helper program. @default the one of this package */
  readonly helper?: string
  /**
   * Keep a monitor waiting for the next launch. What is given is `attach` of an ordinary plan's cgroup section,
   * `['/sys/fs/cgroup/memory/podling/any/cgroup.procs', ...]`: it waits in cgroups below the same parents, and a container
   * whose plan attaches to at least these is started from there, as entering a v1 cgroup takes 5 to 18 ms after a pause.
   * @default no monitor waits
   */
  readonly warm?: readonly string[]
  /** Those of an ordinary user, to live in. @default those of this process */
  readonly namespaces?: Namespaces
}

const tries = 3

function isGone(error: unknown): boolean {
  return error instanceof PodlingError && (error.errno === 'EPIPE' || error.errno === 'ECONNRESET')
}

/**
 * One launcher process per Runtime. It is started without a copy of this process, forks the monitors, and may die at any
 * time: containers don't notice, and the next call makes another.
 */
export class Launcher {
  readonly #helper: string
  readonly #warm: readonly string[]
  readonly #namespaces: Namespaces | undefined
  readonly #spares: SpareKeeper | undefined
  #process: LauncherProcess
  #closed = false

  private constructor(helper: string, warm: readonly string[] | undefined, namespaces: Namespaces | undefined) {
    this.#helper = helper
    this.#warm = warm ?? []
    this.#namespaces = namespaces
    this.#process = this.#start()
    if (warm !== undefined) this.#spares = new SpareKeeper((stream) => this.#deliverSpare(stream))
    this.#spares?.fill()
  }

  #start(): LauncherProcess {
    return new LauncherProcess(this.#helper, this.#warm, this.#namespaces, () => this.#spares?.drop())
  }

  async #deliverSpare(stream: number): Promise<void> {
    await this.#send('spare', [stream])
  }

  /** @throws PodlingError as {@link Namespaces.enter} */
  static async start(options: LauncherOptions = {}): Promise<Launcher> {
    const parents = options.warm?.map((file) => dirname(dirname(file)))
    const launcher = new Launcher(options.helper ?? findHelper(), parents, options.namespaces)
    try {
      await launcher.#process.entering
    } catch (error) {
      await launcher.close()
      throw error
    }
    return launcher
  }

  /** The pid of the launcher process that would be used now. */
  get pid(): number {
    return this.#process.pid
  }

  /** The pid of a launcher process that lives in its namespaces, for who is to live there too. */
  async inside(): Promise<number> {
    const launcher = this.#alive()
    await launcher.entering
    return launcher.pid
  }

  /** Does a monitor wait for the next launch? */
  get warm(): boolean {
    return this.#spares?.ready ?? false
  }

  /** The launcher process, made anew if the last one died. */
  #alive(): LauncherProcess {
    if (this.#closed) throw new PodlingError('RUNTIME_CLOSED', 'The launcher is closed')
    if (this.#process.connection.closed) this.#process = this.#start()
    return this.#process
  }

  /** Send a request to the launcher, to another one if this one turns out to be dead. */
  async #send(
    kind: 'launch' | 'unpack' | 'spare' | 'copy',
    descriptors: readonly number[],
    first = 0,
    second = 0,
  ): Promise<LauncherProcess> {
    for (let attempt = 1; ; attempt++) {
      const launcher = this.#alive()
      if (launcher.entering !== undefined) await this.#inside(launcher.entering)
      try {
        await launcher.connection.send(kind, 0, first, second, descriptors)
        return launcher
      } catch (error) {
        if (!isGone(error)) throw error
        if (attempt === tries) throw goneError('LAUNCHER_DIED', error)
        launcher.connection.close()
      }
    }
  }

  /** One that is killed on its way in is a dead launcher as any other. */
  async #inside(entering: Promise<void>): Promise<void> {
    try {
      await entering
    } catch (error) {
      if (!(error instanceof PodlingError && error.code === 'LAUNCHER_DIED')) throw error
    }
  }

  /**
   * Start a container. Resolves once its program runs, or at the plan's barrier; rejects with what could not be done, and
   * then nothing of it is left.
   * @param stdio the descriptors of the streams that the plan says to `pass`, in the order stdin, stdout, stderr. They are
   * given away: closed here in any case.
   * @throws PodlingError `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `USER_NOT_FOUND`, `WORKDIR_INVALID`,
   * `PERMISSION_DENIED`, `DISK_FULL`, `LIMIT_REACHED`, else `START_FAILED`; `MONITOR_DIED` or `LAUNCHER_DIED` when
   * these were killed meanwhile.
   */
  async launch(plan: Plan, stdio: readonly number[]): Promise<Monitor> {
    try {
      const plainly = (): Promise<Monitor> => this.#launch(plan, stdio)
      // The one that waits does so in the cgroups of plain containers, from where there is no way into those of a pod.
      const inPod = plan.cgroup.shared !== undefined
      if (this.#spares === undefined || this.#closed || inPod) return await plainly()
      return await this.#spares.launch(plan, stdio, (remote) => Monitor.settle(remote), plainly)
    } finally {
      closeAll(stdio)
    }
  }

  async #launch(plan: Plan, stdio: readonly number[]): Promise<Monitor> {
    for (let attempt = 1; ; attempt++) {
      let launcher: LauncherProcess | undefined
      const monitor = await Monitor.start(plan, async (stream) => {
        launcher = await this.#send('launch', [stream, ...stdio])
      })
      if (monitor !== undefined) return monitor
      /* A launcher that is killed takes with it the requests that it has not read. */
      if (launcher === undefined || !(await launcher.hasDied())) throw goneError('MONITOR_DIED')
      if (attempt === tries) throw goneError('LAUNCHER_DIED')
    }
  }

  /**
   * Start the helper's unpacker in a directory. Both descriptors are given away: closed here in any case.
   * @param stream where it reads its operations from.
   * @param status where it writes its result to.
   */
  async spawnUnpacker(directory: string, stream: number, status: number): Promise<void> {
    try {
      const opened = openSync(directory, 'r')
      try {
        await this.#send('unpack', [opened, stream, status])
      } finally {
        closeSync(opened)
      }
    } finally {
      closeAll([stream, status])
    }
  }

  /**
   * Start the helper's copier in a tree: a directory, or the root of a mount namespace.
   * @param tree a descriptor of the one or the other; it stays the caller's
   * @param input where it reads from, and `output` where it writes to: given away, and closed here in any case
   */
  async spawnCopier(
    tree: { readonly kind: keyof typeof copyFrom; readonly descriptor: number; readonly users?: number },
    way: keyof typeof copyWays,
    input: number,
    output: number,
  ): Promise<void> {
    try {
      const users = tree.users === undefined ? [] : [tree.users]
      await this.#send('copy', [tree.descriptor, input, output, ...users], copyFrom[tree.kind], copyWays[way])
    } finally {
      closeAll([input, output])
    }
  }

  /** End the launcher process. Containers are not touched: close their monitors. */
  async close(): Promise<void> {
    this.#closed = true
    this.#spares?.close()
    this.#process.connection.close()
  }
}
