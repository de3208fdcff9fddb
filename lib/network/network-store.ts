/** The records of a root's networks in its database, and the choice of their addresses. */
import { createHash, randomBytes } from 'node:crypto'
import { PodlingError } from '../errors.js'
import { nearestName } from '../schema/nearest-name.js'
import type { Database, Table } from '../storage/database.js'
import { formatCidr, overlaps, type Cidr } from './address.js'
import type { NormalizedCniOptions } from './cni/options.js'
import type { HostNetwork } from './host-network.js'
import { cidrOf, defaultNetwork, type NetworkRecord, type Subnet } from './network-record.js'
import type { NormalizedNetworkOptions } from './network-options.js'
import { pickDefault, pickIPv6, pickSmall } from './pick-subnet.js'

export class NetworkStore {
  readonly #database: Database
  readonly #table: Table<NetworkRecord>
  readonly #host: HostNetwork
  readonly #instance: string

  constructor(database: Database, host: HostNetwork, instance: string) {
    this.#database = database
    this.#table = database.table<NetworkRecord>('networks')
    this.#host = host
    this.#instance = instance
  }

  /** As they are in the database: without the default one, as long as nobody has needed it. */
  all(): NetworkRecord[] {
    return [...this.#table.entries()].map(([, record]) => record)
  }

  find(name: string): NetworkRecord | undefined {
    return this.#table.get(name) ?? this.#byId(name)
  }

  /** @throws PodlingError `NETWORK_NOT_FOUND` */
  async get(name: string): Promise<NetworkRecord> {
    if (name === defaultNetwork) return await this.default()
    const record = this.find(name)
    if (record !== undefined) return record
    const near = nearestName(name, [defaultNetwork, 'bridge', 'host', 'none', ...this.all().map((one) => one.name)])
    throw new PodlingError(
      'NETWORK_NOT_FOUND',
      `find network ${name}: this root has no network of this name or id${near === undefined ? '' : `; did you mean ${near}?`}`,
    )
  }

  #byId(id: string): NetworkRecord | undefined {
    if (!/^[0-9a-f]{12,64}$/.test(id)) return undefined
    const matches = this.all().filter((record) => record.id.startsWith(id))
    return matches.length === 1 ? matches[0] : undefined
  }

  /** The default network, which comes into being with its first use. */
  async default(): Promise<NetworkRecord> {
    return (
      this.#table.get(defaultNetwork) ??
      (await this.#host.exclusively(() =>
        this.#database.transaction(() => {
          const there = this.#table.get(defaultNetwork)
          if (there !== undefined) return there
          const record = this.#record({ name: defaultNetwork, ...plain }, [pickDefault(this.#used())], true)
          void this.#table.put(defaultNetwork, record)
          return record
        }),
      ))
    )
  }

  /** @throws PodlingError `NETWORK_EXISTS`, `SUBNET_OVERLAPS`, `SUBNET_EXHAUSTED` */
  async create(options: NormalizedNetworkOptions): Promise<NetworkRecord> {
    return await this.#host.exclusively(() =>
      this.#database.transaction(() => {
        this.#assertFree(options.name)
        const record = this.#record(options, this.#subnetsFor(options), options.subnets.length === 0)
        const twin = this.all().find((other) => other.driver === 'bridge' && other.interface === record.interface)
        if (record.driver === 'bridge' && twin !== undefined) {
          throw new PodlingError(
            'INVALID_OPTION',
            `create network ${options.name}: interface: ${record.interface} is that of network ${twin.name}`,
          )
        }
        void this.#table.put(options.name, record)
        return record
      }),
    )
  }

  /** A network of CNI plugins, whose addresses are theirs. @throws PodlingError `NETWORK_EXISTS` */
  async createCni({ name, dns, labels, cni }: NormalizedCniOptions): Promise<NetworkRecord> {
    return await this.#database.transaction(() => {
      this.#assertFree(name)
      const record = { ...this.#record({ ...plain, name, driver: 'cni', isolate: false, dns, labels }, [], false), cni }
      void this.#table.put(name, record)
      return record
    })
  }

  #assertFree(name: string): void {
    if (name !== defaultNetwork && this.#table.get(name) === undefined) return
    throw new PodlingError('NETWORK_EXISTS', `create network ${name}: there is a network of this name`)
  }

  /** Other subnets for a network whose own, which nobody asked for, something else has taken meanwhile. */
  async pickAgain(record: NetworkRecord): Promise<NetworkRecord> {
    return await this.#database.transaction(() => {
      const used = this.#used(record.name)
      const subnets = record.subnets.map(({ subnet }) =>
        subnet.includes(':') ? pickIPv6(used) : record.name === defaultNetwork ? pickDefault(used) : pickSmall(used),
      )
      const renewed = { ...record, subnets }
      void this.#table.put(record.name, renewed)
      return renewed
    })
  }

  async remove(name: string): Promise<void> {
    await this.#table.remove(name)
  }

  /** Blocks that the host or another network of this root uses. */
  #used(except?: string): Cidr[] {
    const others = this.all().filter(({ name, driver }) => name !== except && driver === 'bridge')
    return [...this.#host.usedBlocks(), ...others.flatMap(({ subnets }) => subnets.map(({ subnet }) => cidrOf(subnet)))]
  }

  #subnetsFor(options: NormalizedNetworkOptions): Subnet[] {
    const used = this.#used()
    const { driver, subnets } = options
    if (driver === 'bridge') {
      for (const { subnet } of subnets) {
        const taken = used.find((block) => overlaps(block, cidrOf(subnet)))
        if (taken !== undefined) throw overlap(options.name, subnet, taken, this.all())
      }
    }
    const six = options.ipv6 && !subnets.some(({ subnet }) => subnet.includes(':'))
    return [...(subnets.length === 0 ? [pickSmall(used)] : subnets), ...(six ? [pickIPv6(used)] : [])]
  }

  #record(
    options: Omit<NormalizedNetworkOptions, 'subnets' | 'ipv6'>,
    subnets: readonly Subnet[],
    picked: boolean,
  ): NetworkRecord {
    const { name, driver, internal, isolate, dns, labels, mtu } = options
    return {
      id: randomBytes(32).toString('hex'),
      name,
      driver,
      subnets,
      internal,
      isolate,
      dns,
      labels,
      interface: options.interface ?? (driver === 'cni' ? '' : this.#bridgeName(name)),
      ...(mtu === undefined ? {} : { mtu }),
      createdAt: Date.now(),
      picked,
    }
  }

  /** Two roots on one host must not take each other's bridges for their own. */
  #bridgeName(network: string): string {
    if (this.#instance === defaultNetwork && network === defaultNetwork) return 'podling0'
    const hash = createHash('sha256').update(`${this.#instance}\0${network}`).digest('hex')
    return `podling-${hash.slice(0, 7)}`
  }
}

const plain = {
  driver: 'bridge',
  internal: false,
  isolate: true,
  dns: true,
  labels: {},
  mtu: undefined,
  interface: undefined,
} as const

function overlap(name: string, subnet: string, taken: Cidr, networks: readonly NetworkRecord[]): PodlingError {
  const owner = networks.find((network) => network.subnets.some((one) => overlaps(cidrOf(one.subnet), taken)))
  const whose = owner === undefined ? 'the host uses' : `network ${owner.name} has`
  return new PodlingError(
    'SUBNET_OVERLAPS',
    `create network ${name}: ${subnet} overlaps with ${formatCidr(taken)}, which ${whose}; choose another one, or leave \`subnets\` out`,
  )
}
