import type { Containers } from '../container/containers.js'
import type { ContainerContext } from '../container/context.js'
import { findPod, isHolder, type HolderRecord } from '../container/find-pod.js'
import { checkKnown } from '../schema/known-options.js'
import { settleAll } from '../teardown.js'
import { createPod } from './create.js'
import { podAccess } from './dependencies.js'
import type { PodParts } from './members.js'
import type { PodFilter, PodOptions } from './options.js'
import { Pod } from './pod.js'
import { hasLabels } from '../schema/labels.js'

/** The pods of a root, made by this process or another. */
export class Pods {
  readonly #parts: PodParts
  /** One handle a pod, so that its verbs wait for each other. */
  readonly #handles = new Map<string, Pod>()

  /** @internal Use {@link Runtime.pods}. */
  constructor(context: ContainerContext, containers: Containers) {
    this.#parts = { context, containers, starting: new Set() }
    context.pods.use(podAccess(this.#parts))
    containers.on('container', ({ type, container }) => {
      if (container.pod === undefined || (type !== 'exit' && type !== 'lost')) return
      const record = context.records.get(container.pod)
      // It may be on its way out with all of its pod; then there is nothing left to stop.
      if (isHolder(record))
        this.#handle(record)
          .afterExit()
          .catch(() => undefined)
    })
  }

  /**
   * Make a pod; nothing of it runs yet. It is started with the first of its containers, or by {@link Pod.start}.
   * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `NAME_IN_USE`, `NETWORK_NOT_FOUND`,
   * `CGROUP_CONTROLLER_MISSING`, `KERNEL_UNSUPPORTED`, `SUBIDS_NOT_FOUND`, `SUBIDS_INVALID`, `SUBIDS_TOO_FEW`
   */
  async create(options: PodOptions = {}): Promise<Pod> {
    this.#parts.context.gate.pass('make a pod')
    return this.#handle(await createPod(this.#parts.context, options))
  }

  /** One pod by name, id or the beginning of an id. @throws PodlingError `POD_NOT_FOUND` */
  async get(idOrName: string): Promise<Pod> {
    const pod = this.#handle(findPod(this.#parts.context, idOrName))
    await pod.refresh()
    return pod
  }

  /** The pods that fit, oldest first. */
  async list(filter: PodFilter = {}): Promise<Pod[]> {
    checkKnown('pods.list', filter, { status: true, label: true, name: true })
    const pods = this.#records()
      .filter((record) => fits(record, filter))
      .sort((a, b) => a.createdAt - b.createdAt)
      .map((record) => this.#handle(record))
    await Promise.all(pods.map((pod) => pod.refresh()))
    const statuses = filter.status === undefined ? undefined : [filter.status].flat()
    return statuses === undefined ? pods : pods.filter(({ status }) => statuses.includes(status))
  }

  /** @internal Stop and remove those that are bound to this runtime. */
  async close(): Promise<void> {
    const { owner } = this.#parts.context
    const bound = this.#records().filter((record) => record.owner === owner && !record.options.detach)
    await settleAll(
      'remove the pods of this runtime',
      bound.map(async (record) => {
        const pod = this.#handle(record)
        await pod.stop().catch(() => undefined)
        await pod.remove({ force: true })
      }),
    )
  }

  #records(): HolderRecord[] {
    return [...this.#parts.context.records.entries()].map(([, record]) => record).filter(isHolder)
  }

  #handle(record: HolderRecord): Pod {
    const known = this.#handles.get(record.id)
    if (known !== undefined) return known
    const holder = this.#parts.containers.handle(record)
    const pod = new Pod(this.#parts, holder)
    this.#handles.set(record.id, pod)
    holder.once('remove', () => this.#handles.delete(record.id))
    return pod
  }
}

function fits({ name, options }: HolderRecord, filter: PodFilter): boolean {
  return (filter.name === undefined || name.includes(filter.name)) && hasLabels(options.labels, filter.label)
}
