import { EventEmitter } from 'eventemitter3'
import { PodlingError } from '../errors.js'
import { checkKnown } from '../schema/known-options.js'
import { afterUndo, settleAll } from '../teardown.js'
import { Container } from './container.js'
import { optionsOfRestored, type RestoreOptions } from './checkpoint/restore.js'
import { openCheckpoint } from './checkpoint/source.js'
import { containerEvent } from './container-event.js'
import type { ContainerContext } from './context.js'
import { create, type Created } from './create.js'
import type { HealthStatus } from '../launch/health.js'
import type { ExitStatus } from './exit-status.js'
import { isHolder } from './find-pod.js'
import type { Lifecycle } from './lifecycle.js'
import { networkAccess } from './network-access.js'
import type { ContainerOptions } from './options.js'
import type { ContainerRecord } from './record.js'
import { checkStatsOptions, followAll, sampleAll, type StatsStreamOptions } from './stats/follow.js'
import type { ContainerStats } from './stats/stats.js'
import { startsOnBoot } from './restart-policy.js'
import type { ContainerStatus } from './status.js'
import { hasLabels } from '../schema/labels.js'

/** Which containers to list. All that is given must fit. */
export interface ContainerFilter {
  readonly status?: ContainerStatus | readonly ContainerStatus[]
  /** `'none'`: nobody checks it, or it never ran. */
  readonly health?: HealthStatus | 'none'
  /** `'key'` or `'key=value'`. */
  readonly label?: string | readonly string[]
  /** A part of the name. */
  readonly name?: string
  /** The image's name or id that it was made from. */
  readonly image?: string
  /** The id of the pod that it is in. */
  readonly pod?: string
}

/** Something that happened to a container of this runtime. */
export type ContainerEvent =
  | {
      readonly type: 'create' | 'start' | 'pause' | 'unpause' | 'remove'
      readonly container: Container
      readonly time: Date
    }
  | { readonly type: 'exit'; readonly container: Container; readonly time: Date; readonly exit: ExitStatus }
  | { readonly type: 'lost'; readonly container: Container; readonly time: Date; readonly error: PodlingError }

/** What {@link Runtime.start} did. */
export interface StartReport {
  readonly started: readonly Container[]
  readonly failures: readonly StartFailure[]
}

/** A container that could not be started. */
export interface StartFailure {
  readonly container: Container
  readonly error: unknown
}

/** The containers of a root, made by this process or another. */
export class Containers extends EventEmitter<{ container: [ContainerEvent] }> {
  readonly #context: ContainerContext
  /** One handle a container, however often it is asked for, so that listeners and state stay together. */
  readonly #handles = new Map<string, Container>()

  /** @internal Use {@link Runtime.containers}. */
  constructor(context: ContainerContext) {
    super()
    this.#context = context
    context.networks.useContainers(networkAccess(context, (idOrName) => this.#live(this.#find(idOrName))))
    context.volumes.useContainers({
      remove: async (id) => {
        const record = context.records.get(id)
        if (record !== undefined) await this.handle(record).remove({ force: true })
      },
    })
  }

  /**
   * Make a container, not started.
   * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `IMAGE_NOT_FOUND`, `NAME_IN_USE`, `DISK_FULL`,
   * `DIGEST_MISMATCH` when the image was changed on disk
   */
  async create(options: ContainerOptions): Promise<Container> {
    return this.#make(options, async (_, { committed, lock }) => {
      try {
        await committed
      } finally {
        lock.release()
      }
    })
  }

  /** @internal Use {@link Runtime.run}. */
  async run(options: ContainerOptions, { signal }: { readonly signal?: AbortSignal }): Promise<Container> {
    return this.#make(options, (container, created) => container.startNew(created, signal))
  }

  /**
   * Make a container out of a checkpoint and let it go on where that was taken: by its old name or another, on its old
   * networks or others, once or many times. Its options are the checkpoint's, and over them those that are given here; of
   * a checkpoint that this root didn't make, or that was changed, options that give rights must be given again. Its restart
   * policy holds from its next start on.
   * @throws PodlingError `CHECKPOINT_INVALID`, `CHECKPOINT_FAILED` with CRIU's own reason, `CHECKPOINT_PROGRAM_NOT_FOUND`,
   * `IMAGE_NOT_FOUND`, and as {@link create}; nothing of the container is left then
   */
  async restore(options: RestoreOptions): Promise<Container> {
    await using source = await openCheckpoint(this.#context, options.path)
    const restored = await optionsOfRestored(this.#context, source, options)
    return await this.#make(restored, (container, created) => container.restoreNew(created, source, options), {
      restoring: true,
    })
  }

  /** Make a container and finish it; what can't be finished is removed again. */
  async #make(
    options: ContainerOptions,
    finish: (container: Container, created: Created) => Promise<void>,
    how: { readonly restoring?: boolean } = {},
  ): Promise<Container> {
    for (;;) {
      const { container, created } = await this.#create(options, how)
      try {
        await finish(container, created)
        return container
      } catch (error) {
        const failure = await afterUndo(error, () => container.remove({ force: true }))
        // A random name that another process took in the same moment is nobody's mistake.
        if (options.name !== undefined || !isNameInUse(failure)) throw failure
      }
    }
  }

  async #create(
    options: ContainerOptions,
    how: { readonly restoring?: boolean },
  ): Promise<{ container: Container; created: Created }> {
    this.#context.gate.pass('make a container')
    const created = await create(this.#context, options, how)
    const container = this.handle(created.record)
    this.#context.journal.write({ ...containerEvent(created.record), action: 'create' })
    this.emit('container', { type: 'create', container, time: new Date() })
    return { container, created }
  }

  /**
   * One container by name, id or the beginning of an id.
   * @throws PodlingError `CONTAINER_NOT_FOUND`
   */
  async get(idOrName: string): Promise<Container> {
    const record = this.#find(idOrName)
    if (isHolder(record)) {
      throw new PodlingError('CONTAINER_NOT_FOUND', `find container ${idOrName}: it is the name of a pod; see pods.get`)
    }
    return this.#live(record)
  }

  async #live(record: ContainerRecord): Promise<Container> {
    const container = this.handle(record)
    await container.refresh()
    return container
  }

  /** The containers that fit, oldest first. */
  async list(filter: ContainerFilter = {}): Promise<Container[]> {
    checkKnown('containers.list', filter, {
      status: true,
      label: true,
      name: true,
      image: true,
      pod: true,
      health: true,
    })
    const records = this.#records().filter((record) => !isHolder(record))
    const containers = records
      .filter((record) => matchesRecord(record, filter))
      .sort((a, b) => a.createdAt - b.createdAt)
      .map((record) => this.handle(record))
    await Promise.all(containers.map((container) => container.refresh()))
    const statuses = filter.status === undefined ? undefined : [filter.status].flat()
    return containers.filter(
      (container) =>
        (statuses === undefined || statuses.includes(container.status)) &&
        (filter.health === undefined || filter.health === (Container.lifecycleOf(container).health?.status ?? 'none')),
    )
  }

  /** What each container uses that runs now, oldest first. */
  stats(): Promise<ContainerStats[]>
  /** The same again at each interval, of those that run then; until it is left. @throws PodlingError `INVALID_OPTION` */
  stats(options: StatsStreamOptions): AsyncGenerator<ContainerStats[]>
  stats(options?: StatsStreamOptions): Promise<ContainerStats[]> | AsyncGenerator<ContainerStats[]> {
    const running = () => this.#lifecycles()
    return options?.stream ? followAll(this.#context.sampler, running, options) : this.#statsNow(running, options)
  }

  /** Of all, oldest first. The record of one that is known already is not read again: that takes longer than its stats. */
  async #lifecycles(): Promise<Lifecycle[]> {
    const { names, records } = this.#context
    const all = [...names.entries()].flatMap(([, id]) => {
      const known = this.#handles.get(id)
      const record = known === undefined ? records.get(id) : undefined
      return known ?? (record === undefined ? [] : this.handle(record))
    })
    const containers = all.filter((container) => !isHolder(Container.lifecycleOf(container).record))
    const idle = containers.filter((container) => Container.lifecycleOf(container).monitor === undefined)
    await Promise.all(idle.map((container) => container.refresh()))
    return containers
      .map((container) => Container.lifecycleOf(container))
      .sort((a, b) => a.record.createdAt - b.record.createdAt)
  }

  async #statsNow(running: () => Promise<Lifecycle[]>, options: object = {}): Promise<ContainerStats[]> {
    checkStatsOptions(options)
    return sampleAll(this.#context.sampler, await running())
  }

  /** @internal Use {@link Runtime.start}. */
  async startOnBoot(): Promise<StartReport> {
    const detached = [...this.#context.records.entries()].map(([, record]) => record).filter(wantsStartOnBoot)
    const started: Container[] = []
    const failures: StartFailure[] = []
    // Those that join the network of another one come after it.
    for (const joins of [false, true]) {
      await Promise.all(
        detached
          .filter((record) => joinsContainer(record) === joins)
          .map(async (record) => {
            const container = this.handle(record)
            try {
              if (await container.startOnBoot()) started.push(container)
            } catch (error) {
              failures.push({ container, error })
            }
          }),
      )
    }
    return { started, failures }
  }

  /** @internal End and remove what this runtime started and bound to itself; let go of all else. */
  async close(): Promise<void> {
    try {
      await this.#removeBound()
    } finally {
      await settleAll('let go of containers and images', [
        ...[...this.#handles.values()].map((container) => container.release()),
        ...[...this.#context.imageRoots].map((unmount) => unmount()),
      ])
    }
  }

  async #removeBound(): Promise<void> {
    const { owner } = this.#context
    const bound = this.#records().filter((record) => record.owner === owner && !record.options.detach)
    await settleAll(
      'remove the containers of this runtime',
      bound.map(async (record) => {
        const container = this.handle(record)
        await container.stop().catch(() => undefined)
        await container.remove({ force: true })
      }),
    )
  }

  #find(idOrName: string): ContainerRecord {
    const { names, records } = this.#context
    const exact = records.get(names.get(idOrName) ?? idOrName)
    if (exact !== undefined) return exact
    const matches = /^[0-9a-f]{3,64}$/.test(idOrName) ? [...records.entries(idOrName)].map(([, record]) => record) : []
    const [first] = matches
    if (first !== undefined && matches.length === 1) return first
    throw new PodlingError(
      'CONTAINER_NOT_FOUND',
      matches.length > 1
        ? `find container ${idOrName}: ${String(matches.length)} ids begin so; give more of it`
        : `find container ${idOrName}: no container has this name or id on this root`,
    )
  }

  #records(): ContainerRecord[] {
    return [...this.#context.records.entries()].map(([, record]) => record)
  }

  /** @internal The one handle of a container, or of a pod's holder, which nobody is told of. */
  handle(record: ContainerRecord): Container {
    const known = this.#handles.get(record.id)
    if (known !== undefined) {
      // Another process may have changed it.
      Container.lifecycleOf(known).record = record
      return known
    }
    const container = new Container(this.#context, record)
    this.#handles.set(record.id, container)
    container.on('remove', () => this.#handles.delete(record.id))
    if (isHolder(record)) return container
    const tell = (type: 'start' | 'pause' | 'unpause' | 'remove') => () =>
      this.emit('container', { type, container, time: new Date() })
    container.on('start', tell('start')).on('pause', tell('pause')).on('unpause', tell('unpause'))
    container.on('exit', (exit) => this.emit('container', { type: 'exit', container, time: exit.finishedAt, exit }))
    container.on('lost', (error) => this.emit('container', { type: 'lost', container, time: new Date(), error }))
    container.on('remove', tell('remove'))
    return container
  }
}

/** May it be one to start, as far as its record tells? */
function wantsStartOnBoot({ options }: ContainerRecord): boolean {
  return options.detach && startsOnBoot(options.restart, false)
}

function joinsContainer({ options }: ContainerRecord): boolean {
  return typeof options.network === 'object' && options.network.kind === 'container'
}

function matchesRecord(record: ContainerRecord, { label, name, image, pod }: ContainerFilter): boolean {
  return (
    hasLabels(record.options.labels, label) &&
    (name === undefined || record.name.includes(name)) &&
    (pod === undefined || record.pod?.id === pod) &&
    (image === undefined || record.image?.name === image || record.image?.id === image)
  )
}

function isNameInUse(error: unknown): boolean {
  return error instanceof PodlingError && error.code === 'NAME_IN_USE'
}
