/** Containers on networks of CNI plugins: at a start, while they run, and apart again. */
import { PodlingError } from '../../errors.js'
import { afterUndo, settleAll } from '../../teardown.js'
import type { AttachRequest, BoundPort, Endpoint, EndpointOptions } from '../attachment.js'
import type { Wanted } from '../connector.js'
import type { ContainerAccess, RunningContainer } from '../container-access.js'
import { freeSlot, linkName } from '../endpoint-messages.js'
import type { HostNetwork } from '../host-network.js'
import { takesPorts, type NetworkRecord } from '../network-record.js'
import { holdPorts, type Publication } from '../publication.js'
import { Cni } from './attach.js'
import { adoptLink, bridgeOf, removeMadeLink } from './bridge-link.js'
import { capabilitiesFor, reached } from './capabilities.js'
import type { CniRecord } from './cache.js'
import type { CniNetwork } from './config.js'
import { endpointFrom, unmet } from './endpoint.js'
import type { CniResult } from './result.js'

/** What a start has of its CNI networks before there is a process. */
export interface CniPreparation {
  /** Descriptors of sockets that hold the published ports. */
  readonly held: readonly number[]
  readonly attach: (netns: string) => Promise<{ endpoints: Endpoint[]; ports: readonly BoundPort[] }>
  /** Undo it. */
  readonly giveBack: () => void
}

export class CniNetworks {
  readonly #host: HostNetwork
  readonly #cni: Cni
  /** Containers whose start failed, and its undoing, too: whoever started them knows, and the next open tries it again. */
  readonly #told = new Set<string>()

  constructor(host: HostNetwork, cacheDirectory: string, standIn: ContainerAccess['standIn']) {
    this.#host = host
    this.#cni = new Cni({ cacheDirectory, standIn })
  }

  /**
   * All that can be known and held before there is a process: plugins, capabilities, ports.
   * @param ports to be published by the first of the networks that can
   * @throws CniError, PodlingError `INVALID_OPTION`, `PORT_IN_USE`
   */
  async prepare(
    { container, name, ports }: Pick<AttachRequest, 'container' | 'name' | 'ports'>,
    places: readonly Wanted[],
  ): Promise<CniPreparation> {
    const publisher = places.find(({ record }) => takesPorts(record))
    for (const { record } of places) {
      const what = `add container ${name} to network ${record.name}`
      await this.#cni.prepare(networkOf(record), what)
      await this.#cni.status(networkOf(record))
    }
    const publications = this.#hold(ports)
    return {
      held: publications.flatMap((publication) => publication.descriptors()),
      giveBack: () => {
        for (const publication of publications) publication.close()
      },
      attach: async (netns) => {
        this.#told.delete(container)
        const endpoints: Endpoint[] = []
        let bound: BoundPort[] = []
        const verify = (endpoint: Endpoint): void => {
          bound = reached(publications, endpoint)
        }
        try {
          for (const place of places) {
            const publishing = place === publisher
            const target = { container, name, netns, ports: publishing ? publications : [] }
            endpoints.push(await this.#attach(place, target, publishing ? verify : () => undefined))
          }
          return { endpoints, ports: bound }
        } catch (error) {
          // The one that failed has had its DEL; the error tells what came of that.
          const failure = await afterUndo(error, () => this.#detachEach(container, endpoints))
          if ((await this.#cni.records(container)).length > 0) this.#told.add(container)
          throw failure
        }
      },
    }
  }

  #hold(ports: AttachRequest['ports']): Publication[] {
    const families = this.#host.hasIPv6() ? ([4, 6] as const) : ([4] as const)
    const publications: Publication[] = []
    try {
      for (const request of ports) publications.push(holdPorts(request, families))
      return publications
    } catch (error) {
      for (const publication of publications) publication.close()
      throw error
    }
  }

  async #attach(
    { record, options, slot }: Wanted,
    target: { container: string; name: string; netns: string; ports: readonly Publication[] },
    verify: (endpoint: Endpoint) => void,
  ): Promise<Endpoint> {
    const network = networkOf(record)
    const ifname = linkName(slot)
    const endpointOf = (result: CniResult): Endpoint =>
      endpointFrom(result, { network: record.name, ifname, aliases: options.aliases ?? [] })
    const link = bridgeOf(network)
    const makesLink = link !== undefined && this.#host.link(link) === undefined ? link : undefined
    try {
      const result = await this.#cni.attach(
        network,
        {
          containerId: target.container,
          containerName: target.name,
          netns: target.netns,
          ifname,
          capabilities: capabilitiesFor(options, target.ports),
          ...(makesLink === undefined ? {} : { makesLink }),
        },
        (result) => {
          const endpoint = endpointOf(result)
          const why = unmet(endpoint, options)
          if (why !== undefined) {
            throw new PodlingError('INVALID_OPTION', `add container ${target.name} to network ${record.name}: ${why}`)
          }
          verify(endpoint)
        },
      )
      return endpointOf(result)
    } finally {
      if (makesLink !== undefined) adoptLink(this.#host, makesLink, record)
    }
  }

  /** Put a running container on a network. @throws CniError, PodlingError `INVALID_STATE`, `INVALID_OPTION` */
  async connect(container: RunningContainer, record: NetworkRecord, options: EndpointOptions): Promise<void> {
    const { endpoints } = container.status
    if (endpoints.some(({ network }) => network === record.name)) {
      throw new PodlingError(
        'INVALID_STATE',
        `connect container ${container.name} to network ${record.name}: it is connected already`,
      )
    }
    const target = { container: container.id, name: container.name, netns: namespaceOf(container), ports: [] }
    const place = { record, options, slot: freeSlot(endpoints) }
    const endpoint = await this.#attach(place, target, () => undefined)
    try {
      await container.changed({ ...container.status, endpoints: [...endpoints, endpoint] })
    } catch (error) {
      throw await afterUndo(error, () =>
        this.#cni.detach(container.id, { network: record.name, netns: namespaceOf(container) }),
      )
    }
  }

  /** Take a running container off a network. @throws CniError; it is on the network still. `INVALID_STATE` */
  async disconnect(container: RunningContainer, record: NetworkRecord): Promise<void> {
    const { endpoints, ports } = container.status
    if (!endpoints.some(({ network }) => network === record.name)) {
      throw new PodlingError(
        'INVALID_STATE',
        `disconnect container ${container.name} from network ${record.name}: it is not connected`,
      )
    }
    const [gone] = (await this.#cni.records(container.id)).filter(({ network }) => network.name === record.name)
    await this.#cni.detach(container.id, { network: record.name, netns: namespaceOf(container) })
    await container.changed({
      endpoints: endpoints.filter(({ network }) => network !== record.name),
      // They led here.
      ports: gone?.capabilities.portMappings === undefined ? ports : [],
    })
  }

  /** CHECK. @throws CniError, PodlingError `INVALID_STATE` */
  async check(container: RunningContainer, record: NetworkRecord): Promise<void> {
    const endpoint = container.status.endpoints.find(({ network }) => network === record.name)
    await this.#cni.check(container.id, record.name, {
      netns: namespaceOf(container),
      ...(endpoint === undefined ? {} : { ifname: endpoint.interface }),
    })
  }

  /** DEL for all that a container has. @throws CniError, or `TEARDOWN_FAILED` for several; they are tried again */
  async release(container: string, networks: readonly NetworkRecord[]): Promise<void> {
    if (this.#told.has(container)) return
    this.#adoptLinks(await this.#cni.records(container), networks)
    await this.#cni.detach(container)
  }

  /** What a host that was killed within an ADD could not: the links that plugins made for it, before a DEL forgets them. */
  #adoptLinks(made: readonly CniRecord[], networks: readonly NetworkRecord[]): void {
    for (const { network, makesLink } of made) {
      const record = networks.find(({ name, driver }) => name === network.name && driver === 'cni')
      if (makesLink !== undefined && record !== undefined) adoptLink(this.#host, makesLink, record)
    }
  }

  async #detachEach(container: string, endpoints: readonly Endpoint[]): Promise<void> {
    const steps: Promise<void>[] = []
    for (const { network } of endpoints.toReversed()) {
      const step = this.#cni.detach(container, { network })
      steps.push(step)
      await step.catch(() => undefined)
    }
    await settleAll('undo it', steps)
  }

  /** Remove the bridge that the plugins of a network made. */
  removeLink(record: NetworkRecord): void {
    removeMadeLink(this.#host, networkOf(record), record)
  }

  /** The ids of containers on a network. */
  async connected(record: NetworkRecord): Promise<string[]> {
    const records = (await this.#cni.records()).filter(({ network }) => network.name === record.name)
    return [...new Set(records.map(({ containerId }) => containerId))]
  }

  /** Has any container a place on any of them? */
  async inUse(): Promise<boolean> {
    return (await this.#cni.records()).length > 0
  }

  /**
   * DEL for containers that are no more, as they were killed together with their host.
   * @returns what failed; it is tried again by the next one
   */
  async recover(networks: readonly NetworkRecord[], lives: (id: string) => Promise<boolean>): Promise<unknown[]> {
    const ours = networks.filter(({ driver }) => driver === 'cni')
    this.#adoptLinks(await this.#cni.records(), ours)
    return await this.#cni.collect(ours.map(networkOf), lives)
  }

  async close(): Promise<void> {
    await this.#cni.close()
  }
}

function networkOf({ name, cni }: NetworkRecord): CniNetwork {
  if (cni === undefined) throw new RangeError(`network ${name} has no CNI configuration`)
  return cni
}

function namespaceOf({ pid }: RunningContainer): string {
  return `/proc/${String(pid)}/ns/net`
}
