/**
 * The one table of firewall rules that a runtime has, as data. Pure. Its rules never change; what changes are the
 * elements of its sets, so that a container, or a published port, is one element, and the thousandth costs a packet what
 * the first did.
 *
 * Other tables are left alone, Podman's, Docker's and the user's; and as every table sees every packet, what they drop
 * stays dropped (docker-rules.ts has the one exception).
 */
import {
  anyBit,
  ct,
  ctState,
  ctStatus,
  destinationIsLocal,
  destinationNat,
  equal,
  jump,
  lookup,
  masquerade,
  meta,
  payload,
  register,
  verdict,
  type Expression,
} from './netlink/expressions.js'
import {
  concatenate,
  newChain,
  newRule,
  newSet,
  newTable,
  type Chain,
  type Element,
  type NamedSet,
  type TableName,
} from './netlink/nftables.js'
import { paddedText, type Request } from './netlink/message.js'
import type { Family } from './address.js'

export type Protocol = 'tcp' | 'udp' | 'sctp'

export const protocolNumbers: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 }

const ifNameSize = 16

export const sets = {
  /** All bridges of this runtime. */
  bridges: { name: 'bridges', key: ['interface'] },
  /** Pairs of a bridge with itself: traffic within it, and back into it (hairpin). */
  same: { name: 'same', key: ['interface', 'interface'] },
  /** Bridges without a way out or in. */
  internal: { name: 'internal', key: ['interface'] },
  /** Bridges whose networks may talk with each other. */
  open: { name: 'open', key: ['interface'] },
  /** Bridges whose outgoing traffic gets the host's address. */
  masqueraded: { name: 'masqueraded', key: ['interface'] },
  /** Addresses in use; the comment names the container. */
  leases4: { name: 'leases4', key: ['ip'] },
  leases6: { name: 'leases6', key: ['ip6'] },
  /** Where names are answered for, for an address of the host whose own port 53 another program has. */
  names4: { name: 'names4', key: ['ip', 'protocol', 'port'], data: ['ip', 'port'] },
  names6: { name: 'names6', key: ['ip6', 'protocol', 'port'], data: ['ip6', 'port'] },
  /** Ports published on all addresses of the host. */
  ports4: { name: 'ports4', key: ['protocol', 'port'], data: ['ip', 'port'] },
  ports6: { name: 'ports6', key: ['protocol', 'port'], data: ['ip6', 'port'] },
  /** Ports published on one address of the host. */
  bound4: { name: 'bound4', key: ['ip', 'protocol', 'port'], data: ['ip', 'port'] },
  bound6: { name: 'bound6', key: ['ip6', 'protocol', 'port'], data: ['ip6', 'port'] },
} as const satisfies Record<string, NamedSet>
export type SetName = keyof typeof sets

const NF_IPV4 = 2
const NF_IPV6 = 10

const chains: readonly Chain[] = [
  // Before connection tracking (-200): there the destination of an answer is still the bridge's own address.
  { name: 'guard', hook: { type: 'filter', hook: 'prerouting', priority: -310 } },
  { name: 'publish' },
  { name: 'prerouting', hook: { type: 'nat', hook: 'prerouting', priority: -100 } },
  { name: 'output', hook: { type: 'nat', hook: 'output', priority: -100 } },
  { name: 'postrouting', hook: { type: 'nat', hook: 'postrouting', priority: 100 } },
  { name: 'forward', hook: { type: 'filter', hook: 'forward', priority: 0 } },
]

const ipv4Only = [meta('nfproto', register(0)), equal(register(0), Buffer.of(NF_IPV4))]
const ipv6Only = [meta('nfproto', register(0)), equal(register(0), Buffer.of(NF_IPV6))]

/** The first byte of an IPv4 address at this offset of the header is 127. */
function loopback(offset: number): Expression[] {
  return [...ipv4Only, payload('network', offset, 1, register(0)), equal(register(0), Buffer.of(127))]
}

const sourceOffset = 12
const destinationOffset = 16
const loopback6 = Buffer.alloc(16)
loopback6.writeUInt8(1, 15)
const destination6 = payload('network', 24, 16, register(0))

function from(set: SetName): Expression[] {
  return [meta('iifname', register(0)), lookup(set, register(0))]
}

function to(set: SetName, inverted = false): Expression[] {
  return [meta('oifname', register(0)), lookup(set, register(0), { inverted })]
}

const throughSame = [meta('iifname', register(0)), meta('oifname', register(4)), lookup('same', register(0))]
const wasPublished = [ct('status', register(0)), ...anyBit(register(0), ctStatus.destinationNat)]
const known = [ct('state', register(0)), ...anyBit(register(0), ctState.established | ctState.related)]

const bridged = [
  meta('iifname', register(0)),
  equal(register(0), Buffer.alloc(ifNameSize)),
  ...to('bridges'),
  ...wasPublished,
]

function fromLease(family: 'ip' | 'ip6'): Expression[] {
  return family === 'ip'
    ? [...ipv4Only, payload('network', sourceOffset, 4, register(0)), lookup('leases4', register(0))]
    : [...ipv6Only, payload('network', 8, 16, register(0)), lookup('leases6', register(0))]
}

/** Look for the packet's destination among published ports; `atAddress`: those of one address of the host. */
function publish(family: 'ip' | 'ip6', set: SetName, atAddress: boolean): Expression[] {
  const words = family === 'ip' ? 1 : 4
  const protocol = atAddress ? words : 0
  return [
    ...(family === 'ip' ? ipv4Only : ipv6Only),
    ...(atAddress ? [family === 'ip' ? payload('network', destinationOffset, 4, register(0)) : destination6] : []),
    meta('l4proto', register(protocol)),
    // TCP, UDP and SCTP have the destination's port at the same place.
    payload('transport', 2, 2, register(protocol + 1)),
    lookup(set, register(0), { to: register(8) }),
    destinationNat(family, register(8), register(8 + words)),
  ]
}

const rules: readonly (readonly [chain: string, comment: string, expressions: readonly Expression[]])[] = [
  // route_localnet is on for bridges, so that ports published on 127.0.0.1 work; it must open loopback to nobody
  // (CVE-2020-8558).
  [
    'guard',
    'loopback is no destination from a bridge',
    [...from('bridges'), ...loopback(destinationOffset), verdict('drop')],
  ],
  ['guard', 'loopback is no source from a bridge', [...from('bridges'), ...loopback(sourceOffset), verdict('drop')]],

  ['publish', 'ports at one IPv4 address', publish('ip', 'bound4', true)],
  ['publish', 'ports at all IPv4 addresses', publish('ip', 'ports4', false)],
  ['publish', 'ports at one IPv6 address', publish('ip6', 'bound6', true)],
  ['publish', 'ports at all IPv6 addresses', publish('ip6', 'ports6', false)],

  // From outside nobody means 127.0.0.1; a neighbour that says so must not reach what is published there alone.
  ['prerouting', 'loopback is for this host', [...loopback(destinationOffset), verdict('return')]],
  [
    'prerouting',
    'loopback is for this host',
    [...ipv6Only, destination6, equal(register(0), loopback6), verdict('return')],
  ],
  // The host's own questions are for the program that has the port.
  ['prerouting', 'names, asked over IPv4', publish('ip', 'names4', true)],
  ['prerouting', 'names, asked over IPv6', publish('ip6', 'names6', true)],
  ['prerouting', 'to this host', [...destinationIsLocal(register(0)), jump('publish')]],
  // What comes from ::1 can't leave through a bridge, as there is no route_localnet for IPv6: better a refusal at once.
  [
    'output',
    'no port is published at ::1',
    [...ipv6Only, destination6, equal(register(0), loopback6), verdict('return')],
  ],
  ['output', 'from this host to itself', [...destinationIsLocal(register(0)), jump('publish')]],

  // The container's answer must come back to this host, which alone knows whom it was for.
  ['postrouting', 'from loopback to a container', [...to('bridges'), ...loopback(sourceOffset), masquerade]],
  ['postrouting', 'hairpin', [...throughSame, ...wasPublished, masquerade]],
  // Where br_netfilter passes what a bridge forwards through here, nothing is known of where it came from.
  ['postrouting', 'hairpin in the bridge', [...bridged, ...fromLease('ip'), masquerade]],
  ['postrouting', 'hairpin in the bridge', [...bridged, ...fromLease('ip6'), masquerade]],
  ['postrouting', 'outgoing', [...from('masqueraded'), ...to('bridges', true), masquerade]],

  ['forward', 'within a network', [...throughSame, verdict('accept')]],
  ['forward', 'no way out', [...from('internal'), verdict('drop')]],
  ['forward', 'no way in', [...to('internal'), verdict('drop')]],
  ['forward', 'answers', [...to('bridges'), ...known, verdict('accept')]],
  ['forward', 'published ports', [...to('bridges'), ...wasPublished, verdict('accept')]],
  ['forward', 'networks open to each other', [...from('open'), ...to('open'), verdict('accept')]],
  // Neither another network nor a neighbour of the host that routes through it.
  ['forward', 'all else to a container', [...to('bridges'), verdict('drop')]],
]

/** All requests that make the table; where it is there already they would double its rules. */
export function tableRequests(table: TableName): Request[] {
  return [
    newTable(table),
    ...Object.values(sets).map((set, index) => newSet(table, set, index + 1)),
    ...chains.map((chain) => newChain(table, chain)),
    ...rules.map(([chain, comment, expressions]) => newRule(table, chain, expressions, { comment })),
  ]
}

/** What the firewall must know of a bridge. */
export interface BridgeRules {
  readonly interface: string
  readonly internal: boolean
  /** May it talk with other such networks? */
  readonly open: boolean
}

/** The elements that stand for a bridge. */
export function bridgeElements(bridge: BridgeRules): { set: SetName; element: Element }[] {
  const key = paddedText(bridge.interface, ifNameSize)
  const inSet = (set: SetName): { set: SetName; element: Element } => ({ set, element: { key } })
  return [
    inSet('bridges'),
    { set: 'same', element: { key: Buffer.concat([key, key]) } },
    inSet(bridge.internal ? 'internal' : 'masqueraded'),
    ...(bridge.open && !bridge.internal ? [inSet('open')] : []),
  ]
}

/** An address that belongs to a container. */
export function leaseElement(address: Buffer, comment: string): { set: SetName; element: Element } {
  return { set: address.length === 4 ? 'leases4' : 'leases6', element: { key: address, comment } }
}

export const namesPort = 53

/** Names are answered for at another port of the address. */
export function namesElements(family: Family, address: Buffer, at: number): { set: SetName; element: Element }[] {
  return (['udp', 'tcp'] as const).map((protocol) => ({
    set: `names${family}`,
    element: {
      key: concatenate(address, Buffer.of(protocolNumbers[protocol]), port(namesPort)),
      data: concatenate(address, port(at)),
    },
  }))
}

export interface PublishedPort {
  readonly protocol: Protocol
  readonly family: Family
  /** Undefined: all addresses of the host. */
  readonly hostAddress: Buffer | undefined
  readonly hostPort: number
  readonly address: Buffer
  readonly port: number
}

function port(number: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(number)
  return bytes
}

export function portElement(published: PublishedPort, comment: string): { set: SetName; element: Element } {
  const { family, hostAddress } = published
  const key = [Buffer.of(protocolNumbers[published.protocol]), port(published.hostPort)]
  return {
    set: `${hostAddress === undefined ? 'ports' : 'bound'}${family}`,
    element: {
      key: concatenate(...(hostAddress === undefined ? [] : [hostAddress]), ...key),
      data: concatenate(published.address, port(published.port)),
      comment,
    },
  }
}
