/** Take a pod away with all its containers. */
import { PodlingError } from '../errors.js'
import type { HolderRecord } from '../container/find-pod.js'
import { containerPaths } from '../container/record.js'
import { RunLock } from '../container/run-lock.js'
import { settleAll } from '../teardown.js'
import { liveMembersOf, membersOf, podRecord, runs, type Member, type PodParts } from './members.js'

/**
 * From its first step on nobody makes or starts a container in it, in any process; whatever interrupts it, the next call
 * finishes the work.
 * @throws PodlingError `INVALID_STATE` when something runs in it and `force` isn't given
 */
export async function removePod(parts: PodParts, id: string, force: boolean): Promise<void> {
  const { context, containers } = parts
  const record = podRecord(parts, id)
  if (!force) await assertNothingRuns(parts, record)
  await mark(parts, id, true)
  try {
    await settleAll(
      `remove the containers of pod ${record.name}`,
      membersOf(parts, id).map((member) => removeMember(parts, member, force)),
    )
  } catch (error) {
    // Something was started before it could not be any more.
    if (!force) await mark(parts, id, false)
    throw error
  }
  const holder = containers.handle(record)
  await holder.refresh()
  await holder.remove({ force: true })
  // What is left of containers whose monitors were killed.
  await context.cgroups.kill(id)
  await context.cgroups.remove(id)
}

/** One that another process is starting runs before long; nobody begins to start one any more. */
async function removeMember({ context }: PodParts, { record, container }: Member, force: boolean): Promise<void> {
  const paths = containerPaths(context.root, context.runRoot, record.id, record.options.detach)
  if (RunLock.isHeld(paths.lock)) (await RunLock.acquire(paths))?.release()
  await container.refresh()
  await container.remove({ force })
}

async function assertNothingRuns(parts: PodParts, { id, name }: HolderRecord): Promise<void> {
  const running = (await liveMembersOf(parts, id)).filter(runs).map(({ record }) => record.name)
  if (running.length === 0) return
  throw new PodlingError(
    'INVALID_STATE',
    `remove pod ${name}: ${running.join(', ')} run${running.length === 1 ? 's' : ''} in it. Call stop() first, or remove({ force: true }).`,
  )
}

async function mark({ context }: PodParts, id: string, removing: boolean): Promise<void> {
  const { database, records } = context
  await database.transaction(() => {
    const record = records.get(id)
    if (record?.holds === undefined) return
    const { removing: _, ...holds } = record.holds
    void records.put(id, { ...record, holds: removing ? { ...holds, removing } : holds })
  })
}
