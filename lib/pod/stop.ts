/** Stop a pod: each container after those that depend on it, at last what holds it. */
import type { StopOptions } from '../container/stop.js'
import { settleAll } from '../teardown.js'
import { liveMembersOf, membersOf, orderOf, podRecord, runs, type Member, type PodParts } from './members.js'
import { inOrder, reversed, type StartOrder } from './start-order.js'

/** What doesn't run is left as it is. It goes on past what can't be stopped, and reports all of that. */
export async function stopPod(parts: PodParts, id: string, options: StopOptions): Promise<void> {
  const record = podRecord(parts, id)
  const members = await liveMembersOf(parts, id)
  const find = new Map(members.map((member) => [member.record.id, member.container]))
  const failures: Promise<void>[] = []
  await inOrder(reversed(lenientOrder(record.name, members)), async (one) => {
    const stopping = Promise.resolve(find.get(one)?.stop(options)).then(() => undefined)
    failures.push(stopping)
    await stopping.catch(() => undefined)
  })
  const holder = parts.containers.handle(record)
  await holder.refresh()
  await settleAll(`stop pod ${record.name}`, [...failures, holder.stop(options).then(() => undefined)])
}

/** An order that doesn't work keeps nobody from stopping what runs. */
function lenientOrder(pod: string, members: readonly Member[]): StartOrder {
  const free: StartOrder = new Map(members.map(({ record }) => [record.id, []]))
  try {
    return new Map([...free, ...orderOf(pod, members)])
  } catch {
    return free
  }
}

/** `exitPolicy: 'stop'`: nothing of it runs any more but what holds it. */
export async function stopIfDone(parts: PodParts, id: string): Promise<void> {
  const record = parts.context.records.get(id)
  if (record?.holds?.exitPolicy !== 'stop' || membersOf(parts, id).some(runs)) return
  await parts.containers.handle(record).stop()
}
