/** In which order the containers of a pod start, by what they depend on. Pure. */
import { PodlingError } from '../errors.js'
import type { DependencyCondition } from '../container/pod-place.js'
import type { ContainerRecord } from '../container/record.js'

export interface Needed {
  readonly id: string
  readonly condition: DependencyCondition
}

/** What each container of a pod needs, by its id. */
export type StartOrder = ReadonlyMap<string, readonly Needed[]>

/**
 * @param pod its name
 * @param members all of its containers
 * @throws PodlingError `DEPENDENCY_CYCLE`, which tells the way round; `CONTAINER_NOT_FOUND`
 */
export function startOrder(pod: string, members: readonly ContainerRecord[]): StartOrder {
  const find = (from: ContainerRecord, wanted: string): ContainerRecord => {
    const named = members.find(({ name, id }) => name === wanted || id === wanted)
    const found = named ?? members.find(({ id }) => wanted.length >= 12 && id.startsWith(wanted))
    if (found !== undefined) return found
    throw new PodlingError(
      'CONTAINER_NOT_FOUND',
      `start container ${from.name}: it depends on ${wanted}, which is no container of pod ${pod}`,
    )
  }
  const order = new Map(
    members.map((member) => [
      member.id,
      (member.pod?.dependsOn ?? []).map(({ container, condition }) => ({ id: find(member, container).id, condition })),
    ]),
  )
  assertNoCycle(pod, order, new Map(members.map(({ id, name }) => [id, name])))
  return order
}

function assertNoCycle(pod: string, order: StartOrder, names: ReadonlyMap<string, string>): void {
  const done = new Set<string>()
  const visit = (id: string, trail: readonly string[]): void => {
    const before = trail.indexOf(id)
    if (before >= 0) {
      const way = [...trail.slice(before), id].map((one) => names.get(one) ?? one).join(' → ')
      throw new PodlingError('DEPENDENCY_CYCLE', `start pod ${pod}: its containers depend on each other: ${way}`)
    }
    if (done.has(id)) return
    for (const needed of order.get(id) ?? []) visit(needed.id, [...trail, id])
    done.add(id)
  }
  for (const id of order.keys()) visit(id, [])
}

/** Who needs each: the order the other way round. */
export function reversed(order: StartOrder): StartOrder {
  return new Map(
    [...order.keys()].map((id) => [
      id,
      [...order].flatMap(([other, needed]) =>
        needed.some((one) => one.id === id) ? [{ id: other, condition: 'started' as const }] : [],
      ),
    ]),
  )
}

/** Do something to each when it is done to all that it needs. What one fails at ends those that need it, with the same error. */
export async function inOrder(
  order: StartOrder,
  work: (id: string) => Promise<void>,
  fulfil: (needed: Needed) => Promise<void> = () => Promise.resolve(),
): Promise<PromiseSettledResult<void>[]> {
  const begun = new Map<string, Promise<void>>()
  const begin = (id: string): Promise<void> => {
    const known = begun.get(id)
    if (known !== undefined) return known
    const needed = (order.get(id) ?? []).map((one) => begin(one.id).then(() => fulfil(one)))
    const running = Promise.all(needed).then(() => work(id))
    begun.set(id, running)
    return running
  }
  return Promise.allSettled([...order.keys()].map(begin))
}
