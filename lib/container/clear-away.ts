import { settleAll } from '../teardown.js'
import { containerEvent } from './container-event.js'
import type { ContainerContext } from './context.js'
import { runPoststop } from './hooks/container-hooks.js'
import { removeSmallDirectory } from './remove-small.js'
import { removeRunDirectory } from './run-directory.js'
import { containerPaths, imagesOf, volumesOf, type ContainerRecord } from './record.js'

/** Give back what drivers of volumes did on the host for a container that nothing runs of. */
export async function unmountVolumes(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const names = volumesOf(record).map(({ name }) => name)
  if (names.length > 0) await context.volumes.use.unmount(record.id, names)
}

/** Remove all files of a container that nothing runs of. What is gone already is no failure. */
export async function removeFiles(context: ContainerContext, id: string): Promise<void> {
  const { directory, runDirectory } = containerPaths(context.root, context.runRoot, id, false)
  context.networks.naming.withdraw(id)
  await settleAll(`remove the files of container ${id.slice(0, 12)}`, [
    context.driver.remove(id),
    removeSmallDirectory(directory),
    removeRunDirectory(runDirectory),
  ])
}

/**
 * Take a container away, whether all of it was made or not: what is on disk, its hold on the image's layers, its name, its
 * record and its hold on volumes, in this order, so that whatever interrupts it leaves a record by which the next open
 * finishes the work.
 * @param ownVolumes the volumes that nobody else has go with it @default when it is bound to its host
 */
export async function clearAway(
  context: ContainerContext,
  record: ContainerRecord,
  ownVolumes = !record.options.detach,
): Promise<void> {
  await runPoststop({ record, paths: containerPaths(context.root, context.runRoot, record.id, false) })
  // What a driver can't do stays noted, and does not keep the container.
  const [unmounted] = await Promise.allSettled([unmountVolumes(context, record)])
  await removeFiles(context, record.id)
  for (const { holder, chainId } of imagesOf(record)) {
    await context.driver.remove(holder)
    if (chainId !== undefined) await context.layers.release(chainId, `container:${holder}`)
  }
  // Last, when nothing is there any more that it limits.
  await context.quotas.free(record.id)
  await context.levels.free(record.id)
  if (record.chainId !== undefined) await context.layers.release(record.chainId, `container:${record.id}`)
  const volumes = await context.database.transaction(() => {
    void context.records.remove(record.id)
    if (record.options.userns !== undefined) void context.userIds.remove(record.id)
    // The name may be another's: one that was never reserved, or was taken anew.
    if (context.names.get(record.name) === record.id) void context.names.remove(record.name)
    return context.volumes.use.release(record.id, volumesOf(record), ownVolumes)
  })
  context.journal.write({ ...containerEvent(record), action: 'remove' })
  // They are marked as going away: the next open finishes what is interrupted here.
  await context.volumes.use.finish(volumes)
  if (unmounted.status === 'rejected') throw unmounted.reason
}
