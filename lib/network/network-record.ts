/** A network as the database keeps it, and as it is shown. Pure. */
import { parseAddress, parseCidr, type Cidr } from './address.js'
import type { CniConfigList, CniNetwork } from './cni/config.js'
import type { BridgeRules } from './firewall-table.js'

/** `'cni'`: by the plugins of a CNI configuration. */
export type NetworkDriver = 'bridge' | 'macvlan' | 'cni'

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
  /** Empty with CNI, whose plugins alone know. */
  readonly subnets: readonly Subnet[]
  /** No way out to other networks, nor in. */
  readonly internal: boolean
  /** Closed to other networks of Podling, but for ports that are published. */
  readonly isolate: boolean
  /** Containers find each other by name. */
  readonly dns: boolean
  readonly labels: Readonly<Record<string, string>>
  /** The host's link: the bridge, or the link that macvlan ones sit on. Absent with CNI. */
  readonly interface?: string
  /** Bytes; absent: the kernel's default. */
  readonly mtu?: number
  readonly createdAt: Date
  /** Its configuration, with the driver `'cni'`. */
  readonly cni?: CniConfigList
}

/** What the database keeps. */
export interface NetworkRecord extends Omit<Network, 'createdAt' | 'cni'> {
  /** Empty with CNI. */
  readonly interface: string
  /** With CNI alone. */
  readonly cni?: CniNetwork
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Nobody asked for just these subnets: when something else takes them, others do as well. */
  readonly picked: boolean
}

export function networkOf(record: NetworkRecord): Network {
  const { id, name, driver, subnets, internal, isolate, dns, labels, mtu, createdAt, cni } = record
  return {
    id,
    name,
    driver,
    subnets,
    internal,
    isolate,
    dns,
    labels,
    ...(cni === undefined ? { interface: record.interface } : { cni: configOf(cni) }),
    ...(mtu === undefined ? {} : { mtu }),
    createdAt: new Date(createdAt),
  }
}

/** As the specification has it. */
function configOf({ cniVersion, name, disableCheck, disableGC, plugins }: CniNetwork): CniConfigList {
  return {
    cniVersion,
    name,
    ...(disableCheck ? { disableCheck } : {}),
    ...(disableGC ? { disableGC } : {}),
    plugins,
  }
}

/** Can ports be published there? They are on the first such network that a container is on. */
export function takesPorts({ driver, internal, cni }: NetworkRecord): boolean {
  if (driver === 'bridge') return !internal
  return cni?.plugins.some(({ capabilities }) => capabilities?.['portMappings'] === true) ?? false
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
