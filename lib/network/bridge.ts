/** The bridge of a network on the host: made when a container first needs it, by whoever is first. */
import { PodlingError } from '../errors.js'
import { formatCidr, macFor, overlaps } from './address.js'
import type { Firewall } from './firewall.js'
import { letDockerForward, stopLettingDockerForward } from './docker-rules.js'
import { withRemedy } from './host-support.js'
import type { HostNetwork } from './host-network.js'
import { deleteLink, linkUp, newBridge, noLinkLocal, setAlias, type Link } from './netlink/links.js'
import { newAddress } from './netlink/addresses.js'
import { NetlinkError } from './netlink/socket.js'
import { addressOf, aliasOf, cidrOf, rulesOf, type NetworkRecord } from './network-record.js'

/** The MAC of the bridge, so that containers need not ask for it. */
export function bridgeMac(record: NetworkRecord): string {
  const [first] = record.subnets
  if (first?.gateway === undefined) throw new RangeError(`network ${record.name} has no gateway`)
  return macFor(addressOf(first.gateway))
}

/** Is the bridge there, ours, and complete? @returns its index */
export function findBridge(host: HostNetwork, record: NetworkRecord): number | undefined {
  const link = host.link(record.interface)
  return link?.alias === aliasOf(record) && link.up ? link.index : undefined
}

/** A link is made and then gets its alias: of a host that was killed in between, its MAC tells. */
function isOurs(link: Link, record: NetworkRecord): boolean {
  if (link.alias !== undefined) return link.alias === aliasOf(record)
  return link.kind === 'bridge' && link.mac === bridgeMac(record)
}

/**
 * Make the bridge and all that belongs to it, or whatever of it is missing. To be called with the network locked.
 * @returns the index of the link
 * @throws PodlingError `SUBNET_OVERLAPS` when the host has come to use the addresses otherwise
 */
export function makeBridge(host: HostNetwork, firewall: Firewall, record: NetworkRecord): number {
  const what = `make the bridge ${record.interface} of network ${record.name}`
  const six = record.subnets.some(({ subnet }) => subnet.includes(':'))
  if (six) assertIPv6(host, what)
  const before = host.link(record.interface)
  if (before !== undefined && !isOurs(before, record)) throw foreignLink(what, record)
  if (before === undefined) assertFree(host, record, what)
  const index = before?.index ?? createLink(host, record, what)
  try {
    host.route.request(setAlias(index, aliasOf(record)), what)
    if (host.hasIPv6()) host.route.request(noLinkLocal({ index }), what)
    setUp(host, firewall, record, index, what, six)
    return index
  } catch (error) {
    if (before === undefined) removeBridge(host, firewall, record)
    throw withRemedy(error)
  }
}

/** A bridge that comes into being is as the sysctls of `default` say. */
function assertIPv6(host: HostNetwork, what: string): void {
  const why = !host.hasIPv6()
    ? 'in this kernel'
    : ['all', 'default'].some((name) => host.readSysctl(`net/ipv6/conf/${name}/disable_ipv6`) === '1')
      ? 'on this host (the sysctl net.ipv6.conf.default.disable_ipv6)'
      : undefined
  if (why === undefined) return
  throw new PodlingError(
    'KERNEL_UNSUPPORTED',
    `${what}: it has an IPv6 subnet, and IPv6 is off ${why}; switch it on, or make the network anew with IPv4 alone`,
  )
}

function createLink(host: HostNetwork, record: NetworkRecord, what: string): number {
  try {
    host.unlessThere(newBridge({ name: record.interface, mac: bridgeMac(record), mtu: record.mtu }), what)
  } catch (error) {
    throw withRemedy(error)
  }
  const made = host.link(record.interface)
  if (made === undefined) throw new PodlingError('NETWORK_FAILED', `${what}: the link vanished`)
  return made.index
}

function setUp(
  host: HostNetwork,
  firewall: Firewall,
  record: NetworkRecord,
  index: number,
  what: string,
  six: boolean,
): void {
  // Rules before addresses: there is no moment in which the bridge is open.
  firewall.addBridge(rulesOf(record))
  // Else what this host sends from 127.0.0.1 to a published port could not leave through the bridge; the firewall's
  // `guard` sees to it that nothing else comes of it.
  host.writeSysctl(`net/ipv4/conf/${record.interface}/route_localnet`, '1')
  for (const { subnet, gateway } of record.subnets) {
    if (gateway === undefined) continue
    const { family, prefix } = cidrOf(subnet)
    if (family === 6) {
      host.writeSysctl(`net/ipv6/conf/${record.interface}/accept_ra`, '0')
      // What the host forwards to a container, it asks the neighbours for by this address, and without one not at all.
      host.unlessThere(newAddress(index, linkLocal), what)
    }
    host.unlessThere(newAddress(index, { family, address: addressOf(gateway), prefix }), what)
  }
  host.route.request(linkUp({ index }), what)
  if (!record.internal) switchForwardingOn(host, six)
  letDockerForward(host, record.interface)
}

/** fe80::1, the same on every bridge, as it has no meaning beyond one. */
const linkLocal = { family: 6, address: Buffer.from('fe800000000000000000000000000001', 'hex'), prefix: 64 } as const

/** A host that forwards is a router, and routers don't take IPv6 routes from others unless told to (`accept_ra` 2). */
function switchForwardingOn(host: HostNetwork, six: boolean): void {
  host.writeSysctl('net/ipv4/ip_forward', '1')
  if (!six || host.readSysctl('net/ipv6/conf/all/forwarding') === '1') return
  if (host.readSysctl('net/ipv6/conf/all/accept_ra') === '1') host.writeSysctl('net/ipv6/conf/all/accept_ra', '2')
  host.writeSysctl('net/ipv6/conf/all/forwarding', '1')
}

function assertFree(host: HostNetwork, record: NetworkRecord, what: string): void {
  const used = host.usedBlocks()
  for (const { subnet } of record.subnets) {
    const taken = used.find((block) => overlaps(block, cidrOf(subnet)))
    if (taken === undefined) continue
    throw new PodlingError(
      'SUBNET_OVERLAPS',
      `${what}: its subnet ${subnet} overlaps with ${formatCidr(taken)}, which the host uses; make the network anew with other subnets`,
    )
  }
}

function foreignLink(what: string, record: NetworkRecord): PodlingError {
  return new PodlingError(
    'NETWORK_FAILED',
    `${what}: a link of this name is there and not of this network; remove it (ip link delete ${record.interface}), or make the network anew with another \`interface\``,
  )
}

/** Take the bridge away, and what belongs to it. One that is gone already is none to take away. */
export function removeBridge(host: HostNetwork, firewall: Firewall, record: NetworkRecord): void {
  const link = host.link(record.interface)
  if (link !== undefined && isOurs(link, record)) removeLink(host, record.interface)
  if (!firewall.possible) return
  firewall.removeBridge(rulesOf(record))
  stopLettingDockerForward(host, record.interface)
}

function removeLink(host: HostNetwork, name: string): void {
  try {
    host.route.request(deleteLink({ name }), `remove the link ${name}`)
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== 'ENODEV') throw error
  }
}
