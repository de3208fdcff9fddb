import { EventEmitter } from 'eventemitter3'
import type { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { requireCgroups } from '../cgroup/none.js'
import type { PodlingError } from '../errors.js'
import { checkKnown } from '../schema/known-options.js'
import { checkpoint, type CheckpointOptions, type CheckpointResult } from './checkpoint/checkpoint.js'
import { endRestoring, Restorer, type RestoreOptions } from './checkpoint/restore.js'
import type { CheckpointSource } from './checkpoint/source.js'
import type { ContainerContext, Image } from './context.js'
import type { Created } from './create.js'
import { commit, type CommitOptions } from './commit.js'
import { copyFrom, exportRoot, type CopyFromOptions, type ExportOptions } from './copy-from.js'
import { copyTo, type CopySource, type CopyToOptions } from './copy-to.js'
import { diff, type ContainerChange } from './diff.js'
import { exec, type ExecOptions, type ExecResult } from './exec.js'
import type { ExitStatus } from './exit-status.js'
import type { HealthCheckResult, HealthStatus } from '../launch/health.js'
import { healthcheck } from './health/healthcheck.js'
import { inspect, type ContainerInspect } from './inspect.js'
import { Lifecycle } from './lifecycle.js'
import type { LimitOptions } from './limits/options.js'
import { update } from './limits/update.js'
import type { LogLine } from './log/line.js'
import type { LogOptions } from './log/log-options.js'
import { logSource, readLog } from './log/read-log.js'
import type { Monitor } from '../launch/monitor.js'
import type { ContainerProcess } from './process.js'
import type { ContainerRecord } from './record.js'
import type { BoundPort, Endpoint } from '../network/attachment.js'
import type { RunningContainer } from '../network/container-access.js'
import { runningContainer } from './network-access.js'
import { containerQuadlet, type Quadlet } from './quadlet/quadlet.js'
import { killNow, remove, type RemoveOptions } from './remove.js'
import { rename } from './rename.js'
import { signalNumber, type Signal } from './signals.js'
import { containerSpace, type ContainerSpace } from './space.js'
import { spawnOptionNames, type SpawnOptions } from './spawn-options.js'
import { spawn } from './spawn.js'
import { start } from './start.js'
import { checkStatsOptions, followOne, sampled, type StatsStreamOptions } from './stats/follow.js'
import type { ContainerStats } from './stats/stats.js'
import { waitReady } from './ready/wait-ready.js'
import { startsOnBoot } from './restart-policy.js'
import { requireStatus, type ContainerStatus } from './status.js'
import { kill, stop, stopTimeout, type StopOptions } from './stop.js'
import type { ProcessDescriptor, ProcessInfo } from './top/process-info.js'
import { defaultDescriptors, top, type DefaultDescriptor } from './top/top.js'
import { attach, resize, type AttachOptions, type ContainerAttachment } from './terminal/attach.js'
import type { TerminalSize } from './terminal/size.js'
import { wait, type WaitOptions } from './wait.js'

/** What a {@link Container} tells of itself. */
export interface ContainerEvents {
  /** Pid 1 runs its command. */
  start: []
  /** It has ended, and is started again by its restart policy; `start` follows. */
  restarting: [ExitStatus]
  /** It has ended for good, its log is complete. */
  exit: [ExitStatus]
  /** Its monitor died, and the container with it: nobody knows its exit status. */
  lost: [PodlingError]
  /** Its log lacks so many lines by now, since it could not be written. Told anew once a second while lines are lost. */
  logLost: [lines: number]
  /** Its health has changed: by a check, or to `starting` since it was started again. */
  health: [HealthStatus]
  pause: []
  unpause: []
  /** Nothing is left of it. */
  remove: []
}

/**
 * A container. The handle is live: its properties follow what the container does, whoever makes it do so.
 *
 * Disposing it (`await using`) removes it by force.
 */
export class Container extends EventEmitter<ContainerEvents> implements AsyncDisposable {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly #lifecycle: Lifecycle

  /** @internal Use {@link Runtime.run} or {@link Containers.create}. */
  constructor(context: ContainerContext, record: ContainerRecord) {
    super()
    this.id = record.id
    this.#lifecycle = new Lifecycle(context, record, {
      started: () => this.emit('start'),
      restarting: (status) => this.emit('restarting', status),
      exited: (status) => this.emit('exit', status),
      lost: (error) => this.emit('lost', error),
      logLost: (lines) => this.emit('logLost', lines),
      health: (status) => this.emit('health', status),
      changed: () => {
        if (this.status === 'paused') this.emit('pause')
        else if (this.status === 'running') this.emit('unpause')
      },
      removed: () => this.emit('remove'),
    })
  }

  /** Unique among the containers of its root: the one that it was given, or two random words. */
  get name(): string {
    return this.#lifecycle.record.name
  }

  /** Where it is in its life, as far as this process knows; {@link Containers.get} asks anew. */
  get status(): ContainerStatus {
    return this.#lifecycle.status
  }

  /** The pid of its pid 1 in the host's pid namespace; `undefined` while it doesn't run. */
  get pid(): number | undefined {
    const { monitor } = this.#lifecycle
    return monitor?.restarting === true ? undefined : monitor?.pid
  }

  /** How often its restart policy has started it again since its last `start()`. */
  get restartCount(): number {
    return this.#lifecycle.restartCount
  }

  /** The image it was made from: the name that was asked for, and the id it had then. */
  get image(): { readonly id: string; readonly name: string } | undefined {
    return this.#lifecycle.record.image
  }

  /** Its published ports, while it runs: which of the host's lead to which of its own. */
  get ports(): readonly BoundPort[] {
    return this.#lifecycle.network.ports
  }

  /** Its places on networks, while it runs. */
  get networks(): readonly Endpoint[] {
    return this.#lifecycle.network.endpoints
  }

  /** The id of the pod that it is in. */
  get pod(): string | undefined {
    return this.#lifecycle.record.pod?.id
  }

  /** As they were given; none: `{}`. */
  get labels(): Readonly<Record<string, string>> {
    return this.#lifecycle.record.options.labels
  }

  /**
   * Start it. Resolves when its command runs.
   * @throws PodlingError `INVALID_STATE`, `COMMAND_NOT_FOUND`, `COMMAND_NOT_EXECUTABLE`, `USER_NOT_FOUND`,
   * `WORKDIR_INVALID`, `START_FAILED`, `DIGEST_MISMATCH` (its image was changed on disk) and others; nothing of the start is left then.
   */
  start(): Promise<void> {
    return this.#lifecycle.queue.run(() => start(this.#lifecycle))
  }

  /**
   * Stop it: the stop signal, then SIGKILL when the time is over. One that has ended already is left as it is.
   * Its restart policy doesn't start it again then.
   * A signal that its pid 1 has no handler for can't reach it (pid_namespaces(7)); then it is killed without waiting.
   * @returns how it ended; `undefined` for one that was never started
   * @throws PodlingError `STILL_RUNNING` when it has not ended 10 s after SIGKILL, in an uninterruptible wait in the kernel
   */
  async stop(options: StopOptions = {}): Promise<ExitStatus | undefined> {
    const timeout = stopTimeout(options) ?? this.#lifecycle.record.options.stopTimeout
    return this.#lifecycle.queue.run(() => stop(this.#lifecycle, timeout))
  }

  /**
   * Send a signal to its pid 1. After SIGKILL and its stop signal it isn't started again, whatever its restart policy says.
   * @param signal @default 'SIGKILL'
   * @throws PodlingError `INVALID_STATE`, `INVALID_OPTION`
   */
  async kill(signal: Signal = 'SIGKILL'): Promise<void> {
    const number = signalNumber(signal)
    requireStatus('kill', this.status, this.name)
    await kill(this.#lifecycle, number)
    this.#lifecycle.tell('kill', { attributes: { signal: String(signal) } })
  }

  /** Stop it, if it runs, and start it again. */
  async restart(options: StopOptions = {}): Promise<void> {
    requireStatus('restart', this.status, this.name)
    const stopped = this.stop(options)
    const started = this.start()
    await Promise.all([stopped, started])
  }

  /**
   * Check its health now, whenever the next check is due. The result counts as any other's.
   * @throws PodlingError `INVALID_STATE` when it has no health check, doesn't run or is paused
   */
  async healthcheck(): Promise<HealthCheckResult> {
    return healthcheck(this.#lifecycle)
  }

  /**
   * Freeze all its processes (cgroups(7), the freezer).
   * @throws PodlingError `INVALID_STATE`, `CGROUP_UNAVAILABLE` where an ordinary user has no cgroup for it
   */
  pause(): Promise<void> {
    return this.#lifecycle.queue.run(async () => {
      requireStatus('pause', this.status, this.name)
      requireCgroups(this.#lifecycle.context.cgroups, `pause container ${this.name}`)
      const monitor = this.#lifecycle.requireMonitor('pause')
      await monitor.freeze()
      this.#lifecycle.setWhile(monitor, 'paused')
      this.#lifecycle.requireMonitor('pause')
      this.#lifecycle.tell('pause')
    })
  }

  /** Let it go on after {@link Container.pause}. @throws PodlingError `INVALID_STATE` */
  unpause(): Promise<void> {
    return this.#lifecycle.queue.run(async () => {
      requireStatus('unpause', this.status, this.name)
      const monitor = this.#lifecycle.requireMonitor('unpause')
      await monitor.thaw()
      this.#lifecycle.setWhile(monitor, 'running')
      this.#lifecycle.tell('unpause')
    })
  }

  /**
   * Wait until it has ended for good; at once for one that has. One that its restart policy starts again has not.
   * @throws PodlingError `INVALID_STATE` for one that was never started, `MONITOR_DIED` when nobody knows how it ended,
   * `ABORTED`
   */
  wait(options?: WaitOptions & { readonly condition?: 'stopped' | 'exited' }): Promise<ExitStatus>
  /** Wait until it is so, whichever process makes it so. @throws PodlingError `INVALID_STATE` when it is removed, `ABORTED` */
  wait(options: WaitOptions): Promise<ExitStatus | undefined>
  async wait(options: WaitOptions = {}): Promise<ExitStatus | undefined> {
    return wait(this.#lifecycle, options)
  }

  /**
   * Give it other limits: those that are named, and all of them or none. They hold at once and at its next starts.
   * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `CGROUP_CONTROLLER_MISSING`, `DEVICE_NOT_FOUND`,
   * `LIMIT_REFUSED` for what the kernel doesn't take; the old ones stand then. `INVALID_STATE`
   */
  async update(limits: LimitOptions): Promise<void> {
    return this.#lifecycle.queue.run(() => update(this.#lifecycle, limits))
  }

  /**
   * Give it another name. Others on its networks find it by that at once, and by the old one no more.
   * @throws PodlingError `NAME_IN_USE`, `INVALID_OPTION`, `INVALID_STATE`
   */
  async rename(name: string): Promise<void> {
    return this.#lifecycle.queue.run(() => rename(this.#lifecycle, name))
  }

  /**
   * Run a command in it, to its end.
   * @throws PodlingError only when it could not run: `COMMAND_NOT_FOUND`, `INVALID_STATE`, `USER_NOT_FOUND`, `ABORTED` ...
   */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { detachKeys: _, ...names } = spawnOptionNames
    checkKnown('exec', options, { ...names, stdin: true, maxOutput: true })
    return exec(this.#lifecycle, argv, options)
  }

  /** Start a command in it and give its live streams. @throws as {@link Container.exec} */
  async spawn(argv: readonly string[], options: SpawnOptions = {}): Promise<ContainerProcess> {
    checkKnown('spawn', options, spawnOptionNames)
    return (await spawn(this.#lifecycle, argv, options)).process
  }

  /**
   * Take part in its input and output from here on, as one of any number. {@link Container.logs} has what was before. Of
   * one that was never started it is all from its first byte on, if this process starts it.
   * @throws PodlingError `INVALID_STATE` when it has ended, or its input has, `INVALID_OPTION`
   */
  async attach(options: AttachOptions = {}): Promise<ContainerAttachment> {
    const work = (): Promise<ContainerAttachment> => attach(this.#lifecycle, options)
    if (this.#lifecycle.monitor !== undefined) return work()
    return this.#lifecycle.queue.run(async () => {
      await this.#lifecycle.refresh()
      return work()
    })
  }

  /**
   * Change the size of its terminal. Its programs are told by SIGWINCH.
   * @throws PodlingError `INVALID_STATE` when it has no terminal or doesn't run, `INVALID_OPTION`
   */
  async resize(size: TerminalSize): Promise<void> {
    await resize(this.#lifecycle, size)
  }

  /**
   * Its output, line by line, from the first start on. With `follow` until it ends. Of `'none'` and `'passthrough'` there is
   * none.
   * @throws PodlingError `INVALID_OPTION`, `LOG_UNREADABLE`
   */
  logs(options: LogOptions = {}): AsyncGenerator<LogLine> {
    const { ended, monitor } = this.#lifecycle
    return readLog(
      logSource(this.#lifecycle),
      options,
      monitor === undefined ? Promise.resolve() : (ended ?? Promise.resolve()),
    )
  }

  /** What it uses now. @throws PodlingError `INVALID_STATE` when it doesn't run, `CGROUP_UNAVAILABLE` */
  stats(): Promise<ContainerStats>
  /** What it uses, now and again at each interval, until it ends. @throws PodlingError `INVALID_STATE`, `INVALID_OPTION` */
  stats(options: StatsStreamOptions): AsyncGenerator<ContainerStats>
  stats(options?: StatsStreamOptions): Promise<ContainerStats> | AsyncGenerator<ContainerStats> {
    return options?.stream ? followOne(this.#lifecycle, options) : this.#statsNow(options)
  }

  async #statsNow(options: object = {}): Promise<ContainerStats> {
    checkStatsOptions(options)
    return Promise.resolve(this.#lifecycle.context.sampler.sample(sampled(this.#lifecycle)).stats)
  }

  /**
   * Its processes, by the words of podman-top(1). They are read by the host; nothing runs in the container for that.
   * @param descriptors what to tell of each @default user, pid, ppid, pcpu, etime, tty, time, args
   * @throws PodlingError `INVALID_STATE`, `INVALID_OPTION`
   */
  async top<D extends ProcessDescriptor = DefaultDescriptor>(
    descriptors?: readonly D[],
  ): Promise<Pick<ProcessInfo, D>[]> {
    return top(this.#lifecycle, descriptors ?? (defaultDescriptors as readonly string[] as readonly D[]))
  }

  /**
   * Put files into a directory of it, whether it runs or not. A file takes the place of one that is there; a directory
   * that is there keeps what is in it.
   * @param source a tar as a stream, or the path of a file or directory of the host, which becomes root's in it
   * @param path of a directory in the container, which must be there. Links mean what they mean inside; what the tar names
   * can't leave the directory
   * @throws PodlingError `PATH_NOT_FOUND`, `ARCHIVE_INVALID`, `PERMISSION_DENIED` where it is read-only, `DISK_FULL`,
   * `INVALID_STATE`, `INVALID_OPTION`, `ABORTED`
   */
  async copyTo(source: CopySource, path: string, options: CopyToOptions = {}): Promise<void> {
    checkKnown('copy to a container', options, { signal: true })
    const work = (): Promise<void> => copyTo(this.#lifecycle, source, path, options)
    // Nobody may start it while its root is held here.
    return this.#lifecycle.monitor === undefined ? this.#lifecycle.queue.run(work) : work()
  }

  /**
   * A file or a directory of it as a tar, whether it runs or not, with what is mounted there. The names in it begin with
   * the last part of the path; of `/` and of `directory/.` with what is in it.
   * @returns a stream, to be read or destroyed. One that isn't read keeps a container that doesn't run from being started
   * by others; its own start and removal end the stream.
   * @throws PodlingError `PATH_NOT_FOUND`, `INVALID_STATE`, `INVALID_OPTION`, `ABORTED`
   */
  async copyFrom(path: string, options: CopyFromOptions = {}): Promise<Readable> {
    checkKnown('copy from a container', options, { follow: true, signal: true })
    return copyFrom(this.#lifecycle, path, options)
  }

  /**
   * All of its root as a tar, without what is mounted in it, as `docker export` gives. `images.import` makes an image of it.
   * @returns as {@link Container.copyFrom}
   * @throws PodlingError `INVALID_STATE`, `ABORTED`
   */
  async export(options: ExportOptions = {}): Promise<Readable> {
    checkKnown('export a container', options, { signal: true })
    return exportRoot(this.#lifecycle, options)
  }

  /** What it has changed against its image, as `docker diff` tells it. @throws PodlingError `INVALID_STATE` */
  async diff(): Promise<ContainerChange[]> {
    return diff(this.#lifecycle)
  }

  /** What it takes up on disk. Walks all that it has written. @throws PodlingError `INVALID_STATE` */
  async space(): Promise<ContainerSpace> {
    return containerSpace(this.#lifecycle)
  }

  /**
   * Make an image of what it has changed: one layer more on top of its image's. What is mounted in it has no part in that.
   * @throws PodlingError `INVALID_STATE`, `INVALID_OPTION`, `INVALID_REFERENCE`, `IMAGE_NOT_FOUND` when its image was
   * removed, `LAYER_INVALID` for a file whose name begins with `.wh.`, `DISK_FULL`, `ABORTED`
   */
  async commit(options: CommitOptions = {}): Promise<Image> {
    return this.#lifecycle.queue.run(() => commit(this.#lifecycle, options))
  }

  /**
   * Write it down as it is, its processes with their memory and its files, so that {@link Containers.restore} lets it go
   * on, here or elsewhere, once or many times. It is ended then, unless `leaveRunning` is set.
   * @throws PodlingError `CHECKPOINT_PROGRAM_NOT_FOUND`, `CHECKPOINT_FAILED` with CRIU's reason, after which it goes on;
   * `INVALID_STATE`, `INVALID_OPTION`, `DISK_FULL`
   */
  async checkpoint(options: CheckpointOptions): Promise<CheckpointResult> {
    return this.#lifecycle.queue.run(() => checkpoint(this.#lifecycle, options))
  }

  /** All that is known of it, the OCI runtime spec among it. */
  inspect(): ContainerInspect {
    return inspect(this.#lifecycle)
  }

  /**
   * Units for systemd and Podman that run the same container, and the volumes and networks that it names
   * (podman-systemd.unit(5)): where machines boot without a process of yours. Its image must be where Podman finds it.
   * @throws PodlingError `INVALID_STATE`
   */
  async toQuadlet(): Promise<Quadlet> {
    return containerQuadlet(this.#lifecycle.context, this.#lifecycle.record)
  }

  /**
   * Remove it and all that it wrote. One that is removed already is left as it is.
   * @throws PodlingError `INVALID_STATE`, `STILL_RUNNING` as {@link Container.stop}
   */
  async remove(options: RemoveOptions = {}): Promise<void> {
    checkKnown('remove a container', options, { force: true, volumes: true })
    // Before the queue: a stop() that waits there for ten seconds is thereby over.
    if (options.force) await killNow(this.#lifecycle)
    await this.#lifecycle.queue.run(async () => {
      if (options.force) await killNow(this.#lifecycle)
      await remove(this.#lifecycle, options)
    })
  }

  /** What `JSON.stringify` shows of it. {@link Container.inspect} tells all. */
  toJSON(): Pick<Container, 'id' | 'name' | 'status' | 'pid' | 'image' | 'labels'> {
    const { id, name, status, pid, image, labels } = this
    return { id, name, status, pid, image, labels }
  }

  /** Removes it by force. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove({ force: true })
  }

  /** @internal Use {@link Runtime.run}. */
  startNew({ committed, lock, ready }: Created, signal: AbortSignal | undefined): Promise<void> {
    return this.#lifecycle.queue.run(async () => {
      try {
        // The event loop gets a turn, in which the record is sent on its way.
        await nextTurn()
        // The start doesn't wait for the record: until both are there, the lock tells others that this is no leftover.
        await bothSettled(committed, start(this.#lifecycle, lock))
      } finally {
        lock.release()
      }
      await waitReady(this.#lifecycle, ready, signal)
    })
  }

  /** @internal Its inner side, for verbs over many. */
  static lifecycleOf(container: Container): Lifecycle {
    return container.#lifecycle
  }

  /** @internal Use {@link Containers.restore}. */
  restoreNew({ committed, lock }: Created, source: CheckpointSource, options: RestoreOptions): Promise<void> {
    return this.#lifecycle.queue.run(async () => {
      const restorer = new Restorer(this.#lifecycle, source, options)
      try {
        await bothSettled(committed, start(this.#lifecycle, lock, restorer))
        await endRestoring(this.#lifecycle)
      } finally {
        restorer.close()
        lock.release()
      }
    })
  }

  /** @internal Start it if it has run before and its restart policy wants that. @returns whether it did */
  startOnBoot(): Promise<boolean> {
    return this.#lifecycle.queue.run(async () => {
      await this.#lifecycle.refresh()
      const { status, exit, record } = this.#lifecycle
      if (status !== 'exited' || !startsOnBoot(record.options.restart, exit?.stoppedByUser ?? false)) return false
      await start(this.#lifecycle)
      return true
    })
  }

  /** @internal Start it unless it runs. @returns undefined when it has ended already */
  ensureRunning(): Promise<Monitor | undefined> {
    const running = (): Monitor | undefined => this.#lifecycle.monitor
    return this.#lifecycle.queue.run(async () => {
      await this.#lifecycle.refresh()
      if (running() !== undefined) return running()
      try {
        await start(this.#lifecycle)
      } catch (error) {
        // Another process was faster; then this handle follows what that one has started.
        if (running() === undefined) throw error
      }
      return running()
    })
  }

  /** @internal The runtime is closed. */
  release(): Promise<void> {
    return this.#lifecycle.release()
  }

  /** @internal Change its networks, with no other change to it meanwhile. */
  withNetwork<T>(work: (container: RunningContainer) => Promise<T>): Promise<T> {
    return this.#lifecycle.queue.run(() => work(runningContainer(this.#lifecycle, 'change the networks of')))
  }

  /** @internal Look at what other processes did to it. */
  refresh(): Promise<void> {
    return this.#lifecycle.queue.run(() => this.#lifecycle.refresh())
  }
}

/** Wait for both, whatever becomes of either: a failure of the one must not leave the other at work. */
async function bothSettled(...work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}
