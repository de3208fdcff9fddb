/** Addresses, routes and neighbours as messages of rtnetlink(7). Pure. */
import type { Cidr, Family } from '../address.js'
import { attributesOf, flags, u32, type Message, type Request } from './message.js'
import { attribute, families, macBytes, types } from './rtnetlink.js'

const ifa = { address: 1, local: 2, flags: 8 } as const
const rta = { destination: 1, oif: 4, gateway: 5 } as const
const nda = { destination: 1, linkAddress: 2 } as const
const IFA_F_NODAD = 0x02
const NUD_PERMANENT = 0x80
const RT_TABLE_MAIN = 254
const RTPROT_STATIC = 4
const RTN_UNICAST = 1

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
      RT_TABLE_MAIN,
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
