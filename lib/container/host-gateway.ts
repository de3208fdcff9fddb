/** Where a container finds services of its host, by what its network is. */
import { PodlingError } from '../errors.js'
import type { NetworkStatus } from '../network/attachment.js'
import { gatewayOfPasta } from '../network/pasta.js'
import { hostAddress } from '../network/host-gateway.js'
import type { ContainerContext } from './context.js'
import { hostGateway } from './etc-files.js'
import { otherContainer } from './join-network.js'
import { readNetworkState } from './network-state.js'
import { containerPaths, type ContainerRecord } from './record.js'

/**
 * @param status what it has of networks
 * @returns undefined where there is no way to the host, or none is wanted
 * @throws PodlingError `NETWORK_FAILED` when its options name it and there is none; `CONTAINER_NOT_FOUND`
 */
export async function hostGatewayOf(
  context: ContainerContext,
  record: ContainerRecord,
  status: NetworkStatus,
): Promise<string | undefined> {
  const address = record.options.hostGateway === false ? undefined : await find(context, record, status)
  if (address !== undefined || !record.options.extraHosts.some((host) => host.address === hostGateway)) return address
  throw new PodlingError(
    'NETWORK_FAILED',
    `extraHosts of container ${record.name}: host-gateway: ${whyNone(record)}; leave the entry out, or give an address`,
  )
}

async function find(
  context: ContainerContext,
  record: ContainerRecord,
  status: NetworkStatus,
): Promise<string | undefined> {
  const { network } = record.options
  // Loopback is a host's too that has no other address.
  if (network === 'host') return hostAddress() ?? '127.0.0.1'
  if (network === 'none') return undefined
  switch (network.kind) {
    case 'networks':
      return await context.networks.hostGateway(status)
    case 'user':
      return network.program === 'pasta' ? await gatewayOfPasta() : hostAddress()
    case 'container': {
      const other = otherContainer(context, network.container, 'network', record.id)
      const { network: path } = containerPaths(context.root, context.runRoot, other.id, false)
      return other.options.hostGateway === false ? undefined : await find(context, other, readNetworkState(path))
    }
    case 'namespace':
      return hostAddress()
    case 'pod':
      // Its files are the pod's.
      return undefined
  }
}

function whyNone({ options: { network } }: ContainerRecord): string {
  if (typeof network === 'object' && network.kind === 'user' && network.program === 'pasta')
    return 'this pasta has no --map-guest-addr, which came with passt 2024_08_14'
  return 'from where it is there is no way to the host'
}
