/** The network namespace that bridges are in: its links and routes, its sysctls, and a lock on it. */
import type { Request } from './netlink/message.js'
import { getLink, parseLink, type Link } from './netlink/links.js'
import { getAddresses, getRoutes, parseAddress, parseRoute, type UsedBlock } from './netlink/addresses.js'
import { NetlinkError, NetlinkSocket } from './netlink/socket.js'
import type { NetworkSpace } from './network-space.js'

export class HostNetwork {
  #route: NetlinkSocket | undefined
  #netfilter: NetlinkSocket | undefined
  /** Of this process's own network namespace, where that is another one. */
  #outside: NetlinkSocket | undefined
  readonly space: NetworkSpace

  constructor(space: NetworkSpace) {
    this.space = space
  }

  /** rtnetlink(7), opened at the first use. */
  get route(): NetlinkSocket {
    return (this.#route ??= this.#open('route'))
  }

  /** nf_tables, opened at the first use. */
  get netfilter(): NetlinkSocket {
    return (this.#netfilter ??= this.#open('netfilter'))
  }

  #open(protocol: 'route' | 'netfilter'): NetlinkSocket {
    return NetlinkSocket.open(protocol, (domain, type, number, what) =>
      this.space.openSocket(domain, type, number, what),
    )
  }

  /** @returns undefined where there is none of this name. */
  link(name: string): Link | undefined {
    try {
      const [message] = this.route.request(getLink(name), `look for the link ${name}`)
      return message === undefined ? undefined : parseLink(message)
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'ENODEV') return undefined
      throw error
    }
  }

  /** The host's own addresses, with the blocks that they are of. */
  addresses(): UsedBlock[] {
    return addressesBy(this.route)
  }

  /** Blocks of addresses that the host has or has a way to, default routes aside, wherever bridges are. */
  usedBlocks(): UsedBlock[] {
    const route = (this.#outside ??= NetlinkSocket.open('route'))
    return [...addressesBy(route), ...route.dump(getRoutes(), 'list the routes of the host').map(parseRoute)].filter(
      (block) => block !== undefined,
    )
  }

  /** Do what may have been done already. @returns false where the kernel says EEXIST. */
  unlessThere(request: Request, what: string): boolean {
    try {
      this.route.request(request, what)
      return true
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'EEXIST') return false
      throw error
    }
  }

  /** {@link NetworkSpace.readSysctl} */
  readSysctl(path: string): string | undefined {
    return this.space.readSysctl(path)
  }

  /** {@link NetworkSpace.writeSysctl} */
  writeSysctl(path: string, value: string): void {
    this.space.writeSysctl(path, value)
  }

  /** Does the kernel speak IPv6? It may be built without, or started with `ipv6.disable=1`. */
  hasIPv6(): boolean {
    return this.readSysctl('net/ipv6/conf/all/forwarding') !== undefined
  }

  /** What decides how links of containers are made. */
  traits(): { six: boolean; hairpin: boolean } {
    const filtered = ['iptables', 'ip6tables'].some(
      (name) => this.readSysctl(`net/bridge/bridge-nf-call-${name}`) === '1',
    )
    return { six: this.hasIPv6(), hairpin: filtered }
  }

  /** Run `work` while no other process does so in this network namespace, whichever root it works on. */
  async exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    return await this.space.exclusively(work)
  }

  close(): void {
    this.#route?.close()
    this.#netfilter?.close()
    this.#outside?.close()
    this.space.close()
  }
}

function addressesBy(route: NetlinkSocket): UsedBlock[] {
  return route
    .dump(getAddresses(), 'list the addresses of the host')
    .map(parseAddress)
    .filter((address) => address !== undefined)
}
