/**
 * Connections that the kernel remembers (conntrack), forgotten when what they lead to changes. A translation is decided by
 * a connection's first packet and holds for as long as packets come; TCP ends by itself, but a UDP client that goes on
 * sending from the same port would be sent to a dead address for ever, or to the one who has got that address meanwhile.
 */
import { PodlingError } from '../errors.js'
import { toNumber } from './address.js'
import { protocolNumbers, type Protocol } from './firewall-table.js'
import type { HostNetwork } from './host-network.js'
import { deleteFlow, deleteFlowsTo, getFlows, parseFlow } from './netlink/conntrack.js'
import { encode, flags, type Request } from './netlink/message.js'
import { NetlinkError } from './netlink/socket.js'
import type { BoundPort } from './attachment.js'
import { addressOf } from './network-record.js'

/** What the kernel says where it tracks nothing, can't be asked about it, or has forgotten it already. */
const harmless = ['ENOENT', 'EINVAL', 'EOPNOTSUPP']

/** Protocols whose connections have no end of their own that both sides must keep to. */
export function lingers(protocol: Protocol): boolean {
  return protocol !== 'tcp'
}

/**
 * A translation needs a tracked connection, and a kernel may be built to track no SCTP.
 * @throws PodlingError `KERNEL_UNSUPPORTED`
 */
export function assertSctp(host: HostNetwork): void {
  if (host.readSysctl('net/netfilter/nf_conntrack_sctp_timeout_established') !== undefined) return
  throw new PodlingError(
    'KERNEL_UNSUPPORTED',
    'publish SCTP ports: this kernel tracks no SCTP (CONFIG_NF_CT_PROTO_SCTP); reach the container at its own address',
  )
}

/** Bytes that forget what was on its way to these addresses, for whoever survives this process. */
export function flowRemoval(addresses: readonly Buffer[]): Buffer[] {
  return addresses.map((address) => {
    const request = deleteFlowsTo(address)
    return encode({ ...request, flags: request.flags | flags.request | flags.ack }, 1)
  })
}

/** Forget what was on its way to these addresses. */
export function forgetFlowsTo(host: HostNetwork, addresses: readonly Buffer[]): void {
  for (const address of addresses) ask(host, deleteFlowsTo(address))
}

/**
 * Forget what came to these ports of the host before they were published as they are now: it was for the container before,
 * or for nobody.
 */
export function forgetFlowsAt(host: HostNetwork, ports: readonly BoundPort[]): void {
  for (const protocol of ['udp', 'sctp'] as const) {
    const published = ports.filter((port) => port.protocol === protocol)
    const wanted = new Set(published.map((port) => port.host))
    for (const family of [4, 6] as const) {
      if (!published.some(({ ip }) => ip.includes(':') === (family === 6))) continue
      const own = ownAddresses(host)
      for (const message of list(host, getFlows(family, protocolNumbers[protocol]))) {
        const flow = parseFlow(message, family)
        if (flow === undefined || !wanted.has(flow.port)) continue
        const { destination } = flow
        const here = (family === 4 && destination[0] === 127) || own.has(toNumber(destination))
        if (here && published.some(({ ip, host: port }) => port === flow.port && takes(ip, destination)))
          ask(host, deleteFlow(flow))
      }
    }
  }
}

function takes(ip: string, destination: Buffer): boolean {
  const address = addressOf(ip)
  return address.length === destination.length && (address.every((byte) => byte === 0) || address.equals(destination))
}

function ownAddresses(host: HostNetwork): Set<bigint> {
  return new Set(host.addresses().map(({ address }) => toNumber(address)))
}

function list(host: HostNetwork, request: Request): ReturnType<HostNetwork['netfilter']['dump']> {
  try {
    return host.netfilter.dump(request, 'list the connections of published ports')
  } catch (error) {
    if (error instanceof NetlinkError && harmless.includes(error.errno ?? '')) return []
    throw error
  }
}

function ask(host: HostNetwork, request: Request): void {
  try {
    host.netfilter.request(request, 'forget the connections of a published port')
  } catch (error) {
    if (!(error instanceof NetlinkError) || !harmless.includes(error.errno ?? '')) throw error
  }
}
