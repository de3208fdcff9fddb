/** A container that is about to start, on networks of every driver. */
import type { CniNetworks } from './cni/networks.js'
import type { Attachment, AttachRequest, Endpoint } from './attachment.js'
import type { Connector, Wanted } from './connector.js'
import { slotOf } from './endpoint-messages.js'
import { takesPorts } from './network-record.js'

/** @throws PodlingError, and then nothing is left */
export async function attach(
  { connector, cni }: { readonly connector: Connector; readonly cni: CniNetworks },
  request: AttachRequest,
  networks: readonly Wanted[],
): Promise<Attachment> {
  const plugins = networks.filter(({ record }) => record.driver === 'cni')
  if (plugins.length === 0) return await connector.attach(request, networks)
  // Published ports lead to the first network that has a way in.
  const publisher = networks.find(({ record }) => takesPorts(record))
  const byPlugins = publisher?.record.driver === 'cni'
  const prepared = await cni.prepare({ ...request, ports: byPlugins ? request.ports : [] }, plugins)
  try {
    const others = networks.filter(({ record }) => record.driver !== 'cni')
    const { status, launch, held } = await connector.attach(
      { ...request, ports: byPlugins ? [] : request.ports },
      others,
    )
    return {
      status,
      launch,
      held: [...held, ...prepared.held],
      atBarrier: async (netns) => {
        const { endpoints, ports } = await prepared.attach(netns)
        return { endpoints: inOrder([...status.endpoints, ...endpoints]), ports: [...status.ports, ...ports] }
      },
    }
  } catch (error) {
    prepared.giveBack()
    throw error
  }
}

function inOrder(endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.toSorted((a, b) => slotOf(a) - slotOf(b))
}
