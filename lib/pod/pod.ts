import { requireCgroups } from '../cgroup/none.js'
import { PodlingError } from '../errors.js'
import type { Container } from '../container/container.js'
import { isHolder } from '../container/find-pod.js'
import { userNamespaceOf, type ContainerInspect } from '../container/inspect.js'
import type { InitContainer, PodNamespace, Dependency } from '../container/pod-place.js'
import type { Quadlet } from '../container/quadlet/quadlet.js'
import { Queue } from '../container/queue.js'
import type { Signal } from '../container/signals.js'
import { signalNumber } from '../container/signals.js'
import { stopTimeout } from '../container/stop.js'
import type { ProcessDescriptor, ProcessInfo } from '../container/top/process-info.js'
import type { DefaultDescriptor } from '../container/top/top.js'
import type { ContainerStatus } from '../container/status.js'
import type { BoundPort, Endpoint } from '../network/attachment.js'
import { checkKnown } from '../schema/known-options.js'
import { settleAll } from '../teardown.js'
import { isInit, liveMembersOf, membersOf, podRecord, runs, type Member, type PodParts } from './members.js'
import type { PodStatus, RemovePodOptions, StopPodOptions } from './options.js'
import { podQuadlet } from './quadlet.js'
import { removePod } from './remove.js'
import { startPod } from './start.js'
import { podStats, type PodStats } from './stats.js'
import { podStatus } from './status.js'
import { stopIfDone, stopPod } from './stop.js'

/** All that is known of a pod. */
export interface PodInspect {
  readonly id: string
  readonly name: string
  readonly createdAt: Date
  readonly labels: Readonly<Record<string, string>>
  readonly status: PodStatus
  readonly hostname?: string
  /** What its containers share. */
  readonly share: readonly PodNamespace[]
  readonly exitPolicy: 'continue' | 'stop'
  /** Outlives the host process. */
  readonly detached: boolean
  /** The pid of what holds it, while it runs: its namespaces are below /proc/PID/ns. */
  readonly pid?: number
  /** Its cgroup in each hierarchy, in which those of its containers stand. */
  readonly cgroup: string
  /** That of all its containers, where it has one of its own; see {@link ContainerInspect.userNamespace}. */
  readonly userNamespace?: NonNullable<ContainerInspect['userNamespace']>
  /** While it runs. */
  readonly networks: readonly Endpoint[]
  readonly ports: readonly BoundPort[]
  readonly limits: {
    /** Bytes. */
    readonly memory?: number
    readonly cpus?: number
    readonly cpuset?: string
    readonly pidsLimit?: number
  }
  readonly containers: readonly {
    readonly id: string
    readonly name: string
    readonly status: ContainerStatus
    readonly dependsOn: readonly Dependency[]
    readonly initContainer?: InitContainer
  }[]
}

/**
 * Containers that share namespaces, limits and a life. What holds the namespaces is a process of Podling's own of a few
 * hundred kilobytes; there is no infra image.
 *
 * When that process is killed from outside, the containers go on, as in Podman: they keep the namespaces, but the pod has
 * no ports and networks any more, and is `degraded` until it is restarted. Where the pod shares `'pid'`, they end with it.
 *
 * Disposing it (`await using`) removes it by force.
 */
export class Pod implements AsyncDisposable {
  /** 64 hexadecimal digits. */
  readonly id: string
  /** Unique among the pods and containers of its root. */
  readonly name: string
  readonly #parts: PodParts
  readonly #holder: Container
  readonly #queue = new Queue()

  /** @internal Use {@link Pods.create}. */
  constructor(parts: PodParts, holder: Container) {
    this.id = holder.id
    this.name = holder.name
    this.#parts = parts
    this.#holder = holder
  }

  /** Where it is in its life, as far as this process knows; {@link Pods.get} asks anew. */
  get status(): PodStatus {
    if (this.#removed) return 'removed'
    const counted = this.#members().filter((member) => !isInit(member) || !hasEndedWell(member))
    return podStatus([this.#holder.status, ...counted.map(({ container }) => container.status)])
  }

  /** As they were given; none: `{}`. */
  get labels(): Readonly<Record<string, string>> {
    return this.#holder.labels
  }

  /** Its published ports, while it runs: which of the host's lead to which of its containers'. */
  get ports(): readonly BoundPort[] {
    return this.#holder.ports
  }

  /** Its places on networks, while it runs. */
  get networks(): readonly Endpoint[] {
    return this.#holder.networks
  }

  /** Its containers, oldest first. */
  get containers(): readonly Container[] {
    return this.#members().map(({ container }) => container)
  }

  /**
   * Start all of it that doesn't run: init containers, one after the other to their ends, then the others, each after what
   * it depends on. Resolves when their commands run.
   * @throws PodlingError `DEPENDENCY_CYCLE`, `DEPENDENCY_FAILED`, `INVALID_STATE`, and as {@link Container.start}; what this
   * call has started is stopped then
   */
  start(): Promise<void> {
    return this.#run('start', () => startPod(this.#parts, this.id))
  }

  /**
   * Stop its containers, each after those that depend on it, and what holds the pod.
   * @throws PodlingError `INVALID_STATE`, `INVALID_OPTION`
   */
  async stop(options: StopPodOptions = {}): Promise<void> {
    stopTimeout(options)
    await this.#run('stop', () => stopPod(this.#parts, this.id, options))
  }

  /**
   * Send a signal to pid 1 of each container that runs; SIGKILL ends what holds the pod, too.
   * @param signal @default 'SIGKILL'
   * @throws PodlingError `INVALID_STATE` when nothing runs in it, `INVALID_OPTION`
   */
  async kill(signal: Signal = 'SIGKILL'): Promise<void> {
    const number = signalNumber(signal)
    const running = await this.#running('kill')
    const all = number === signalNumber('SIGKILL') ? [...running, this.#holder] : running
    await settleAll(
      `kill pod ${this.name}`,
      all.map((container) => container.kill(signal).catch(unlessEnded)),
    )
  }

  /** Stop it, if it runs, and start it again. */
  async restart(options: StopPodOptions = {}): Promise<void> {
    stopTimeout(options)
    await this.#run('restart', async () => {
      await stopPod(this.#parts, this.id, options)
      await startPod(this.#parts, this.id)
    })
  }

  /** Freeze all its processes. @throws PodlingError `INVALID_STATE` when none run, `CGROUP_UNAVAILABLE` */
  pause(): Promise<void> {
    return this.#run('pause', async () => {
      requireCgroups(this.#parts.context.cgroups, `pause pod ${this.name}`)
      const running = (await this.#running('pause')).filter(({ status }) => status === 'running')
      await settleAll(
        `pause pod ${this.name}`,
        [...running, this.#holder].map((container) => container.pause().catch(unlessEnded)),
      )
    })
  }

  /** Let them go on. */
  unpause(): Promise<void> {
    return this.#run('unpause', async () => {
      const paused = [...(await this.#running('unpause')), this.#holder].filter(({ status }) => status === 'paused')
      await settleAll(
        `unpause pod ${this.name}`,
        paused.map((container) => container.unpause().catch(unlessEnded)),
      )
    })
  }

  /**
   * What it uses: processor, memory, disks and processes of all of it together, and of each container; its links.
   * @throws PodlingError `INVALID_STATE` when it doesn't run
   */
  stats(): Promise<PodStats> {
    return podStats(this.#parts, this.id)
  }

  /**
   * The processes of its containers that run, by the words of podman-top(1), each with its container's name.
   * @param descriptors as of {@link Container.top}
   * @throws PodlingError `INVALID_STATE` when none runs, `INVALID_OPTION`
   */
  async top<D extends ProcessDescriptor = DefaultDescriptor>(
    descriptors?: readonly D[],
  ): Promise<(Pick<ProcessInfo, D> & { readonly container: string })[]> {
    const running = await this.#running('top')
    const lists = running.map(async (container) => {
      const processes = await container.top(descriptors)
      return processes.map((one) => ({ ...one, container: container.name }))
    })
    return (await Promise.all(lists)).flat()
  }

  /** Remove it and all its containers. One that is removed already is left as it is. @throws PodlingError `INVALID_STATE` */
  async remove(options: RemovePodOptions = {}): Promise<void> {
    checkKnown('remove a pod', options, { force: true })
    const { force = false } = options
    // Before the queue: a start() or stop() that waits there for one of them is thereby over.
    if (force) await killAll([...this.containers, this.#holder])
    await this.#queue.run(async () => {
      if (!this.#removed) await removePod(this.#parts, this.id, force)
    })
  }

  /** All that is known of it. @throws PodlingError `POD_NOT_FOUND` when it was removed */
  inspect(): PodInspect {
    const { createdAt, labels, options, spec, holds } = { ...podRecord(this.#parts, this.id), labels: this.labels }
    const { memory, cpu, pids } = holds.resources
    const users = userNamespaceOf(options, spec)
    return {
      id: this.id,
      name: this.name,
      createdAt: new Date(createdAt),
      labels,
      status: this.status,
      ...(spec.hostname === undefined ? {} : { hostname: spec.hostname }),
      share: holds.share,
      exitPolicy: holds.exitPolicy,
      detached: options.detach,
      ...(this.#holder.pid === undefined ? {} : { pid: this.#holder.pid }),
      cgroup: `/${this.#parts.context.cgroupParent}/${this.id}`,
      ...(users === undefined ? {} : { userNamespace: users }),
      networks: this.networks,
      ports: this.ports,
      limits: {
        ...(memory?.limit === undefined ? {} : { memory: memory.limit }),
        ...(cpu?.quota === undefined ? {} : { cpus: cpu.quota / (cpu.period ?? 1) }),
        ...(cpu?.cpus === undefined ? {} : { cpuset: cpu.cpus }),
        ...(pids?.limit === undefined ? {} : { pidsLimit: pids.limit }),
      },
      containers: this.#members().map(({ record, container }) => ({
        id: record.id,
        name: record.name,
        status: container.status,
        dependsOn: record.pod?.dependsOn ?? [],
        ...(record.pod?.initContainer === undefined ? {} : { initContainer: record.pod.initContainer }),
      })),
    }
  }

  /**
   * Units for systemd and Podman that run the same pod with all its containers, see {@link Container.toQuadlet}.
   * @throws PodlingError `POD_NOT_FOUND` when it was removed, `INVALID_STATE`
   */
  async toQuadlet(): Promise<Quadlet> {
    return podQuadlet(this.#parts, podRecord(this.#parts, this.id))
  }

  /** What `JSON.stringify` shows of it. {@link Pod.inspect} tells all. */
  toJSON(): Pick<Pod, 'id' | 'name' | 'status' | 'labels'> {
    const { id, name, status, labels } = this
    return { id, name, status, labels }
  }

  /** Removes it by force. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove({ force: true })
  }

  /** @internal Look at what other processes did to it. */
  async refresh(): Promise<void> {
    await Promise.all([this.#holder.refresh(), liveMembersOf(this.#parts, this.id)])
  }

  /** @internal One of its containers has ended. */
  async afterExit(): Promise<void> {
    await this.#queue.run(() => stopIfDone(this.#parts, this.id))
  }

  get #removed(): boolean {
    return !isHolder(this.#parts.context.records.get(this.id))
  }

  #members(): Member[] {
    return membersOf(this.#parts, this.id)
  }

  async #running(verb: string): Promise<Container[]> {
    const running = (await liveMembersOf(this.#parts, this.id)).filter(runs).map(({ container }) => container)
    await this.#holder.refresh()
    if (running.length > 0) return running
    throw new PodlingError('INVALID_STATE', `${verb} pod ${this.name}: no container of it runs. Call start() first.`)
  }

  #run<T>(verb: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(() => {
      if (!this.#removed) return work()
      throw new PodlingError('INVALID_STATE', `${verb} pod ${this.name}: it was removed`)
    })
  }
}

function hasEndedWell({ container }: Member): boolean {
  return container.status === 'exited' && container.inspect().state.exit?.exitCode === 0
}

async function killAll(containers: readonly Container[]): Promise<void> {
  await Promise.allSettled(containers.filter(({ pid }) => pid !== undefined).map((container) => container.kill()))
}

/** It may have ended by itself at any moment. */
function unlessEnded(error: unknown): void {
  if (!(error instanceof PodlingError && error.code === 'INVALID_STATE')) throw error
}
