/** Links into the network namespace of a process, as the bytes of messages that wait for its pid. Pure. */
import { noLinkLocal, getLink } from './links.js'
import { encode, flags, headerSize, text, u32, u8, type Attribute, type Request } from './message.js'
import { attribute, ifla, infoData, infoKind, linkHeader, macBytes, types } from './rtnetlink.js'

const infoSlaveKind = 4
const infoSlaveData = 5
const vethPeer = 1
const macvlanMode = 1
/** IFLA_BRPORT_MODE */
const portMode = 4

/** The bytes of a message about links, to be sent when a process has its pid. */
export interface LinkMessage {
  readonly message: Buffer
  /** Where that pid is to be written, u32, little-endian; absent: nowhere. */
  readonly pidAt?: number
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
