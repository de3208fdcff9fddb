/** A container's link as messages: those of the host, and those of the new process in its own namespace. Pure. */
import { addressOf, cidrOf, type NetworkRecord } from './network-record.js'
import { macFor, type Family } from './address.js'
import type { Endpoint, NetworkOperation } from './attachment.js'
import { encode, flags, type Request } from './netlink/message.js'
import { deleteLink, linkUp, noLinkLocal } from './netlink/links.js'
import { newMacvlan, newVeth, type LinkMessage } from './netlink/container-links.js'
import { newAddress, newNeighbour, newRoute } from './netlink/addresses.js'

/**
 * Indexes of links in a container are chosen here, so that messages about them can be written before there are any. They
 * begin where a new namespace's own links (loopback, and fallback tunnels) never come to.
 */
const firstIndex = 100

export interface EndpointLink {
  /** eth0 is 0. */
  readonly slot: number
  readonly mac: string
  readonly addresses: readonly Buffer[]
  /** Which families' default routes go through it. */
  readonly defaultRoutes: readonly Family[]
}

/** What of the host decides how links are made. */
export interface HostTraits {
  /** Does the kernel speak IPv6? */
  readonly six: boolean
  /**
   * Does br_netfilter pass what bridges forward through the firewall? A published port's packets then never leave the
   * bridge, and the container that asks itself by way of the host must get them back through its own port.
   */
  readonly hairpin: boolean
}

export function linkName(slot: number): string {
  return `eth${String(slot)}`
}

export function slotOf({ interface: name }: Pick<Endpoint, 'interface'>): number {
  return Number(name.slice('eth'.length))
}

/** For a further link of a container. */
export function freeSlot(endpoints: readonly Endpoint[]): number {
  const used = new Set(endpoints.map(slotOf))
  let slot = 0
  while (used.has(slot)) slot++
  return slot
}

/** The host's end of a container's link: at most 15 characters, and the same for the same container. */
export function hostLinkName(container: string, slot: number): string {
  return `pod${container.slice(0, 10)}${slot.toString(36)}`
}

/** The messages that make the link, in the network namespace of the process whose pid is put in. */
export function createLink(
  record: NetworkRecord,
  hostLink: number,
  container: string,
  link: EndpointLink,
  traits: HostTraits,
): LinkMessage[] {
  const inside = { name: linkName(link.slot), index: firstIndex + link.slot, mac: link.mac, mtu: record.mtu }
  return record.driver === 'macvlan'
    ? [newMacvlan(hostLink, inside)]
    : newVeth({ name: hostLinkName(container, link.slot), bridge: hostLink, ...traits }, inside)
}

/** Links that come while the container runs take no routers' word either. */
export const laterLinks: NetworkOperation = { op: 'sysctl', key: 'net.ipv6.conf.default.accept_ra', value: '0' }

/** What the container's side does once the link is there. `six`: the kernel speaks IPv6. */
export function configureLink(record: NetworkRecord, link: EndpointLink, six: boolean): NetworkOperation[] {
  const name = linkName(link.slot)
  const index = firstIndex + link.slot
  const hasSix = link.addresses.some((address) => address.length === 16)
  const requests: Request[] = [
    // Before it is up: an address that the link gives itself would be announced to all ports of the bridge.
    ...(six ? [noLinkLocal({ index })] : []),
    ...link.addresses.map((address) =>
      newAddress(index, { family: familyOf(address), address, prefix: prefixFor(record, address) }),
    ),
    linkUp({ index }),
    ...gatewayRequests(record, index, link.defaultRoutes),
  ]
  return [
    { op: 'netlink', what: `configure the link ${name}`, messages: requests.map(acknowledged) },
    // Other containers are no routers; where there is no IPv6 subnet, there is to be no IPv6.
    ...(six
      ? [
          hasSix
            ? ({ op: 'sysctl', key: `net.ipv6.conf.${name}.accept_ra`, value: '0' } as const)
            : ({ op: 'sysctl', key: `net.ipv6.conf.${name}.disable_ipv6`, value: '1' } as const),
        ]
      : []),
  ]
}

/** For a link that the host has no end of. */
export function removeContainerLink(slot: number): NetworkOperation {
  const request = deleteLink({ index: firstIndex + slot })
  return { op: 'netlink', what: `remove the link ${linkName(slot)}`, messages: [acknowledged(request)] }
}

/** For a link whose host's end may be there still, as others are in the namespace. */
export function removeHostLink(container: string, slot: number): Buffer {
  return acknowledged(deleteLink({ name: hostLinkName(container, slot) }))
}

/** Only the default route, for when the link that had it is gone. */
export function defaultRoutes(record: NetworkRecord, slot: number, families: readonly Family[]): NetworkOperation {
  // It may have them already.
  const requests = gatewayRequests(record, firstIndex + slot, families, false).map((request) => ({
    ...request,
    flags: flags.create | flags.replace,
  }))
  return { op: 'netlink', what: `route through ${linkName(slot)}`, messages: requests.map(acknowledged) }
}

function gatewayRequests(
  record: NetworkRecord,
  index: number,
  families: readonly Family[],
  neighbours = true,
): Request[] {
  return record.subnets.flatMap(({ gateway }): Request[] => {
    if (gateway === undefined) return []
    const address = addressOf(gateway)
    const family = familyOf(address)
    return [
      // The bridge's MAC is known, and to ask for it would disturb all ports of the bridge.
      ...(record.driver === 'bridge' && neighbours ? [newNeighbour(index, family, address, gatewayMac(record))] : []),
      ...(families.includes(family) ? [newRoute(index, family, address)] : []),
    ]
  })
}

function gatewayMac({ subnets }: NetworkRecord): string {
  return macFor(addressOf(subnets[0]?.gateway ?? '0.0.0.0'))
}

function acknowledged(request: Request): Buffer {
  return encode({ ...request, flags: request.flags | flags.request | flags.ack })
}

function familyOf(address: Uint8Array): Family {
  return address.length === 4 ? 4 : 6
}

/** How many bits of the address name its network. */
export function prefixFor(record: NetworkRecord, address: Uint8Array): number {
  const family = familyOf(address)
  const subnet = record.subnets.map((one) => cidrOf(one.subnet)).find((block) => block.family === family)
  return subnet?.prefix ?? (family === 4 ? 32 : 128)
}
