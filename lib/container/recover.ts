import { existsSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { settleAll } from '../teardown.js'
import { isCheckpointed, undoCheckpoint } from './checkpoint/in-progress.js'
import { removeUnpacked } from './checkpoint/source.js'
import { clearAway, removeFiles } from './clear-away.js'
import { namesIn, removeIfEmpty, removeRunDirectory } from './run-directory.js'
import type { ContainerContext } from './context.js'
import { isHolder } from './find-pod.js'
import { holderOwner } from './mount-request.js'
import { Lifecycle } from './lifecycle.js'
import { cgroupOf } from './pod-place.js'
import { containerPaths, runName, type ContainerRecord } from './record.js'
import { killNow } from './remove.js'
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
  /**
   * What could not be undone, and is tried again by the next open: of CNI plugins that failed, each a `CniError`; of a
   * container that the kernel doesn't let die, a `PodlingError` `STILL_RUNNING`.
   */
  readonly failures: readonly unknown[]
}

/**
 * Remove the bound containers of hosts that are dead, and finish the removal of detached ones. Their monitors have ended them already, or are about to; what a
 * monitor could not do, because it was killed too, is done here. One that the kernel doesn't let die keeps nobody from the
 * others: it is told of, and stays known.
 *
 * @param hostLives tells whether the runtime instance of that id still has its lock
 */
export async function recoverContainers(
  context: ContainerContext,
  hostLives: (owner: string) => Promise<boolean>,
): Promise<RecoveryReport> {
  const records = [...context.records.entries()].map(([, record]) => record)
  const owners = [...new Set(records.map(({ owner }) => owner))]
  const living = new Set<string>()
  for (const owner of owners) if (await hostLives(owner)) living.add(owner)
  const left = records.filter((record) => endsWithHost(record) && !living.has(record.owner))
  // A pod that ends takes along what is in it, whoever started that.
  const pods = new Set(left.filter(isHolder).map(({ id }) => id))
  const orphans = records.filter((record) => left.includes(record) || pods.has(record.pod?.id ?? ''))
  const undying = new Map<string, PodlingError>()
  const noteUndying = (id: string) => (error: unknown) => {
    if (!(error instanceof PodlingError && error.code === 'STILL_RUNNING')) throw error
    undying.set(id, error)
  }
  const remove = (some: readonly ContainerRecord[]): Promise<void> =>
    settleAll(
      'clean up after a host that died',
      some.map((record) => removeOrphan(context, record).catch(noteUndying(record.id))),
    )
  await settleAll(
    'undo checkpoints of a host that died',
    records
      .filter((record) => isCheckpointed(containerPaths(context.root, context.runRoot, record.id, false)))
      .map((record) => undoCheckpointOf(context, record, hostLives)),
  )
  await settleAll('clean up after a host that died', [
    remove(orphans.filter((record) => !isHolder(record))).finally(() => remove(orphans.filter(isHolder))),
    Promise.all([removeStrays(context, noteUndying), releaseStrayLayers(context)]).then(() =>
      removeStrayRunDirectories(context),
    ),
    freeStrayQuotas(context),
    freeStrayLevels(context),
  ])
  await removeUnpacked(context.root, hostLives)
  await unmountLeftVolumes(context)
  const halfGone = await finishRemovals(context)
  const gone = [...orphans, ...halfGone].filter((record) => !isHolder(record) && !undying.has(record.id))
  const containers = gone.map(({ id, name, image, createdAt }) => ({
    id,
    name,
    ...(image === undefined ? {} : { image }),
    createdAt: new Date(createdAt),
  }))
  return { containers, failures: [...undying.values()] }
}

function endsWithHost({ options, holds, restoring = false }: ContainerRecord): boolean {
  return !options.detach || holds?.removing === true || restoring
}

async function undoCheckpointOf(
  context: ContainerContext,
  record: ContainerRecord,
  hostLives: (owner: string) => Promise<boolean>,
): Promise<void> {
  const lifecycle = new Lifecycle(context, record, silent)
  try {
    await undoCheckpoint(lifecycle, hostLives)
  } finally {
    await lifecycle.release()
  }
}

async function removeOrphan(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const lifecycle = new Lifecycle(context, record, silent)
  await lifecycle.refresh()
  await killNow(lifecycle)
  // Of a pod, all that stands in it.
  const cgroup = isHolder(record) ? record.id : cgroupOf(record)
  await context.cgroups.kill(cgroup)
  await context.cgroups.remove(cgroup)
  try {
    await clearAway(context, record)
  } catch (error) {
    // A driver of volumes that isn't there now is asked again at the next open.
    if (!(error instanceof PodlingError && error.code === 'VOLUME_FAILED')) throw error
  }
}

/** What a container has written goes first when it is removed: a detached one that has only its record is on its way out. */
async function finishRemovals(context: ContainerContext): Promise<ContainerRecord[]> {
  const { records, driver } = context
  const prepared = new Set(await driver.list())
  const finished: ContainerRecord[] = []
  for (const [id, record] of records.entries()) {
    if (!record.options.detach || isHolder(record) || prepared.has(id)) continue
    await unlessBeingMade(context, id, async () => {
      // It may have been made just now.
      if (records.get(id) === undefined || (await driver.list()).includes(id)) return
      await removeOrphan(context, record)
      finished.push(record)
    })
  }
  return finished
}

/** What drivers of volumes did for containers that don't run: those ended while nobody was there to give it back. */
async function unmountLeftVolumes(context: ContainerContext): Promise<void> {
  const { volumes, records } = context
  for (const [id, names] of volumes.use.mounted()) {
    await unlessBeingMade(context, id, async () => {
      const record = records.get(id)
      const lifecycle = record === undefined ? undefined : new Lifecycle(context, record, silent)
      await lifecycle?.refresh()
      const runs = lifecycle?.monitor !== undefined
      await lifecycle?.release()
      // It stays noted when its driver can't.
      if (!runs) await volumes.use.unmount(id, names).catch(() => undefined)
    })
  }
}

/** What no record speaks of: a host died between the making of a container and its record. */
async function removeStrays(
  context: ContainerContext,
  noteUndying: (id: string) => (error: unknown) => void,
): Promise<void> {
  const { root, cgroups, driver, records } = context
  const pods = [...records.entries()].filter(([, record]) => isHolder(record)).map(([id]) => id)
  const inPods = (await Promise.all(pods.map((id) => cgroups.list(id)))).flat()
  const found = new Set([...(await cgroups.list()), ...(await driver.list()), ...namesIn(`${root}/containers`)])
  await settleAll('remove what was left behind of containers', [
    ...inPods.map((cgroup) => removeStrayOfPod(context, cgroup).catch(noteUndying(cgroup))),
    // Of those that have a record nobody's lock is asked for.
    ...[...found]
      .filter((id) => records.get(holderOwner(id)) === undefined)
      .map((id) =>
        unlessBeingMade(context, holderOwner(id), async () => {
          if (records.get(holderOwner(id)) !== undefined) return
          await cgroups.kill(id)
          await cgroups.remove(id)
          await removeFiles(context, id)
        }).catch(noteUndying(id)),
      ),
  ])
}

/** The cgroup of a container that began in a pod, and has no record. */
async function removeStrayOfPod(context: ContainerContext, cgroup: string): Promise<void> {
  const { cgroups, records } = context
  const [, id = ''] = cgroup.split('/')
  await unlessBeingMade(context, id, async () => {
    const known = [...records.entries()].some(([, record]) => cgroupOf(record) === cgroup)
    if (known) return
    await cgroups.kill(cgroup)
    await cgroups.remove(cgroup)
  })
}

/** Layers that are held for what no record speaks of: an image that a dead host had mounted. */
async function releaseStrayLayers(context: ContainerContext): Promise<void> {
  const { layers, records } = context
  const strays = layers.references().flatMap(({ chainId, holder }) => {
    const id = /^container:(.*)$/.exec(holder)?.[1]?.slice(0, 64)
    return id === undefined || records.get(id) !== undefined ? [] : [{ chainId, holder, id }]
  })
  await settleAll(
    'give back layers that were left behind',
    strays.map(({ chainId, holder, id }) =>
      unlessBeingMade(context, id, async () => {
        if (records.get(id) === undefined) await layers.release(chainId, holder)
      }),
    ),
  )
}

/** Quotas of what no record speaks of. */
async function freeStrayQuotas(context: ContainerContext): Promise<void> {
  const strays = context.quotas.holders().filter((id) => context.records.get(id) === undefined)
  await settleAll(
    'free quotas that were left behind',
    strays.map((id) =>
      unlessBeingMade(context, id, async () => {
        if (context.records.get(id) === undefined) await context.quotas.free(id)
      }),
    ),
  )
}

/** Levels of SELinux of what no record speaks of. */
async function freeStrayLevels(context: ContainerContext): Promise<void> {
  const { levels, records } = context
  for (const id of levels.holders()) {
    if (records.get(id) !== undefined) continue
    await unlessBeingMade(context, id, async () => {
      if (records.get(id) === undefined) await levels.free(id)
    })
  }
}

/** One that is being made has its lock held; nobody begins to make it while the lock is ours. */
async function unlessBeingMade(
  { root, runRoot }: ContainerContext,
  id: string,
  clear: () => Promise<void>,
): Promise<void> {
  const { lock: path } = containerPaths(root, runRoot, id, false)
  let lock: RunLock | undefined
  // Ids are never given twice: without its lock's file nobody makes it any more. Where the file is there, one who only looked at it
  // may have been in the way.
  while ((lock = RunLock.seize(path)) === undefined && existsSync(path)) if (RunLock.isHeld(path)) return
  try {
    await clear()
  } finally {
    lock?.release()
  }
}

/** Run directories, which are named by half an id, of containers that are neither known nor being made. */
async function removeStrayRunDirectories({ runRoot, records }: ContainerContext): Promise<void> {
  const known = () => new Set([...records.entries()].map(([id]) => runName(id)))
  const before = known()
  await settleAll(
    'remove run directories that were left behind',
    namesIn(`${runRoot}/c`)
      .filter((name) => !before.has(name))
      .map(async (name) => {
        const directory = `${runRoot}/c/${name}`
        const lock = RunLock.seize(`${directory}/lock`)
        // Held, or has none yet, or no more: see removeRunDirectory().
        if (lock === undefined) {
          removeIfEmpty(directory)
          return
        }
        try {
          // Asked for anew: its record may have come before the lock was ours.
          if (!known().has(name)) await removeRunDirectory(directory)
        } finally {
          lock.release()
        }
      }),
  )
}

const silent = {
  started: () => undefined,
  restarting: () => undefined,
  exited: () => undefined,
  lost: () => undefined,
  logLost: () => undefined,
  health: () => undefined,
  changed: () => undefined,
  removed: () => undefined,
}
