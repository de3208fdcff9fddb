/** The containers of a pod, as the records tell. */
import type { Container } from '../container/container.js'
import type { Containers } from '../container/containers.js'
import type { ContainerContext } from '../container/context.js'
import { findPod, type HolderRecord } from '../container/find-pod.js'
import type { ContainerRecord } from '../container/record.js'
import { startOrder, type StartOrder } from './start-order.js'

/** What pods work with. */
export interface PodParts {
  readonly context: ContainerContext
  readonly containers: Containers
  /** Containers whose dependencies are seen to by the start of their whole pod. */
  readonly starting: Set<string>
}

/** One container of a pod. */
export interface Member {
  readonly record: ContainerRecord
  readonly container: Container
}

/** The record of a pod as it is now. @throws PodlingError `POD_NOT_FOUND` when it was removed */
export function podRecord({ context }: PodParts, id: string): HolderRecord {
  return findPod(context, id)
}

/** Oldest first. */
export function membersOf({ context, containers }: PodParts, id: string): Member[] {
  return [...context.records.entries()]
    .filter(([, { pod }]) => pod?.id === id)
    .map(([, record]) => ({ record, container: containers.handle(record) }))
    .sort((a, b) => a.record.createdAt - b.record.createdAt)
}

/** The same, each asked anew how it is. */
export async function liveMembersOf(parts: PodParts, id: string): Promise<Member[]> {
  const members = membersOf(parts, id)
  await Promise.all(members.map(({ container }) => container.refresh()))
  return members
}

export function isInit({ record }: Member): boolean {
  return record.pod?.initContainer !== undefined
}

/** Of all but init containers. */
export function orderOf(pod: string, members: readonly Member[]): StartOrder {
  return startOrder(
    pod,
    members.filter((member) => !isInit(member)).map(({ record }) => record),
  )
}

export function runs({ container }: Member): boolean {
  return ['running', 'paused', 'restarting', 'stopping'].includes(container.status)
}
