import type { Monitor } from '../launch/monitor.js'
import { runHooksBefore } from './hooks/container-hooks.js'
import type { Lifecycle } from './lifecycle.js'

/** What is done while a container stands at its barrier, with all that is its own there and its command not yet begun. */
export async function beforeCommand(container: Lifecycle, monitor: Monitor): Promise<void> {
  await runHooksBefore(container, monitor.pid)
  await container.early.give(monitor)
}
