/** What a container wants of its networks, in the words of CNI's conventions for capabilities. Pure. */
import { PodlingError } from '../../errors.js'
import { parseAddress } from '../address.js'
import type { BoundPort, Endpoint, EndpointOptions } from '../attachment.js'
import type { Publication } from '../publication.js'
import type { CniCapabilityArgs } from './config.js'
import { familiesAt } from './endpoint.js'

export function capabilitiesFor(
  { ip, ip6, mac, aliases = [] }: EndpointOptions,
  ports: readonly Publication[],
): CniCapabilityArgs {
  const ips = [ip, ip6].filter((one) => one !== undefined)
  return {
    ...(ports.length === 0 ? {} : { portMappings: ports.map(mapping) }),
    ...(ips.length === 0 ? {} : { ips }),
    ...(mac === undefined ? {} : { mac }),
    ...(aliases.length === 0 ? {} : { aliases }),
  }
}

/** Without an address of the host it is for both families. */
function mapping(publication: Publication): NonNullable<CniCapabilityArgs['portMappings']>[number] {
  const [first] = publication.bound()
  if (first === undefined) throw new RangeError('a publication holds a port')
  const { container, host, protocol, ip } = first
  const all = ip === '0.0.0.0' || ip === '::'
  return { hostPort: host, containerPort: container, protocol, ...(all ? {} : { hostIP: ip }) }
}

/**
 * The ports that lead somewhere: those of families that the container has an address of.
 * @throws PodlingError `INVALID_OPTION` for a port that leads nowhere
 */
export function reached(publications: readonly Publication[], endpoint: Endpoint): BoundPort[] {
  const families = familiesAt(endpoint)
  return publications.flatMap((publication) => {
    const all = publication.bound()
    const leading = all.filter(({ ip }) => families.includes(parseAddress(ip)?.family ?? 4))
    if (leading.length > 0) return leading
    throw new PodlingError(
      'INVALID_OPTION',
      `ports: ${String(all[0]?.ip)}: the container has no address on network ${endpoint.network} that it could lead to`,
    )
  })
}
