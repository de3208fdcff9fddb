/** A network as the database keeps it, and as it is shown. Pure. */
import { parseAddress, parseCidr, type Cidr } from './address.js'
import type { BridgeRules } from './firewall-table.js'

export type NetworkDriver = 'bridge' | 'macvlan'

/** The network that containers are on unless they say otherwise. */
export const defaultNetwork = 'podling'

/** A block of addresses of a network. */
export interface Subnet {
  /** `'10.89.0.0/24'` */
  readonly subnet: string
  /** The host's address in it, where containers send what goes out; with macvlan a router's, which may be absent. */
  readonly gateway?: string
  /** Where containers' addresses are taken from, a block within it. @default all of it */
  readonly range?: string
}

/** A network. */
export interface Network {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  readonly driver: NetworkDriver
  readonly subnets: readonly Subnet[]
  /** No way out to other networks, nor in. */
  readonly internal: boolean
  /** Closed to other networks of Podling, but for ports that are published. */
  readonly isolate: boolean
  /** Containers find each other by name. */
  readonly dns: boolean
  readonly labels: Readonly<Record<string, string>>
  /** The host's link: the bridge, or the link that macvlan ones sit on. */
  readonly interface: string
  /** Bytes; absent: the kernel's default. */
  readonly mtu?: number
  readonly createdAt: Date
}

/** What the database keeps. */
export interface NetworkRecord extends Omit<Network, 'createdAt'> {
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Nobody asked for just these subnets: when something else takes them, others do as well. */
  readonly picked: boolean
}

export function networkOf(record: NetworkRecord): Network {
  const { id, name, driver, subnets, internal, isolate, dns, labels, mtu, createdAt } = record
  return {
    id,
    name,
    driver,
    subnets,
    internal,
    isolate,
    dns,
    labels,
    interface: record.interface,
    ...(mtu === undefined ? {} : { mtu }),
    createdAt: new Date(createdAt),
  }
}

/** What the alias of a bridge says, by which it is known for ours. */
export function aliasOf({ name, id }: NetworkRecord): string {
  return `Podling network ${name} ${id.slice(0, 16)}`
}

export function rulesOf(record: NetworkRecord): BridgeRules {
  return { interface: record.interface, internal: record.internal, open: !record.isolate }
}

/** A record's text was checked before it was written. */
export function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new RangeError(`not a block of addresses: ${text}`)
  return cidr
}

export function addressOf(text: string): Buffer {
  const parsed = parseAddress(text)
  if (parsed === undefined) throw new RangeError(`not an address: ${text}`)
  return parsed.address
}
