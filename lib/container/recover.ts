import { settleAll } from '../teardown.js'
import type { ContainerContext } from './context.js'
import { Lifecycle } from './lifecycle.js'
import type { ContainerRecord } from './record.js'
import { killNow, remove } from './remove.js'

/** A container that its host left behind, and that was removed. */
export interface RecoveredContainer {
  readonly id: string
  readonly name: string
  readonly image?: { readonly id: string; readonly name: string }
  readonly createdAt: Date
}

/** What {@link Runtime.open} found left behind by hosts that died, and removed. */
export interface RecoveryReport {
  readonly containers: readonly RecoveredContainer[]
}

/**
 * Remove the bound containers of hosts that are dead. Their monitors have ended them already, or are about to; what a
 * monitor could not do, because it was killed too, is done here.
 *
 * @param hostLives tells whether the runtime instance of that id still has its lock
 */
export async function recoverContainers(
  context: ContainerContext,
  hostLives: (owner: string) => Promise<boolean>,
): Promise<RecoveredContainer[]> {
  const records = [...context.records.entries()].map(([, record]) => record)
  const owners = [...new Set(records.map(({ owner }) => owner))]
  const living = new Set<string>()
  for (const owner of owners) if (await hostLives(owner)) living.add(owner)
  const orphans = records.filter(({ owner, options }) => !options.detach && !living.has(owner))
  await settleAll('clean up after a host that died', [
    ...orphans.map((record) => removeOrphan(context, record)),
    removeStrayCgroups(context),
  ])
  return orphans.map(({ id, name, image, createdAt }) => ({
    id,
    name,
    ...(image === undefined ? {} : { image }),
    createdAt: new Date(createdAt),
  }))
}

async function removeOrphan(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const lifecycle = new Lifecycle(context, record, silent)
  await lifecycle.refresh()
  await killNow(lifecycle)
  await context.cgroups.kill(record.id)
  await context.cgroups.remove(record.id)
  lifecycle.status = 'exited'
  await remove(lifecycle)
}

/**
 * Cgroups that no record speaks of. Every start comes after its record and every record goes after its cgroup, so one
 * without is left over, whoever looks; the record is asked for after the cgroup was seen.
 */
async function removeStrayCgroups({ cgroups, records }: ContainerContext): Promise<void> {
  const strays = (await cgroups.list()).filter((id) => records.get(id) === undefined)
  await settleAll(
    'remove cgroups that were left behind',
    strays.map(async (id) => {
      await cgroups.kill(id)
      await cgroups.remove(id)
    }),
  )
}

const silent = {
  started: () => undefined,
  exited: () => undefined,
  lost: () => undefined,
  changed: () => undefined,
  removed: () => undefined,
}
