import { rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { settleAll } from '../teardown.js'
import type { Lifecycle } from './lifecycle.js'
import { requireStatus } from './status.js'

export interface RemoveOptions {
  /** Kill it first if it runs. @default false */
  readonly force?: boolean
}

/**
 * Take a container away: what is on disk, its hold on the image's layers, its name, its record, in this order, so that
 * whatever interrupts it leaves a record by which the next open finishes the work.
 */
export async function remove(container: Lifecycle): Promise<void> {
  const { context, paths, record } = container
  if (container.status === 'removed') return
  requireStatus('remove', container.status, record.name)
  context.networks.naming.withdraw(record.id)
  await settleAll(`remove container ${record.name}`, [
    context.driver.remove(record.id),
    rm(paths.directory, { recursive: true, force: true }),
    rm(paths.runDirectory, { recursive: true, force: true }),
  ])
  if (record.chainId !== undefined) await context.layers.release(record.chainId, `container:${record.id}`)
  await context.database.transaction(() => {
    void context.records.remove(record.id)
    if (context.names.get(record.name) === record.id) void context.names.remove(record.name)
  })
  container.set('removed')
}

/** End whatever runs of it, without regard for its stop signal. */
export async function killNow(container: Lifecycle): Promise<void> {
  const { monitor, ended } = container
  if (monitor === undefined || ended === undefined) return
  await monitor.kill(constants.signals.SIGKILL, { all: true }).catch(() => undefined)
  // A monitor that died has nothing to tell; what it left is cleaned by then.
  await ended.catch(() => undefined)
}
