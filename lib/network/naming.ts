/** Which names containers have on which networks: endpoints and records in, what {@link Names} wants out. */
import type { Endpoint } from './attachment.js'
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
  readonly #find: (network: string) => NetworkRecord | undefined

  constructor(names: Names, find: (network: string) => NetworkRecord | undefined) {
    this.#names = names
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
    return endpoints.flatMap(({ network, addresses, aliases }) => {
      const record = this.#find(network)
      if (record === undefined || !hasNames(record)) return []
      const container = {
        id,
        pid,
        names: [...new Set([name, ...aliases, id.slice(0, shortId)])],
        addresses: addresses.map((address) => address.split('/')[0] ?? ''),
        servers: dns,
      }
      return [{ network: namedNetwork(record), container }]
    })
  }

  /**
   * Where a container asks for names; empty where it has none. Networks with a way out come first: what a responder without
   * one doesn't know, it says is nowhere.
   */
  resolvers(endpoints: readonly Endpoint[]): string[] {
    const records = endpoints.flatMap(({ network }) => this.#find(network) ?? []).filter(hasNames)
    const ordered = [...records.filter(({ internal }) => !internal), ...records.filter(({ internal }) => internal)]
    return ordered.flatMap(({ subnets }) => subnets.flatMap(({ gateway }) => gateway ?? []))
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

/** On a network that isn't the host's own, the host has no address to be asked at. */
function hasNames({ driver, dns }: NetworkRecord): boolean {
  return driver === 'bridge' && dns
}

function namedNetwork({ id, name, subnets, internal }: NetworkRecord): NamedNetwork {
  return {
    id,
    name,
    gateways: subnets.flatMap(({ subnet, gateway }) =>
      gateway === undefined ? [] : [`${gateway}/${String(cidrOf(subnet).prefix)}`],
    ),
    forward: !internal,
  }
}
