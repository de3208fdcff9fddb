/** Links, addresses, routes and neighbours as messages of rtnetlink(7). Pure. */
import {
  attributesOf,
  encode,
  flags,
  headerSize,
  text,
  textOf,
  u32,
  u8,
  type Attribute,
  type Message,
  type Request,
} from './message.js'
import type { Cidr, Family } from '../address.js'

const types = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  getAddress: 22,
  newRoute: 24,
  getRoute: 26,
  newNeighbour: 28,
} as const

const families = { unspecified: 0, 4: 2, 6: 10 } as const

/** IFLA_*, IFLA_INFO_* and so on of linux/if_link.h. */
const ifla = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  info: 18,
  netNsPid: 19,
  alias: 20,
  afSpec: 26,
} as const
const infoKind = 1
const infoData = 2
const infoSlaveKind = 4
const infoSlaveData = 5
/** IFLA_BR_MCAST_SNOOPING */
const bridgeSnooping = 23
const vethPeer = 1
const macvlanMode = 1
/** IFLA_BRPORT_MODE */
const portMode = 4
const inet6AddressGeneration = 8
const generateNoAddress = 1

const ifa = { address: 1, local: 2, broadcast: 4, flags: 8 } as const
const rta = { destination: 1, oif: 4, gateway: 5 } as const
const nda = { destination: 1, linkAddress: 2 } as const

const IFF_UP = 1
const IFA_F_NODAD = 0x02
const NUD_PERMANENT = 0x80
const table = { main: 254, local: 255 } as const
const RTPROT_STATIC = 4
const RTN_UNICAST = 1

/** Longest name of an interface (IFNAMSIZ without its NUL). */
export const longestInterfaceName = 15

/** struct ifinfomsg */
function linkHeader(index: number, up: boolean | undefined): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeInt32LE(index, 4)
  if (up !== undefined) {
    bytes.writeUInt32LE(up ? IFF_UP : 0, 8)
    bytes.writeUInt32LE(IFF_UP, 12)
  }
  return bytes
}

function attribute(type: number, value: Attribute['value']): Attribute {
  return { type, value }
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

/** A Linux bridge with a fixed MAC, which else would be that of whichever port has the lowest. Up, once it is there. */
export function newBridge(bridge: { name: string; mac: string; mtu?: number | undefined; index?: number }): Request {
  return {
    type: types.newLink,
    flags: flags.create | flags.exclusive,
    header: linkHeader(bridge.index ?? 0, true),
    attributes: [
      attribute(ifla.name, text(bridge.name)),
      attribute(ifla.address, macBytes(bridge.mac)),
      ...(bridge.mtu === undefined ? [] : [attribute(ifla.mtu, u32(bridge.mtu))]),
      attribute(ifla.info, [
        attribute(infoKind, text('bridge')),
        // A bridge that snoops learns of a listener by its report, and one that is lost, sent before the port forwards,
        // keeps IPv6 neighbours from finding each other.
        attribute(infoData, [attribute(bridgeSnooping, u8(0))]),
      ]),
    ],
  }
}

/** Text that is shown by `ip link` and tells whose the link is. */
export function setAlias(index: number, alias: string): Request {
  return {
    type: types.setLink,
    flags: 0,
    header: linkHeader(index, undefined),
    attributes: [attribute(ifla.alias, text(alias))],
  }
}

/** The bytes of a message about links, to be sent when a process has its pid. */
export interface LinkMessage {
  readonly message: Buffer
  /** Where that pid is to be written, u32, little-endian; absent: nowhere. */
  readonly pidAt?: number
}

/** An IFLA_NET_NS_PID of a pid that no process has, so that its place among the bytes is found again. */
const pidPlaceholder = u32(0x7ffffffe)

function withPid(request: Request): LinkMessage {
  const message = encode(request)
  const pidAt = message.indexOf(pidPlaceholder)
  if (pidAt < 0 || message.indexOf(pidPlaceholder, pidAt + 1) >= 0)
    throw new Error('the place of the pid is not unique')
  return { message, pidAt }
}

function withoutPid(request: Request): LinkMessage {
  return { message: encode({ ...request, flags: request.flags | flags.request | flags.ack }) }
}

export interface ContainerLink {
  /** Its name in the container, `'eth0'`. */
  readonly name: string
  /** The index that it is to have there. */
  readonly index: number
  readonly mac: string
  readonly mtu?: number | undefined
}

/** The end of a pair that stays on the host. */
export interface HostEnd {
  readonly name: string
  /** The index of the bridge that it is a port of. */
  readonly bridge: number
  /** Does the kernel speak IPv6? */
  readonly six: boolean
  /** Does the bridge send back through a port what came in by it, where it is addressed so? */
  readonly hairpin: boolean
}

/**
 * A pair of virtual links: one end in the network namespace of a process, the other here, a port of the bridge, and up.
 * The end in the container is the one that the message is about, as the kernel lets only that one choose its index.
 */
export function newVeth(host: HostEnd, link: ContainerLink): LinkMessage[] {
  const mtu = link.mtu === undefined ? [] : [attribute(ifla.mtu, u32(link.mtu))]
  return [
    withPid({
      type: types.newLink,
      flags: flags.request | flags.ack | flags.create | flags.exclusive,
      // Up from the beginning, or the bridge would wait for it, and lose what comes first.
      header: linkHeader(link.index, true),
      attributes: [
        ...linkAttributes(link),
        ...mtu,
        attribute(ifla.info, [
          attribute(infoKind, text('veth')),
          attribute(infoData, [
            // The peer's own ifinfomsg stands in front of its attributes.
            attribute(
              vethPeer,
              Buffer.concat([
                linkHeader(0, undefined),
                encodeAttributes([attribute(ifla.name, text(host.name)), ...mtu]),
              ]),
            ),
          ]),
        ]),
      ],
    }),
    // A port has no use for an address, and to announce one would disturb all others.
    ...(host.six ? [withoutPid(noLinkLocal({ name: host.name }))] : []),
    withoutPid({
      type: types.newLink,
      flags: 0,
      header: linkHeader(0, true),
      attributes: [attribute(ifla.name, text(host.name)), attribute(ifla.master, u32(host.bridge))],
    }),
    ...(host.hairpin ? [withoutPid(hairpinMode(host.name))] : []),
    // To be asked makes the kernel settle the state of the link at once, and with it the bridge forward through the port;
    // left alone it may take until after the first packet, and whoever sent that tries again a second later.
    withoutPid(getLink(host.name)),
  ]
}

function hairpinMode(name: string): Request {
  return {
    type: types.newLink,
    flags: 0,
    header: linkHeader(0, undefined),
    attributes: [
      attribute(ifla.name, text(name)),
      attribute(ifla.info, [
        attribute(infoSlaveKind, text('bridge')),
        attribute(infoSlaveData, [attribute(portMode, u8(1))]),
      ]),
    ],
  }
}

function linkAttributes({ name, mac }: ContainerLink): Attribute[] {
  return [
    attribute(ifla.name, text(name)),
    attribute(ifla.address, macBytes(mac)),
    attribute(ifla.netNsPid, pidPlaceholder),
  ]
}

function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return encode({ type: 0, flags: 0, header: new Uint8Array(), attributes }).subarray(headerSize)
}

/** A further MAC on a link of the host, in the network namespace of a process (macvlan, bridge mode). */
export function newMacvlan(parent: number, link: ContainerLink): LinkMessage {
  return withPid({
    type: types.newLink,
    flags: flags.request | flags.ack | flags.create | flags.exclusive,
    header: linkHeader(link.index, undefined),
    attributes: [
      ...linkAttributes(link),
      ...(link.mtu === undefined ? [] : [attribute(ifla.mtu, u32(link.mtu))]),
      attribute(ifla.link, u32(parent)),
      attribute(ifla.info, [
        attribute(infoKind, text('macvlan')),
        attribute(infoData, [attribute(macvlanMode, u32(4))]),
      ]),
    ],
  })
}

export function deleteLink(which: { index: number } | { name: string }): Request {
  return {
    type: types.deleteLink,
    flags: 0,
    header: linkHeader('index' in which ? which.index : 0, undefined),
    attributes: 'name' in which ? [attribute(ifla.name, text(which.name))] : [],
  }
}

/** Set a link up; it is named by its index or, in a namespace whose indexes nobody has asked for, by its name. */
export function linkUp(which: { index: number } | { name: string }): Request {
  return {
    type: types.newLink,
    flags: 0,
    header: linkHeader('index' in which ? which.index : 0, true),
    attributes: 'name' in which ? [attribute(ifla.name, text(which.name))] : [],
  }
}

/** Let a link not give itself an IPv6 address: none (fe80::) at all, or those only that it is given. */
export function noLinkLocal(which: { index: number } | { name: string }): Request {
  return {
    type: types.newLink,
    flags: 0,
    header: linkHeader('index' in which ? which.index : 0, undefined),
    attributes: [
      ...('name' in which ? [attribute(ifla.name, text(which.name))] : []),
      attribute(ifla.afSpec, [attribute(families[6], [attribute(inet6AddressGeneration, u8(generateNoAddress))])]),
    ],
  }
}

/** An address on a link. IPv6 ones are used at once, without a search for duplicates: leases are unique. */
export function newAddress(index: number, { family, address, prefix }: Cidr): Request {
  const header = Buffer.alloc(8)
  header.writeUInt8(families[family], 0)
  header.writeUInt8(prefix, 1)
  header.writeUInt32LE(index, 4)
  return {
    type: types.newAddress,
    flags: flags.create | flags.exclusive,
    header,
    attributes: [
      attribute(ifa.local, address),
      attribute(ifa.address, address),
      ...(family === 6 ? [attribute(ifa.flags, u32(IFA_F_NODAD))] : []),
    ],
  }
}

/** A route; without `destination` the default one. */
export function newRoute(index: number, family: Family, gateway: Buffer, destination?: Cidr): Request {
  return {
    type: types.newRoute,
    flags: flags.create | flags.exclusive,
    header: Buffer.from([
      families[family],
      destination?.prefix ?? 0,
      0,
      0,
      table.main,
      RTPROT_STATIC,
      0,
      RTN_UNICAST,
      0,
      0,
      0,
      0,
    ]),
    attributes: [
      ...(destination === undefined ? [] : [attribute(rta.destination, destination.address)]),
      attribute(rta.gateway, gateway),
      attribute(rta.oif, u32(index)),
    ],
  }
}

/** The MAC of a neighbour, for good, so that nobody asks all ports for it. */
export function newNeighbour(index: number, family: Family, address: Buffer, mac: string): Request {
  const header = Buffer.alloc(12)
  header.writeUInt8(families[family], 0)
  header.writeInt32LE(index, 4)
  header.writeUInt16LE(NUD_PERMANENT, 8)
  return {
    type: types.newNeighbour,
    flags: flags.create | flags.replace,
    header,
    attributes: [attribute(nda.destination, address), attribute(nda.linkAddress, macBytes(mac))],
  }
}

export interface Link {
  readonly index: number
  readonly name: string
  readonly alias?: string
  /** `'bridge'`, `'veth'` and so on. */
  readonly kind?: string
  readonly up: boolean
  readonly mtu: number
  /** `'02:00:0a:58:00:01'`; empty for links without. */
  readonly mac: string
  /** The index of the bridge that it is a port of. */
  readonly master?: number
}

export function getLink(name: string): Request {
  return {
    type: types.getLink,
    flags: 0,
    header: linkHeader(0, undefined),
    attributes: [attribute(ifla.name, text(name))],
  }
}

export function getLinks(): Request {
  return { type: types.getLink, flags: 0, header: linkHeader(0, undefined), attributes: [] }
}

export function parseLink({ body }: Message): Link {
  const attributes = attributesOf(body.subarray(16))
  const info = attributes.get(ifla.info)
  const kind = info === undefined ? undefined : textOf(attributesOf(info).get(infoKind))
  const alias = textOf(attributes.get(ifla.alias))
  const master = attributes.get(ifla.master)
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(ifla.name)) ?? '',
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    mtu: attributes.get(ifla.mtu)?.readUInt32LE(0) ?? 0,
    mac: (attributes.get(ifla.address)?.toString('hex').match(/../g) ?? []).join(':'),
    ...(kind === undefined ? {} : { kind }),
    ...(alias === undefined ? {} : { alias }),
    ...(master === undefined ? {} : { master: master.readUInt32LE(0) }),
  }
}

/** A block of addresses that a route leads to or a link has an address of. */
export interface UsedBlock extends Cidr {
  /** The link's index; 0 where there is none. */
  readonly link: number
}

export function getAddresses(): Request {
  return { type: types.getAddress, flags: 0, header: Buffer.alloc(8), attributes: [] }
}

/** The block that an address of a link lies in. */
export function parseAddress({ body }: Message): UsedBlock | undefined {
  const family = familyOf(body.readUInt8(0))
  const attributes = attributesOf(body.subarray(8))
  const address = attributes.get(ifa.local) ?? attributes.get(ifa.address)
  if (family === undefined || address === undefined) return undefined
  return { family, address, prefix: body.readUInt8(1), link: body.readUInt32LE(4) }
}

export function getRoutes(): Request {
  return { type: types.getRoute, flags: 0, header: Buffer.alloc(12), attributes: [] }
}

/** The block that a route leads to; undefined for default routes, which lead everywhere. */
export function parseRoute({ body }: Message): UsedBlock | undefined {
  const family = familyOf(body.readUInt8(0))
  const attributes = attributesOf(body.subarray(12))
  const address = attributes.get(rta.destination)
  if (family === undefined || address === undefined) return undefined
  return { family, address, prefix: body.readUInt8(1), link: attributes.get(rta.oif)?.readUInt32LE(0) ?? 0 }
}

function familyOf(number: number): Family | undefined {
  return number === families[4] ? 4 : number === families[6] ? 6 : undefined
}
