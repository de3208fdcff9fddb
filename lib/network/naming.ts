/** Which names containers have on which networks: endpoints and records in, what {@link Names} wants out. */
import type { Endpoint } from './attachment.js'
import { formatCidr, parseAddress } from './address.js'
import type { HostNetwork } from './host-network.js'
import { cidrOf, type NetworkRecord } from './network-record.js'
import type { NamedContainer, NamedNetwork, Names } from './names.js'

/** A container as others on its networks find it. */
export interface NameHolder {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  /** With its end it is forgotten. */
  readonly pid: number
  /** Resolvers that it has of its own. */
  readonly dns: readonly string[]
}

/** Podman's containers are found by the first digits of their ids as well. */
const shortId = 12

export class Naming {
  readonly #names: Names
  readonly #host: HostNetwork
  readonly #find: (network: string) => NetworkRecord | undefined

  constructor(names: Names, host: HostNetwork, find: (network: string) => NetworkRecord | undefined) {
    this.#names = names
    this.#host = host
    this.#find = find
  }

  /** @throws PodlingError `NAMES_FAILED` */
  async publish(holder: NameHolder, endpoints: readonly Endpoint[]): Promise<void> {
    await Promise.all(
      this.#entries(holder, endpoints).map(({ network, container }) => this.#names.publish(network, container)),
    )
  }

  /** The container that was published has a process now: it is forgotten with that one's end, not this one's. */
  follow(holder: NameHolder, endpoints: readonly Endpoint[]): void {
    for (const { network, container } of this.#entries(holder, endpoints)) this.#names.rewrite(network, container)
  }

  #entries(
    { id, name, pid, dns }: NameHolder,
    endpoints: readonly Endpoint[],
  ): { network: NamedNetwork; container: NamedContainer }[] {
    return endpoints.flatMap((endpoint) => {
      const { network, addresses, aliases } = endpoint
      const record = this.#find(network)
      const gateways = record === undefined ? [] : this.#askedAt(record, endpoint)
      if (record === undefined || gateways.length === 0) return []
      const container = {
        id,
        pid,
        names: [...new Set([name, ...aliases, id.slice(0, shortId)])],
        addresses: addresses.map((address) => address.split('/')[0] ?? ''),
        servers: dns,
      }
      const { id: networkId, name: networkName, internal } = record
      return [{ network: { id: networkId, name: networkName, gateways, forward: !internal }, container }]
    })
  }

  /**
   * Where a container asks for names; empty where it has none. Networks with a way out come first: what a responder without
   * one doesn't know, it says is nowhere.
   */
  resolvers(endpoints: readonly Endpoint[]): string[] {
    const places = endpoints.flatMap((endpoint) => {
      const record = this.#find(endpoint.network)
      return record === undefined ? [] : [{ internal: record.internal, asked: this.#askedAt(record, endpoint) }]
    })
    const ordered = [...places.filter(({ internal }) => !internal), ...places.filter(({ internal }) => internal)]
    return ordered.flatMap(({ asked }) => asked.map((gateway) => gateway.split('/')[0] ?? ''))
  }

  /** The host's addresses on a network, with prefix length; none where names are off or the host has no address there. */
  #askedAt({ driver, dns, subnets }: NetworkRecord, endpoint: Endpoint): string[] {
    if (!dns) return []
    if (driver === 'bridge') {
      return subnets.flatMap(({ subnet, gateway }) =>
        gateway === undefined ? [] : [`${gateway}/${String(cidrOf(subnet).prefix)}`],
      )
    }
    // Plugins may name servers of their own, and need not give the host an address.
    if (driver !== 'cni' || (endpoint.dns?.servers.length ?? 0) > 0) return []
    const own = this.#host.addresses()
    return endpoint.gateways.flatMap((gateway) => {
      const parsed = parseAddress(gateway)
      const block = own.find(({ address }) => parsed?.address.equals(address))
      return block === undefined ? [] : [formatCidr(block)]
    })
  }

  /** Forget a container, on one network or on all. */
  withdraw(container: string, network?: NetworkRecord): void {
    this.#names.withdraw(container, network?.id)
  }

  /** Forget a network. */
  async remove(network: NetworkRecord): Promise<void> {
    await this.#names.remove(network.id)
  }

  /** Forget containers that are gone. */
  async sweep(lives: (container: string) => Promise<boolean>): Promise<void> {
    await this.#names.sweep(lives)
  }

  async close(): Promise<void> {
    await this.#names.close()
  }
}
