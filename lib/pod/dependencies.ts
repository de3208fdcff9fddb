/** What a container of a pod waits for before it starts. */
import { PodlingError } from '../errors.js'
import type { Container } from '../container/container.js'
import type { PodAccess } from '../container/pod-access.js'
import { findPod, requireKept } from '../container/find-pod.js'
import { membersOf, orderOf, type Member, type PodParts } from './members.js'
import type { Needed } from './start-order.js'

/** Pods as their containers see them. */
export function podAccess(parts: PodParts): PodAccess {
  const { context, containers } = parts
  return {
    async prepare({ id, pod }) {
      if (pod === undefined) return
      const holder = findPod(context, pod.id)
      requireKept(holder, 'start a container in')
      await containers.handle(holder).ensureRunning()
      if (pod.dependsOn.length === 0 || parts.starting.has(id)) return
      // Not asked how they are: those that wait for this one answer no question until they run.
      const members = membersOf(parts, pod.id)
      const needed = orderOf(holder.name, members).get(id) ?? []
      await Promise.all(needed.map((one) => fulfil(members, one)))
    },
    async holder(pod) {
      const holder = findPod(context, pod)
      requireKept(holder, 'start a container in')
      return containers.handle(holder).ensureRunning()
    },
  }
}

async function fulfil(members: readonly Member[], needed: Needed): Promise<void> {
  const { container } = memberOf(members, needed)
  await container.refresh()
  const done = needed.condition === 'completed' && container.inspect().state.exit?.exitCode === 0
  if (done) return
  await container.ensureRunning()
  await awaitCondition(members, needed)
}

/** Of one that has been started. @throws PodlingError `DEPENDENCY_FAILED` */
export async function awaitCondition(members: readonly Member[], needed: Needed): Promise<void> {
  if (needed.condition === 'started') return
  const { container } = memberOf(members, needed)
  const [fate, wanted] =
    needed.condition === 'healthy'
      ? [await untilHealthy(container), 'be healthy']
      : [`ended with ${String((await container.wait()).exitCode)}`, 'end well']
  if (fate === 'is healthy' || fate === 'ended with 0') return
  throw new PodlingError(
    'DEPENDENCY_FAILED',
    `container ${container.name} ${fate}, and others of its pod wait for it to ${wanted}; see its logs() and inspect()`,
  )
}

/** Whichever comes first. */
async function untilHealthy(container: Container): Promise<string> {
  const others = new AbortController()
  const { signal } = others
  try {
    return await Promise.race([
      container.wait({ condition: 'healthy', signal }).then(() => 'is healthy'),
      container.wait({ condition: 'unhealthy', signal }).then(() => 'is unhealthy'),
      container
        .wait({ condition: 'exited', signal })
        .then(({ exitCode }) => `ended with ${String(exitCode)}, not healthy`),
    ])
  } finally {
    others.abort()
  }
}

function memberOf(members: readonly Member[], { id }: Needed): Member {
  const found = members.find(({ record }) => record.id === id)
  if (found === undefined)
    throw new PodlingError('CONTAINER_NOT_FOUND', `find container ${id}: it was removed meanwhile`)
  return found
}
