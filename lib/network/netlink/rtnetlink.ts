/** What messages of rtnetlink(7) about links, addresses, routes and neighbours have in common. Pure. */
import type { Attribute } from './message.js'

export const types = {
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

export const families = { 4: 2, 6: 10 } as const

/** IFLA_*, IFLA_INFO_* and so on of linux/if_link.h. */
export const ifla = {
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

export const infoKind = 1
export const infoData = 2
export const IFF_UP = 1

/** Longest name of an interface (IFNAMSIZ without its NUL). */
export const longestInterfaceName = 15

/** struct ifinfomsg */
export function linkHeader(index: number, up: boolean | undefined): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeInt32LE(index, 4)
  if (up !== undefined) {
    bytes.writeUInt32LE(up ? IFF_UP : 0, 8)
    bytes.writeUInt32LE(IFF_UP, 12)
  }
  return bytes
}

export function attribute(type: number, value: Attribute['value']): Attribute {
  return { type, value }
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}
