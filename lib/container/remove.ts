import { constants } from 'node:os'
import { PodlingError } from '../errors.js'
import { clearAway } from './clear-away.js'
import { endInTime } from './end-in-time.js'
import type { Lifecycle } from './lifecycle.js'
import { requireStatus } from './status.js'

export interface RemoveOptions {
  /** Kill it first if it runs. @default false */
  readonly force?: boolean
  /**
   * Its anonymous volumes go with it, unless another container uses them (`podman rm --volumes`).
   * @default false for a detached one; those of a bound one always go
   */
  readonly volumes?: boolean
}

/**
 * Take a container away that doesn't run. One that is removed already is left as it is.
 * @throws CniError when a CNI plugin fails to let go of it; it is removed then all the same
 */
export async function remove(container: Lifecycle, { volumes = false }: RemoveOptions = {}): Promise<void> {
  const { context, record } = container
  if (container.status === 'removed') return
  requireStatus('remove', container.status, record.name)
  await container.closeViews('it was removed meanwhile')
  await clearAway(context, record, volumes || !record.options.detach)
  container.set('removed')
  await context.networks.leavePlugins(record.id)
}

/** End whatever runs of it, without regard for its stop signal. @throws PodlingError `STILL_RUNNING` */
export async function killNow(container: Lifecycle): Promise<void> {
  const { monitor, ended } = container
  if (monitor === undefined || ended === undefined) return
  await monitor.kill(constants.signals.SIGKILL, { all: true, forGood: true }).catch(() => undefined)
  // A monitor that died has nothing to tell; what it left is cleaned by then.
  await endInTime(container, 'kill', ended).catch((error: unknown) => {
    if (error instanceof PodlingError && error.code === 'STILL_RUNNING') throw error
  })
}
