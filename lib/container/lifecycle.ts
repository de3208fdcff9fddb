import { existsSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import type { EventAction, NewEvent } from '../event/event.js'
import { readHealthFile, type ContainerHealth, type HealthStatus } from '../launch/health.js'
import type { Spec } from '../launch/oci-spec.js'
import { slotOf } from '../network/endpoint-messages.js'
import { settleAll } from '../teardown.js'
import { Monitor } from '../launch/monitor.js'
import { readExitFile } from '../launch/exit-record.js'
import type { ExitRecord } from '../launch/protocol.js'
import { unmountVolumes } from './clear-away.js'
import { containerEvent } from './container-event.js'
import type { ContainerContext } from './context.js'
import { exitStatus, type ExitStatus } from './exit-status.js'
import { isHolder } from './find-pod.js'
import { forgetNetworkState, noNetworkState, readNetworkState, type NetworkState } from './network-state.js'
import { cgroupOf } from './pod-place.js'
import { runPoststop } from './hooks/container-hooks.js'
import { Queue } from './queue.js'
import { containerPaths, type ContainerPaths, type ContainerRecord } from './record.js'
import { RunLock } from './run-lock.js'
import type { ContainerStatus } from './status.js'
import { EarlyAttachments } from './terminal/early.js'

/** What a lifecycle tells its handle. */
export interface LifecycleListener {
  started(): void
  /** It has ended, and its monitor starts it again. */
  restarting(status: ExitStatus): void
  exited(status: ExitStatus): void
  lost(error: PodlingError): void
  logLost(lines: number): void
  health(status: HealthStatus): void
  changed(): void
  removed(): void
}

/**
 * The inner side of a {@link Container}: its record, its state and its connection to the monitor. The verbs, one a file,
 * work on it; the handle shows it.
 */
export class Lifecycle {
  readonly context: ContainerContext
  record: ContainerRecord
  readonly paths: ContainerPaths
  /** Serialises the verbs that change the state. */
  readonly queue = new Queue()
  status: ContainerStatus = 'created'
  /** The connection while pid 1 lives. */
  monitor: Monitor | undefined
  /** How the last run ended. */
  exit: ExitStatus | undefined
  /** Settles when the present or last run has ended; rejects with `MONITOR_DIED` when nobody knows how. */
  ended: Promise<ExitStatus> | undefined
  /** Who is attached and waits for the first start. */
  readonly early = new EarlyAttachments()
  /** What reads its root right now, by what ends it. */
  readonly views = new Set<(why: PodlingError) => Promise<void>>()
  #released = false
  readonly #listener: LifecycleListener

  constructor(context: ContainerContext, record: ContainerRecord, listener: LifecycleListener) {
    this.context = context
    this.record = record
    this.paths = containerPaths(context.root, context.runRoot, record.id, record.options.detach)
    this.#listener = listener
  }

  /** The OCI runtime spec that it runs by, whole. */
  get spec(): Spec {
    const { spec, seccomp } = this.record
    return seccomp === undefined
      ? spec
      : { ...spec, linux: { ...spec.linux, seccomp: this.context.seccomp.get(seccomp) } }
  }

  /** How often its monitor has started it again. */
  get restartCount(): number {
    return this.monitor?.started.restarts ?? this.exit?.restartCount ?? 0
  }

  /** What it has of networks, while it runs; in a pod mostly what the pod has. */
  get network(): NetworkState {
    if (this.monitor === undefined) return noNetworkState
    const { context, record, paths } = this
    const ofPod = record.pod?.share.includes('net') === true
    const { network } = ofPod ? containerPaths(context.root, context.runRoot, record.pod.id, false) : paths
    return readNetworkState(network)
  }

  /** How healthy it is, or was when it ended; undefined where nobody checks it, or it never ran. */
  get health(): ContainerHealth | undefined {
    if (this.record.options.health === undefined) return undefined
    return this.monitor?.health ?? readHealthFile(this.paths.healthFile)
  }

  #followHealth(monitor: Monitor): void {
    let last = monitor.health?.status
    monitor.onHealth(({ status }) => {
      const changed = last !== undefined && last !== status
      last = status
      if (changed) this.#listener.health(status)
    })
  }

  /**
   * Take up a monitor: from here on the state follows what it tells.
   * @param fresh it has just started the container, whatever may have become of that by now
   */
  follow(monitor: Monitor, fresh = false): void {
    this.monitor = monitor
    monitor.onLostLines((lines) => {
      this.#listener.logLost(lines)
    })
    this.#followHealth(monitor)
    this.exit = undefined
    this.status = monitor.frozen ? 'paused' : 'running'
    const ended = monitor.exited.then(
      async (record) => {
        await runPoststop(this)
        await this.#leaveNetworks()
        await this.#leaveVolumes()
        this.monitor = undefined
        this.exit = exitStatus(record, monitor.startError)
        this.status = 'exited'
        this.#listener.exited(this.exit)
        return this.exit
      },
      async (error: unknown) => {
        if (this.#released) throw this.#closed('wait for')
        await this.#afterLoss()
        throw error
      },
    )
    // Whoever calls wait() hears of a loss; without a caller it is told by the event alone.
    ended.catch((error: unknown) => {
      if (!this.#released) this.#listener.lost(error as PodlingError)
    })
    this.ended = ended
    this.early.started(ended)
    if (fresh || !monitor.restarting) this.#listener.started()
    monitor.follow({
      ended: (record, error) => {
        this.exit = exitStatus(record, error)
        // One that is being stopped is about to be told of.
        if (this.status !== 'stopping') this.status = 'restarting'
        this.#listener.restarting(this.exit)
      },
      started: () => {
        if (this.status === 'restarting') this.status = 'running'
        this.#listener.started()
      },
      frozen: (frozen) => {
        if (['running', 'paused'].includes(this.status)) this.set(frozen ? 'paused' : 'running')
      },
    })
  }

  /** Let go of a container, however it is, since the runtime is closed. One that runs goes on without this handle. */
  async release(): Promise<void> {
    this.#released = true
    this.early.failed(this.#closed('wait for'))
    this.monitor?.close()
    this.monitor = undefined
    await this.closeViews('the runtime was closed')
  }

  /** End what reads its root: nothing may be mounted twice, or be there still when it is removed. */
  async closeViews(why: string): Promise<void> {
    const error = new PodlingError('INVALID_STATE', `read the root of container ${this.record.name}: ${why}`)
    await settleAll(
      `close the views of container ${this.record.name}`,
      [...this.views].map((close) => close(error)),
    )
  }

  /** The monitor died: its pid 1 died with it, what is left of the cgroup is ended and removed here. */
  async #afterLoss(): Promise<void> {
    const { cgroups } = this.context
    this.monitor = undefined
    try {
      await cgroups.kill(cgroupOf(this.record))
      await cgroups.remove(cgroupOf(this.record))
      await runPoststop(this)
      if (this.#onNetworks()) await this.#giveBack()
      await this.#leaveVolumes()
    } finally {
      this.status = 'exited'
    }
  }

  #onNetworks(): boolean {
    const { network } = this.record.options
    return readNetworkState(this.paths.network).changed || (typeof network === 'object' && network.kind === 'networks')
  }

  /** The monitor gave back what it knew of. */
  async #leaveNetworks(): Promise<void> {
    if (readNetworkState(this.paths.network).changed) await this.#giveBack()
    forgetNetworkState(this.paths.network)
  }

  /** What a driver can't do stays noted, and is asked for again when the container is removed. */
  async #leaveVolumes(): Promise<void> {
    await unmountVolumes(this.context, this.record).catch(() => undefined)
  }

  async #giveBack(): Promise<void> {
    const { networks } = this.context
    if (isHolder(this.record))
      networks.unlink(this.record.id, readNetworkState(this.paths.network).endpoints.map(slotOf))
    await networks.release(this.record.id)
    // It has ended, whatever CNI plugins say to that: they are asked again when it is removed, where somebody hears of it.
    await networks.leavePlugins(this.record.id).catch(() => undefined)
  }

  /** Look at what other processes may have done: adopt a monitor that runs, read how it ended. */
  async refresh(): Promise<void> {
    if (this.monitor !== undefined || this.status === 'removed') return
    const monitor = await connect(this.paths.socket)
    if (monitor !== undefined) {
      this.follow(monitor)
      return
    }
    const record = await readExitFile(this.paths.exitFile)
    if (record !== undefined) this.#hasEnded(record)
    else if (this.status === 'created' && existsSync(`${this.paths.exitFile}.new`)) await this.#lookForLoss()
  }

  #hasEnded(record: ExitRecord): void {
    this.exit = exitStatus(record)
    this.status = 'exited'
    this.ended = Promise.resolve(this.exit)
  }

  /**
   * Has it run, and does nobody know how that ended? Its monitor keeps room for the record from the start on, and makes the
   * record of it. Where that is there still and no monitor, it was killed, or the machine went down. Asked with the lock held:
   * another process may have started it since there was no monitor, and even have seen its end.
   */
  async #lookForLoss(): Promise<void> {
    const lock = RunLock.seize(this.paths.lock)
    if (lock === undefined && RunLock.isHeld(this.paths.lock)) return
    try {
      const monitor = await connect(this.paths.socket)
      const record = monitor === undefined ? await readExitFile(this.paths.exitFile) : undefined
      if (monitor !== undefined) this.follow(monitor)
      else if (record !== undefined) this.#hasEnded(record)
      else await this.#afterLoss()
    } finally {
      lock?.release()
    }
  }

  /** A state that it has while this monitor lives; one that ended meanwhile keeps its own. */
  setWhile(monitor: Monitor, status: ContainerStatus): void {
    if (this.monitor === monitor) this.set(status)
  }

  set(status: ContainerStatus): void {
    if (this.status === status) return
    this.status = status
    if (status !== 'removed') {
      this.#listener.changed()
      return
    }
    this.early.failed(new PodlingError('INVALID_STATE', `wait for container ${this.record.name}: it was removed`))
    this.#listener.removed()
  }

  /** Note in the journal what was done to it. */
  tell(action: EventAction, more: Pick<NewEvent, 'attributes' | 'exitCode'> = {}): void {
    this.context.journal.write({ ...containerEvent(this.record), action, ...more })
  }

  #closed(verb: string): PodlingError {
    return new PodlingError('RUNTIME_CLOSED', `${verb} container ${this.record.name}: its runtime was closed`)
  }

  /** The monitor of a container that runs. @throws PodlingError `INVALID_STATE` when it has just ended. */
  requireMonitor(verb: string): Monitor {
    if (this.monitor !== undefined && !this.monitor.restarting) return this.monitor
    if (this.#released) throw this.#closed(verb)
    throw new PodlingError('INVALID_STATE', `${verb} container ${this.record.name}: it has ended`)
  }
}

async function connect(socket: string): Promise<Monitor | undefined> {
  try {
    return await Monitor.connect(socket)
  } catch (error) {
    if (error instanceof PodlingError && error.code === 'MONITOR_DIED') return undefined
    throw error
  }
}
