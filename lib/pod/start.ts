/** Start a pod: what holds it, its init containers one after the other, then all others, each after what it depends on. */
import { PodlingError } from '../errors.js'
import { requireKept } from '../container/find-pod.js'
import { afterUndo, settleAll } from '../teardown.js'
import { awaitCondition } from './dependencies.js'
import { isInit, liveMembersOf, orderOf, podRecord, runs, type Member, type PodParts } from './members.js'
import { inOrder } from './start-order.js'

/** What runs already is left as it is. What this start has started, its failure ends again. */
export async function startPod(parts: PodParts, id: string): Promise<void> {
  const record = podRecord(parts, id)
  requireKept(record, 'start')
  const members = await liveMembersOf(parts, id)
  const order = orderOf(record.name, members)
  const holder = parts.containers.handle(record)
  await holder.refresh()
  const before = new Set([
    ...members.filter(runs).map(({ record }) => record.id),
    ...(holder.pid === undefined ? [] : [id]),
  ])
  try {
    await holder.ensureRunning()
    if (members.every((member) => isInit(member) || !runs(member))) await runInits(record.name, members.filter(isInit))
    const find = new Map(members.map((member) => [member.record.id, member.container]))
    for (const one of order.keys()) parts.starting.add(one)
    const results = await inOrder(
      order,
      async (one) => {
        await find.get(one)?.ensureRunning()
      },
      (needed) => awaitCondition(members, needed),
    )
    await settleAll(`start pod ${record.name}`, distinct(results))
  } catch (error) {
    throw await afterUndo(error, () =>
      settleAll(`stop pod ${record.name}`, [
        ...members.filter((member) => !before.has(member.record.id)).map(({ container }) => endStarted(container)),
        ...(before.has(id) ? [] : [endStarted(holder)]),
      ]),
    )
  } finally {
    for (const one of order.keys()) parts.starting.delete(one)
  }
}

async function endStarted(container: Member['container']): Promise<void> {
  if (container.pid !== undefined) await container.stop({ timeout: 0 })
}

/** What fails for the sake of another fails with the other's error, which is told once. */
function distinct(results: readonly PromiseSettledResult<void>[]): Promise<void>[] {
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  return [...new Set(reasons)].map((reason) => Promise.reject(reason as Error))
}

async function runInits(pod: string, inits: readonly Member[]): Promise<void> {
  for (const { record, container } of inits) {
    await container.ensureRunning()
    const { exitCode } = await container.wait()
    if (exitCode !== 0) {
      throw new PodlingError(
        'DEPENDENCY_FAILED',
        `start pod ${pod}: its init container ${record.name} ended with ${String(exitCode)}; see its logs()`,
      )
    }
    if (record.pod?.initContainer === 'once') await container.remove()
  }
}
