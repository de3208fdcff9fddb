/** The launch of a container on networks of CNI plugins: they run while the container stands at its barrier. */
import type { Monitor } from '../launch/monitor.js'
import type { Plan } from '../launch/plan.js'
import type { Attachment } from '../network/attachment.js'
import { launchAtBarrier } from './barrier.js'
import { beforeCommand } from './before-command.js'
import type { Lifecycle } from './lifecycle.js'
import { writeNetworkState } from './network-state.js'
import { writeEtcFiles } from './write-etc-files.js'

/**
 * @param plan with a barrier
 * @throws PodlingError as {@link Launcher.launch}, and CniError; nothing of the container runs then
 */
export async function launchOnPluginNetworks(
  container: Lifecycle,
  plan: Plan,
  given: readonly number[],
  attach: NonNullable<Attachment['atBarrier']>,
): Promise<Monitor> {
  const { context, paths, record } = container
  return await launchAtBarrier(context.launcher, plan, given, async (monitor) => {
    const status = await attach(`/proc/${String(monitor.pid)}/ns/net`)
    // Its monitor knows nothing of it.
    writeNetworkState(paths.network, { ...status, changed: true })
    await writeEtcFiles(container, status)
    await beforeCommand(container, monitor)
    await context.networks.naming.publish(
      { id: record.id, name: record.name, dns: record.options.dns, pid: monitor.monitorPid },
      status.endpoints,
    )
  })
}
