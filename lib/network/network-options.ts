/** What `networks.create` takes, checked: all mistakes at once. Pure. */
import { PodlingError } from '../errors.js'
import { faultFinder, formatFaults, show, type Fault } from '../schema/faults.js'
import {
  bitsOf,
  contains,
  formatAddress,
  formatCidr,
  networkOf,
  overlaps,
  parseAddress,
  parseCidr,
  usableRange,
  fromNumber,
  type Cidr,
} from './address.js'
import { longestInterfaceName } from './netlink/rtnetlink.js'
import { networkNameFault, networkNameSchema } from './network-name.js'
import type { NetworkDriver, Subnet } from './network-record.js'

export interface NetworkOptions {
  /** Letters, digits, `_`, `.` and `-`. */
  readonly name: string
  /** `'bridge'`: a network of this host. `'macvlan'`: containers are neighbours on the network of one of its links. @default 'bridge' */
  readonly driver?: 'bridge' | 'macvlan'
  /**
   * Blocks of addresses, `'10.89.0.0/24'`, `'fd00::/64'`, or objects that also say the gateway and where addresses are
   * taken from. With macvlan they are those of the link's own network, and must be given.
   * @default an IPv4 block of 256 addresses that neither the host nor another network uses
   */
  readonly subnets?: readonly (string | Subnet)[]
  /** Where no IPv6 subnet is given: pick one. @default false */
  readonly ipv6?: boolean
  /** No way out, nor in from outside. @default false */
  readonly internal?: boolean
  /** `false`: open to all other networks for which it is false too. @default true */
  readonly isolate?: boolean
  /** Bytes, 576 to 65535; at least 1280 with IPv6 (RFC 8200). @default the kernel's, 1500 */
  readonly mtu?: number
  /** Containers find each other by name. @default true */
  readonly dns?: boolean
  /** For finding it again; no effect on the network. */
  readonly labels?: Readonly<Record<string, string>>
  /** The name of the bridge, at most 15 characters. @default one made from the network's name */
  readonly interface?: string
  /** With macvlan: the link of the host, `'eth0'`, that containers' links sit on. */
  readonly parent?: string
}

/** {@link NetworkOptions} in one form. */
export interface NormalizedNetworkOptions {
  readonly name: string
  readonly driver: NetworkDriver
  /** With gateways, except of macvlan ones without. Empty: to be picked. */
  readonly subnets: readonly Subnet[]
  readonly ipv6: boolean
  readonly internal: boolean
  readonly isolate: boolean
  readonly mtu: number | undefined
  readonly dns: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly interface: string | undefined
}

const optional = { type: 'boolean' }

const schema = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: {
    name: networkNameSchema,
    driver: { enum: ['bridge', 'macvlan'] },
    subnets: {
      type: 'array',
      items: {
        type: ['string', 'object'],
        required: ['subnet'],
        additionalProperties: false,
        properties: { subnet: { type: 'string' }, gateway: { type: 'string' }, range: { type: 'string' } },
      },
    },
    ipv6: optional,
    internal: optional,
    isolate: optional,
    dns: optional,
    mtu: { type: 'integer', minimum: 576, maximum: 65535 },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    interface: {
      type: 'string',
      pattern: `^[^/\\s:]{1,${String(longestInterfaceName)}}$`,
      says: `1 to ${String(longestInterfaceName)} characters without blanks, / and :`,
    },
    parent: { type: 'string', minLength: 1 },
  },
}

const findFaults = faultFinder(schema)

/** @throws PodlingError `INVALID_OPTION` with all mistakes, each with its path */
export function parseNetworkOptions(options: NetworkOptions): NormalizedNetworkOptions {
  const faults = findFaults(options)
  const subnets: Subnet[] = []
  if (faults.length === 0) {
    faults.push(...contradictions(options))
    const blocks: Cidr[] = []
    options.subnets?.forEach((given, index) => {
      const at = `subnets[${String(index)}]`
      const parsed = parseSubnet(typeof given === 'string' ? { subnet: given } : given, at, options)
      faults.push(...parsed.faults)
      if (parsed.subnet === undefined || parsed.block === undefined) return
      const other = blocks.find((block) => overlaps(block, parsed.block!))
      if (other !== undefined)
        faults.push({
          path: at,
          message: `must not overlap with ${formatCidr(other)}, got ${show(parsed.subnet.subnet)}`,
        })
      blocks.push(parsed.block)
      subnets.push(parsed.subnet)
    })
  }
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('create network', faults))
  return {
    name: options.name,
    driver: options.driver ?? 'bridge',
    subnets,
    ipv6: options.ipv6 ?? false,
    internal: options.internal ?? false,
    isolate: options.isolate ?? true,
    mtu: options.mtu,
    dns: options.dns ?? true,
    labels: options.labels ?? {},
    interface: options.driver === 'macvlan' ? options.parent : options.interface,
  }
}

function contradictions(options: NetworkOptions): Fault[] {
  const { name, driver = 'bridge', subnets, parent, internal, mtu, ipv6 } = options
  const faults: Fault[] = []
  const nameFault = networkNameFault(name)
  if (nameFault !== undefined) faults.push({ path: 'name', message: nameFault })
  if (driver === 'macvlan') {
    if (parent === undefined)
      faults.push({ path: 'parent', message: 'must name the link of the host that macvlan sits on' })
    if (!subnets?.length)
      faults.push({
        path: 'subnets',
        message: "must be given with driver: 'macvlan': they are those of the parent's network",
      })
    if (internal) faults.push({ path: 'internal', message: "has no effect with driver: 'macvlan'" })
    if (options.interface !== undefined)
      faults.push({ path: 'interface', message: "has no effect with driver: 'macvlan'; see parent" })
    if (ipv6) faults.push({ path: 'ipv6', message: "has no effect with driver: 'macvlan': give an IPv6 subnet" })
  } else if (parent !== undefined) {
    faults.push({ path: 'parent', message: "has no effect without driver: 'macvlan'" })
  }
  const six =
    ipv6 === true || subnets?.some((subnet) => (typeof subnet === 'string' ? subnet : subnet.subnet).includes(':'))
  if (six && mtu !== undefined && mtu < 1280)
    faults.push({ path: 'mtu', message: `must be at least 1280 with IPv6, got ${show(mtu)}` })
  return faults
}

function parseSubnet(
  { subnet, gateway, range }: Subnet,
  at: string,
  { driver, internal }: NetworkOptions,
): { subnet?: Subnet; block?: Cidr; faults: Fault[] } {
  const parsed = parseCidr(subnet)
  if (parsed === undefined)
    return { faults: [{ path: at, message: `must be a subnet such as '10.89.0.0/24', got ${show(subnet)}` }] }
  const block = networkOf(parsed)
  const faults: Fault[] = []
  if (bitsOf(block.family) - block.prefix < 2) {
    faults.push({ path: at, message: `must have room for a gateway and a container, got ${show(subnet)}` })
  }
  if (isLoopbackOrMulticast(block))
    faults.push({ path: at, message: `must not be loopback or multicast addresses, got ${show(subnet)}` })
  const router = gateway === undefined ? undefined : parseAddress(gateway)
  if (gateway !== undefined && (router === undefined || !contains(block, router.address))) {
    faults.push({ path: `${at}.gateway`, message: `must be an address in ${formatCidr(block)}, got ${show(gateway)}` })
  }
  const pool = range === undefined ? undefined : parseCidr(range)
  if (range !== undefined && (pool === undefined || !contains(block, pool.address) || pool.prefix < block.prefix)) {
    faults.push({ path: `${at}.range`, message: `must be a block in ${formatCidr(block)}, got ${show(range)}` })
  }
  if (faults.length > 0) return { faults }
  // A bridge is the host's own; on another network without a router there may be none.
  const first =
    driver === 'macvlan' && internal !== false
      ? undefined
      : formatAddress(fromNumber(usableRange(block).first, block.family))
  const routerText = router === undefined ? first : formatAddress(router.address)
  return {
    block,
    subnet: {
      subnet: formatCidr(block),
      ...(routerText === undefined ? {} : { gateway: routerText }),
      ...(pool === undefined ? {} : { range: formatCidr(networkOf(pool)) }),
    },
    faults,
  }
}

function isLoopbackOrMulticast(block: Cidr): boolean {
  const first = block.address[0] ?? 0
  if (block.family === 4) return first === 127 || first === 0 || first >= 224
  return first === 0xff || (first === 0 && block.address.subarray(0, 15).every((byte) => byte === 0))
}
