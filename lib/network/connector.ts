/** Containers and networks brought together: at a start, while they run, and apart again. */
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { formatAddress, macFor, parseMac, type Family } from './address.js'
import { AddressPool } from './address-pool.js'
import type { AttachRequest, Attachment, Endpoint, EndpointOptions, NetworkOperation } from './attachment.js'
import { findBridge, makeBridge } from './bridge.js'
import { claim, type Claimed, type Place } from './claim.js'
import type { RunningContainer } from './container-access.js'
import { letDockerForward } from './docker-rules.js'
import {
  configureLink,
  createLink,
  defaultRoutes,
  freeSlot,
  hostLinkName,
  laterLinks,
  linkName,
  prefixFor,
  removeContainerLink,
  removeHostLink,
  slotOf,
  type EndpointLink,
} from './endpoint-messages.js'
import type { Firewall } from './firewall.js'
import { assertSctp, flowRemoval, forgetFlowsAt, lingers } from './flows.js'
import type { HostNetwork } from './host-network.js'
import { deleteLink } from './netlink/links.js'
import { NetlinkError } from './netlink/socket.js'
import { addressOf, cidrOf, type NetworkRecord } from './network-record.js'
import type { NetworkStore } from './network-store.js'

/** One network that a container is to be on. */
export interface Wanted {
  readonly record: NetworkRecord
  readonly options: EndpointOptions
  /** Of its link: 0 is eth0. */
  readonly slot: number
}

interface Prepared {
  readonly place: Place
  /** The index of the host's link: the bridge, or the parent of macvlan. */
  readonly hostLink: number
  readonly slot: number
}

/** One network with what a container gets on it. */
interface Joined {
  readonly place: Place
  readonly link: EndpointLink
  /** The index of the host's link: the bridge, or the parent of macvlan. */
  readonly hostLink: number
}

export class Connector {
  readonly #host: HostNetwork
  readonly #firewall: Firewall
  readonly #store: NetworkStore
  readonly #pools = new Map<string, { subnets: string; pools: AddressPool[] }>()

  constructor(host: HostNetwork, firewall: Firewall, store: NetworkStore) {
    this.#host = host
    this.#firewall = firewall
    this.#store = store
  }

  /** All that the host does for a container that is about to start; see {@link Attachment} for the rest. */
  async attach({ container, ports }: AttachRequest, networks: readonly Wanted[]): Promise<Attachment> {
    const prepared = []
    for (const wanted of networks) prepared.push(await this.#prepare(wanted))
    const places = prepared.map(({ place }) => place)
    if (ports.some(({ protocol }) => protocol === 'sctp')) assertSctp(this.#host)
    const claimed = claim(this.#firewall, container, places, ports)
    try {
      const joined = this.#join(prepared, claimed, new Set())
      const traits = this.#host.traits()
      const lingering = claimed.ports.filter(({ protocol }) => lingers(protocol))
      if (lingering.length > 0) forgetFlowsAt(this.#host, lingering)
      return {
        status: { endpoints: joined.map(endpointOf), ports: claimed.ports },
        launch: {
          links: joined.flatMap(({ place, link, hostLink }) =>
            createLink(place.record, hostLink, container, link, traits),
          ),
          operations: [
            ...(traits.six ? [laterLinks] : []),
            ...joined.flatMap(({ place, link }) => configureLink(place.record, link, traits.six)),
          ],
          teardown: [
            ...(claimed.entries.length === 0 ? [] : [this.#firewall.removal(claimed.entries)]),
            ...(lingering.length === 0 ? [] : flowRemoval(claimed.addresses.flat())),
          ],
          unlinks: joined.flatMap(({ place, link }) =>
            place.record.driver === 'bridge' ? [removeHostLink(container, link.slot)] : [],
          ),
        },
        held: claimed.held,
      }
    } catch (error) {
      this.#giveBack(claimed)
      throw error
    }
  }

  /** Put a running container on a further network. */
  async connect(container: RunningContainer, given: NetworkRecord, options: EndpointOptions): Promise<void> {
    const what = `connect container ${container.name} to network ${given.name}`
    const { endpoints } = container.status
    if (endpoints.some(({ network }) => network === given.name)) {
      throw new PodlingError('INVALID_STATE', `${what}: it is connected already`)
    }
    const slot = freeSlot(endpoints)
    const prepared = await this.#prepare({ record: given, options, slot })
    const claimed = claim(this.#firewall, container.id, [prepared.place], [])
    let made = false
    try {
      const [joined] = this.#join([prepared], claimed, routedFamilies(endpoints, this.#store))
      if (joined === undefined) throw new PodlingError('NETWORK_FAILED', what)
      const traits = this.#host.traits()
      // Of a host that was killed before it had said that the container is connected.
      if (given.driver === 'bridge') await this.#unlink(container, joined.place.record, slot)
      for (const { message, pidAt } of createLink(
        joined.place.record,
        joined.hostLink,
        container.id,
        joined.link,
        traits,
      )) {
        if (pidAt !== undefined) message.writeUInt32LE(container.pid, pidAt)
        this.#host.route.send(message, what)
        made = true
      }
      // What runs already has its /proc/sys read-only; later links have what `laterLinks` has set at the start.
      const operations = configureLink(joined.place.record, joined.link, traits.six)
      await container.enter(operations.filter(({ op }) => op === 'netlink'))
      await container.changed({ ...container.status, endpoints: [...endpoints, endpointOf(joined)] })
    } catch (error) {
      if (made) await this.#unlink(container, prepared.place.record, slot).catch(() => undefined)
      this.#giveBack(claimed)
      throw error
    }
  }

  /** Take a running container off a network. Its address stays its own until it ends: others may still have it in mind. */
  async disconnect(container: RunningContainer, record: NetworkRecord): Promise<void> {
    const what = `disconnect container ${container.name} from network ${record.name}`
    const { endpoints } = container.status
    const endpoint = endpoints.find(({ network }) => network === record.name)
    if (endpoint === undefined) throw new PodlingError('INVALID_STATE', `${what}: it is not connected`)
    await this.#unlink(container, record, slotOf(endpoint))
    const rest = endpoints.filter((other) => other !== endpoint)
    await container.enter(this.#routesThrough(rest, endpoint))
    await container.changed({ ...container.status, endpoints: rest })
  }

  async #unlink(container: RunningContainer, record: NetworkRecord, slot: number): Promise<void> {
    if (record.driver === 'macvlan') await container.enter([removeContainerLink(slot)])
    else this.removeHostLink(container.id, slot)
  }

  /** The host's end of a link, if there is one. */
  removeHostLink(container: string, slot: number): void {
    const name = hostLinkName(container, slot)
    try {
      this.#host.route.request(deleteLink({ name }), `remove the link ${name}`)
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== 'ENODEV') throw error
    }
  }

  /** Default routes that went with a link go through another one, if there is one with a way out. */
  #routesThrough(endpoints: readonly Endpoint[], gone: Endpoint): NetworkOperation[] {
    return familiesOf(gone.gateways).flatMap((family) => {
      const next = endpoints.find(({ network, gateways }) => {
        const record = this.#store.find(network)
        // What plugins made, they alone change.
        return (
          record !== undefined && record.driver !== 'cni' && !record.internal && familiesOf(gateways).includes(family)
        )
      })
      const record = next === undefined ? undefined : this.#store.find(next.network)
      return next === undefined || record === undefined ? [] : [defaultRoutes(record, slotOf(next), [family])]
    })
  }

  #giveBack({ entries, held }: Claimed): void {
    this.#firewall.removeEach(entries)
    for (const fd of held) close(fd)
  }

  async #prepare({ record: given, options, slot }: Wanted): Promise<Prepared> {
    if (options.mac !== undefined && parseMac(options.mac) === undefined) {
      throw new PodlingError(
        'INVALID_OPTION',
        `mac: must be a MAC address of one link, such as 02:00:00:00:00:01, got ${options.mac}`,
      )
    }
    const { record, hostLink } = await this.#hostLink(given)
    return { place: { record, pools: this.#poolsOf(record), options }, hostLink, slot }
  }

  async #hostLink(record: NetworkRecord): Promise<{ record: NetworkRecord; hostLink: number }> {
    if (record.driver === 'macvlan') {
      const parent = this.#host.link(record.interface)
      if (parent !== undefined) return { record, hostLink: parent.index }
      throw new PodlingError('NETWORK_FAILED', `use network ${record.name}: the host has no link ${record.interface}`)
    }
    const found = findBridge(this.#host, record)
    if (found === undefined || !this.#made.has(record.id)) return await this.#makeBridge(record)
    letDockerForward(this.#host, record.interface)
    return { record, hostLink: found }
  }

  /** Networks whose bridges this process has seen complete. */
  readonly #made = new Set<string>()

  async #makeBridge(given: NetworkRecord): Promise<{ record: NetworkRecord; hostLink: number }> {
    return await this.#host.exclusively(async () => {
      let record = this.#store.find(given.name) ?? given
      let hostLink: number
      try {
        hostLink = makeBridge(this.#host, this.#firewall, record)
      } catch (error) {
        if (!record.picked || !(error instanceof PodlingError) || error.code !== 'SUBNET_OVERLAPS') throw error
        record = await this.#store.pickAgain(record)
        hostLink = makeBridge(this.#host, this.#firewall, record)
      }
      this.#made.add(record.id)
      return { record, hostLink }
    })
  }

  #poolsOf(record: NetworkRecord): AddressPool[] {
    const subnets = JSON.stringify(record.subnets)
    const known = this.#pools.get(record.id)
    if (known?.subnets === subnets) return known.pools
    const hosts = record.driver === 'macvlan' ? this.#host.addresses().map(({ address }) => address) : []
    const pools = record.subnets.map((subnet) => new AddressPool(subnet, hosts))
    this.#pools.set(record.id, { subnets, pools })
    return pools
  }

  /** @param routed families that have a default route already */
  #join(prepared: readonly Prepared[], claimed: Claimed, routed: ReadonlySet<Family>): Joined[] {
    const done = new Set(routed)
    return prepared.map(({ place, hostLink, slot }, index) => {
      const { record, options } = place
      const addresses = claimed.addresses[index] ?? []
      const [first] = addresses
      if (first === undefined) throw new RangeError(`network ${record.name} gives no address`)
      const families = record.internal ? [] : familiesOf(gatewaysOf(record)).filter((family) => !done.has(family))
      for (const family of families) done.add(family)
      const mac = options.mac === undefined ? macFor(first) : (parseMac(options.mac) ?? macFor(first))
      return { place, hostLink, link: { slot, mac, addresses, defaultRoutes: families } }
    })
  }
}

function endpointOf({ place: { record, options }, link }: Joined): Endpoint {
  return {
    network: record.name,
    interface: linkName(link.slot),
    mac: link.mac,
    addresses: link.addresses.map((address) => `${formatAddress(address)}/${String(prefixFor(record, address))}`),
    gateways: gatewaysOf(record),
    aliases: options.aliases ?? [],
  }
}

function gatewaysOf({ subnets }: NetworkRecord): string[] {
  return subnets.flatMap(({ gateway }) => gateway ?? [])
}

function familiesOf(addresses: readonly string[]): Family[] {
  return [...new Set(addresses.map((text) => (addressOf(text).length === 4 ? 4 : 6)))]
}

function routedFamilies(endpoints: readonly Endpoint[], store: NetworkStore): Set<Family> {
  return new Set(
    endpoints.flatMap(({ network, gateways, defaultRoutes: families }) =>
      store.find(network)?.internal ? [] : (families ?? familiesOf(gateways)),
    ),
  )
}

/** The blocks of a network, to tell which leases are of it. */
export function blocksOf(record: NetworkRecord): ReturnType<typeof cidrOf>[] {
  return record.subnets.map(({ subnet }) => cidrOf(subnet))
}
