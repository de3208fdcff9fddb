import { readdir, rm } from 'node:fs/promises'
import { isErrno } from '../storage/file-error.js'
import { settleAll } from '../teardown.js'
import { removeFiles } from './clear-away.js'
import type { ContainerContext } from './context.js'
import { Lifecycle } from './lifecycle.js'
import { containerPaths, runName, type ContainerRecord } from './record.js'
import { killNow, remove } from './remove.js'
import { RunLock } from './run-lock.js'

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
    removeStrays(context).then(() => removeStrayRunDirectories(context)),
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
 * What no record speaks of: a host died between the making of a container and its record. One that is being made has
 * its lock held; the record is asked for after that was seen.
 */
async function removeStrays(context: ContainerContext): Promise<void> {
  const { root, runRoot, cgroups, driver, records } = context
  const found = new Set([...(await cgroups.list()), ...(await driver.list()), ...(await namesIn(`${root}/containers`))])
  const strays = [...found].filter(
    (id) => !RunLock.isHeld(containerPaths(root, runRoot, id, false).lock) && records.get(id) === undefined,
  )
  await settleAll(
    'remove what was left behind of containers',
    strays.map(async (id) => {
      await cgroups.kill(id)
      await cgroups.remove(id)
      await removeFiles(context, id)
    }),
  )
}

/** Run directories, which are named by half an id, of containers that are neither known nor being made. */
async function removeStrayRunDirectories({ runRoot, records }: ContainerContext): Promise<void> {
  const unheld = (await namesIn(`${runRoot}/c`)).filter((name) => !RunLock.isHeld(`${runRoot}/c/${name}/lock`))
  const known = new Set([...records.entries()].map(([id]) => runName(id)))
  await settleAll(
    'remove run directories that were left behind',
    unheld
      .filter((name) => !known.has(name))
      .map((name) => rm(`${runRoot}/c/${name}`, { recursive: true, force: true })),
  )
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}

const silent = {
  started: () => undefined,
  exited: () => undefined,
  lost: () => undefined,
  changed: () => undefined,
  removed: () => undefined,
}
