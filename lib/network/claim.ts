/**
 * Addresses and ports for a container, claimed all at once: they are elements of the firewall's table, which the kernel
 * lets nobody else put in, in whatever process. An element lives no longer than the kernel, and says whose it is; so
 * there is no list of leases beside it that could be wrong.
 */
import { PodlingError } from '../errors.js'
import { formatAddress, toNumber, type Family } from './address.js'
import { type AddressPool } from './address-pool.js'
import type { BoundPort, Endpoint, EndpointOptions, NetworkStatus } from './attachment.js'
import { EntryTaken, type Entry, type Firewall } from './firewall.js'
import { leaseElement, portElement } from './firewall-table.js'
import type { Forward } from './network-space.js'
import { addressOf, takesPorts, type NetworkRecord } from './network-record.js'
import type { PortRequest } from './ports.js'
import { holdPorts, type Publication } from './publication.js'

/** One network that a container is to be on. */
export interface Place {
  readonly record: NetworkRecord
  readonly pools: readonly AddressPool[]
  readonly options: EndpointOptions
}

export interface Claimed {
  /** Of each place, one for each family that it has a subnet of. */
  readonly addresses: readonly (readonly Buffer[])[]
  readonly ports: readonly BoundPort[]
  /** Descriptors. */
  readonly held: readonly number[]
  readonly entries: readonly Entry[]
}

/** An address to be leased. */
interface Lease {
  readonly pool: AddressPool
  readonly fixed: boolean
  address: Buffer
}

/** Other processes take addresses too while one is looked for; each such try learns all that are taken. */
const mostTries = 100

const nothing: ReadonlySet<bigint> = new Set()

/**
 * @param container its id, as the comment of what it claims
 * @throws PodlingError `ADDRESS_IN_USE`, `PORT_IN_USE`, `SUBNET_EXHAUSTED`, `INVALID_OPTION`; nothing is claimed then
 */
export function claim(
  firewall: Firewall,
  container: string,
  places: readonly Place[],
  ports: readonly PortRequest[],
): Claimed {
  const what = `connect container ${container.slice(0, 12)}`
  const leases = places.map((place) => leasesOf(place, what))
  const all = leases.flat()
  const publications: Publication[] = []
  try {
    const families = ports.length === 0 ? [] : publishedFamilies(places, leases)
    for (const request of ports) publications.push(holdPorts(request, families))
    for (let tries = 0; ; tries++) {
      const targets = ports.length === 0 ? [] : publishedLeases(places, leases).map(({ address }) => address)
      const entries = [
        ...all.map(({ address }) => leaseElement(address, container)),
        ...publications.flatMap((publication) => publication.entries(targets, container)),
      ]
      try {
        firewall.claim(entries)
        return {
          addresses: leases.map((one) => one.map(({ address }) => address)),
          ports: publications.flatMap((publication) => publication.bound()),
          held: publications.flatMap((publication) => publication.descriptors()),
          entries,
        }
      } catch (error) {
        if (!(error instanceof EntryTaken) || tries === mostTries) throw error
        chooseOther(firewall, error.entry, all, publications, what)
      }
    }
  } catch (error) {
    for (const publication of publications) publication.close()
    throw error
  }
}

/** What a running container claimed at its start and since, from what it has. */
export function entriesOf(
  container: string,
  { endpoints, ports }: NetworkStatus,
  find: (network: string) => NetworkRecord | undefined,
): Entry[] {
  const plain = (addresses: readonly string[]): Buffer[] => addresses.map((text) => addressOf(text.replace(/\/.*/, '')))
  // What CNI plugins gave is in no table of ours.
  const isOurs = ({ network }: Endpoint): boolean => find(network)?.driver !== 'cni'
  const way = endpoints.find(({ network }) => {
    const record = find(network)
    return record !== undefined && takesPorts(record)
  })
  const targets = way !== undefined && isOurs(way) ? plain(way.addresses) : []
  return [
    ...endpoints
      .filter(isOurs)
      .flatMap(({ addresses }) => plain(addresses).map((address) => leaseElement(address, container))),
    ...ports.flatMap(({ container: port, protocol, ip, host }) => {
      const at = addressOf(ip)
      const address = targets.find(({ length }) => length === at.length)
      if (address === undefined) return []
      const family = at.length === 4 ? 4 : 6
      const hostAddress = at.every((byte) => byte === 0) ? undefined : at
      return [portElement({ protocol, family, hostAddress, hostPort: host, address, port }, container)]
    }),
  ]
}

/**
 * Where what comes to the sockets of published ports is to go.
 * @param held in the order of the ports
 */
export function forwardsOf(
  { endpoints, ports }: NetworkStatus,
  held: readonly number[],
  find: (network: string) => NetworkRecord | undefined,
): Forward[] {
  const way = endpoints.find(({ network }) => {
    const record = find(network)
    return record !== undefined && takesPorts(record)
  })
  const targets = way?.addresses.map((text) => addressOf(text.replace(/\/.*/, ''))) ?? []
  return held.flatMap((fd, index) => {
    const port = ports[index]
    const address = targets.find(({ length }) => port !== undefined && length === addressOf(port.ip).length)
    return port === undefined || address === undefined ? [] : [{ fd, port, address }]
  })
}

function leasesOf({ record, pools, options }: Place, what: string): Lease[] {
  const families: readonly Family[] = [4, 6]
  return families.flatMap((family): Lease[] => {
    const wanted = family === 4 ? options.ip : options.ip6
    const [first, ...others] = pools.filter(({ block }) => block.family === family)
    if (wanted === undefined)
      return first === undefined ? [] : [{ pool: first, fixed: false, address: first.next(nothing, what) }]
    if (first === undefined) {
      throw new PodlingError(
        'INVALID_OPTION',
        `${what}: network ${record.name} has no IPv${String(family)} subnet for ${wanted}`,
      )
    }
    const pool = others.find((other) => other.has(wanted)) ?? first
    return [{ pool, fixed: true, address: pool.fixed(wanted, what) }]
  })
}

/** Published ports lead to the first network that has a way in. */
function publishedLeases(places: readonly Place[], leases: readonly (readonly Lease[])[]): readonly Lease[] {
  return leases[places.findIndex(({ record }) => record.driver === 'bridge' && !record.internal)] ?? []
}

function publishedFamilies(places: readonly Place[], leases: readonly (readonly Lease[])[]): Family[] {
  const families = publishedLeases(places, leases).map(({ pool }) => pool.block.family)
  if (families.length > 0) return families
  throw new PodlingError(
    'INVALID_OPTION',
    'ports: are published on a bridge network that is not internal, or by a CNI plugin with the capability portMappings, and the container has neither',
  )
}

/** Somebody has one of the elements: choose another address or port in its place, if there is a choice. */
function chooseOther(
  firewall: Firewall,
  { set, element: { key } }: Entry,
  leases: readonly Lease[],
  publications: readonly Publication[],
  what: string,
): void {
  const others = firewall.entries(set)
  const owner = (others.find(({ element }) => element.key.equals(key))?.element.comment ?? '').slice(0, 12)
  const lease = set.startsWith('leases') ? leases.find(({ address }) => address.equals(key)) : undefined
  if (lease === undefined) {
    publications.find((publication) => publication.has(set, key))?.chooseOther(owner)
  } else if (lease.fixed) {
    throw new PodlingError('ADDRESS_IN_USE', `${what}: ${formatAddress(key)} is the address of container ${owner}`)
  } else {
    lease.address = lease.pool.next(new Set(others.map(({ element }) => toNumber(element.key))), what)
  }
}
