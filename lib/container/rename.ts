import { PodlingError } from '../errors.js'
import { faultFinder, formatFaults } from '../schema/faults.js'
import { changeRecord } from './change-record.js'
import type { Lifecycle } from './lifecycle.js'
import { readNetworkState } from './network-state.js'
import { nameSchema } from './options-schema.js'
import { requireStatus } from './status.js'

const findFaults = faultFinder({ type: 'object', required: ['name'], properties: { name: nameSchema } })

/** Give a container another name: others on its networks find it by that at once, and by the old one no more. */
export async function rename(container: Lifecycle, name: string): Promise<void> {
  const { context, record, paths } = container
  requireStatus('rename', container.status, record.name)
  const faults = findFaults({ name })
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('rename a container', faults))
  const before = record.name
  if (name === before) return
  await changeRecord(container, 'rename', (now) => {
    const { names } = context
    const holder = names.get(name)
    if (holder !== undefined) {
      throw new PodlingError(
        'NAME_IN_USE',
        `rename container ${before} to ${name}: the name is taken by container ${holder.slice(0, 12)}`,
      )
    }
    if (names.get(now.name) === now.id) void names.remove(now.name)
    void names.put(name, now.id)
    return { ...now, name }
  })
  container.tell('rename', { attributes: { before } })
  const { monitor } = container
  if (monitor === undefined) return
  const { endpoints } = readNetworkState(paths.network)
  const holder = { id: record.id, name, dns: record.options.dns, pid: monitor.monitorPid }
  await context.networks.naming.publish(holder, endpoints)
}
