/** Links as messages of rtnetlink(7). Pure. */
import { attributesOf, flags, text, textOf, u32, u8, type Message, type Request } from './message.js'
import { attribute, families, IFF_UP, ifla, infoData, infoKind, linkHeader, macBytes, types } from './rtnetlink.js'

/** IFLA_BR_MCAST_SNOOPING */
const bridgeSnooping = 23
const inet6AddressGeneration = 8
const generateNoAddress = 1

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

export function deleteLink(which: { index: number } | { name: string }): Request {
  return {
    type: types.deleteLink,
    flags: 0,
    header: linkHeader('index' in which ? which.index : 0, undefined),
    attributes: 'name' in which ? [attribute(ifla.name, text(which.name))] : [],
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
