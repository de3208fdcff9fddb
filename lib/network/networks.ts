import type { TellEvent } from '../event/event.js'
import { networkEvent } from './network-event.js'
import { PodlingError } from '../errors.js'
import { afterUndo } from '../teardown.js'
import type { Database } from '../storage/database.js'
import { attach } from './attach.js'
import type { Attachment, AttachRequest, EndpointOptions, NetworkStatus } from './attachment.js'
import { removeBridge } from './bridge.js'
import { CniNetworks } from './cni/networks.js'
import { parseCniOptions, type CniNetworkOptions } from './cni/options.js'
import { Connector, type Wanted } from './connector.js'
import type { ContainerAccess } from './container-access.js'
import { Firewall } from './firewall.js'
import { gatewayOfNetworks } from './host-gateway.js'
import { HostNetwork } from './host-network.js'
import { parseNetworkOptions, type NetworkOptions } from './network-options.js'
import { defaultNetwork, networkOf, rulesOf, type Network, type NetworkRecord } from './network-record.js'
import type { NetworkSpace } from './network-space.js'
import { NetworkStore } from './network-store.js'
import { Names } from './names.js'
import { forwardsOf } from './claim.js'
import { Claims } from './claims.js'
import { Naming } from './naming.js'
import { Presence } from './presence.js'

export interface NetworksSetup {
  readonly database: Database
  /** The name of this root among those of the host: that of its firewall table. */
  readonly instance: string
  /** A file of the run directory, by which a process knows whether it is the last one on this root. */
  readonly lockFile: string
  /** A directory of the run directory, for the names of containers. */
  readonly namesDirectory: string
  /** Where bridges are. */
  readonly space: NetworkSpace
  /** A directory of the root, for what CNI plugins must be told once a container is gone. */
  readonly cniDirectory: string
  readonly tell: TellEvent
}

export interface RemoveNetworkOptions {
  /** Disconnect running containers first. @default false */
  readonly force?: boolean
}

/** The networks of a root. */
export class Networks {
  readonly #host: HostNetwork
  readonly #store: NetworkStore
  readonly #firewall: Firewall
  readonly #claims: Claims
  readonly #connector: Connector
  readonly #cni: CniNetworks
  readonly #presence: Presence
  readonly #tell: TellEvent
  /** @internal The names of containers. */
  readonly naming: Naming
  #containers: ContainerAccess | undefined

  /** @internal Use {@link Runtime.networks}. */
  constructor({ database, instance, lockFile, namesDirectory, space, cniDirectory, tell }: NetworksSetup) {
    this.#tell = tell
    this.#host = new HostNetwork(space)
    this.#store = new NetworkStore(database, this.#host, instance)
    this.#firewall = new Firewall(this.#host, instance, () =>
      this.#store
        .all()
        .filter(({ driver }) => driver === 'bridge')
        .map(rulesOf),
    )
    this.#claims = new Claims(this.#host, this.#firewall, this.#store)
    this.#connector = new Connector(this.#host, this.#firewall, this.#store)
    this.#cni = new CniNetworks(this.#host, cniDirectory, (operations) => this.#access().standIn(operations))
    this.#presence = new Presence(lockFile)
    const names = new Names({
      directory: namesDirectory,
      space,
      redirect: (network, places) => {
        this.#firewall.redirectNames(network, places)
      },
    })
    this.naming = new Naming(names, this.#host, (name) => this.#store.find(name))
  }

  /** @internal Containers come after networks; the runtime makes them known here. */
  useContainers(containers: ContainerAccess): void {
    this.#containers = containers
  }

  /**
   * Make a network. Its bridge comes into being with the first container on it. With `cni` it is one of CNI plugins, which
   * run when a container comes or goes.
   * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `NETWORK_EXISTS`, `SUBNET_OVERLAPS`, `SUBNET_EXHAUSTED`;
   * `PERMISSION_DENIED` for what an ordinary user can't have: macvlan, and CNI plugins
   */
  async create(options: NetworkOptions | CniNetworkOptions): Promise<Network> {
    const record = isCni(options)
      ? await this.#store.createCni(this.#allowed(await parseCniOptions(options)))
      : await this.#store.create(this.#allowed(parseNetworkOptions(options)))
    this.#tell(networkEvent(record, 'create'))
    return networkOf(record)
  }

  #allowed<T extends { readonly name: string; readonly driver?: string }>(options: T): T {
    const { limits } = this.#host.space
    if (limits === undefined || options.driver === 'bridge') return options
    throw new PodlingError('PERMISSION_DENIED', `create network ${options.name}: ${limits}`)
  }

  /** One network by name, id or at least 12 digits of the id. @throws PodlingError `NETWORK_NOT_FOUND` */
  async get(name: string): Promise<Network> {
    return networkOf(await this.#store.get(name))
  }

  /** All networks, the default one among them, oldest first. */
  async list(): Promise<Network[]> {
    await this.#store.default()
    return this.#store
      .all()
      .sort((a, b) => a.createdAt - b.createdAt)
      .map(networkOf)
  }

  /**
   * Remove a network and its bridge.
   * @throws PodlingError `NETWORK_NOT_FOUND`; `NETWORK_IN_USE` while containers are made for it or, unless `force` is given, connected to it
   */
  async remove(name: string, { force = false }: RemoveNetworkOptions = {}): Promise<void> {
    const record = await this.#store.get(name)
    if (record.name === defaultNetwork) {
      throw new PodlingError('INVALID_OPTION', `remove network ${defaultNetwork}: it is the default network`)
    }
    await this.#host.space.find()
    if (!force) await this.#assertUnused(record)
    else await this.#disconnectAll(record)
    await this.#host.exclusively(async () => {
      if (!force) await this.#assertUnused(record)
      this.#removeLink(record)
      await this.#store.remove(record.name)
    })
    this.#tell(networkEvent(record, 'remove'))
    await this.naming.remove(record)
    this.#firewall.forgetNames(record.id)
  }

  /** The link of the host that was made for a network. */
  #removeLink(record: NetworkRecord): void {
    if (!this.#host.space.isThere) return
    if (record.driver === 'bridge') removeBridge(this.#host, this.#firewall, record)
    else if (record.driver === 'cni') this.#cni.removeLink(record)
  }

  async #assertUnused(record: NetworkRecord): Promise<void> {
    const users = this.#containers?.usersOf(record.name) ?? []
    const connected = (await this.#connected(record)).map((id) => id.slice(0, 12))
    const all = users.length > 0 ? users : connected
    if (all.length === 0) return
    throw new PodlingError(
      'NETWORK_IN_USE',
      `remove network ${record.name}: container ${all.slice(0, 5).join(', ')}${all.length > 5 ? ` and ${String(all.length - 5)} more` : ''} ${all.length === 1 ? 'uses' : 'use'} it; remove the containers first, or use force`,
    )
  }

  async #disconnectAll(record: NetworkRecord): Promise<void> {
    for (const id of await this.#connected(record)) {
      await this.disconnect(record.name, id).catch((error: unknown) => {
        // It ended meanwhile, or is on another network of that address by now.
        const gone = error instanceof PodlingError && ['CONTAINER_NOT_FOUND', 'INVALID_STATE'].includes(error.code)
        if (!gone) throw error
      })
    }
  }

  /** The ids of containers that have an address of a network. */
  async #connected(record: NetworkRecord): Promise<string[]> {
    return record.driver === 'cni' ? await this.#cni.connected(record) : this.#claims.connected(record)
  }

  /**
   * Put a running container on a further network, as eth1 and so on.
   * @throws PodlingError `NETWORK_NOT_FOUND`, `CONTAINER_NOT_FOUND`, `INVALID_STATE`, `ADDRESS_IN_USE`, `SUBNET_EXHAUSTED` ...
   */
  async connect(network: string, container: string, options: EndpointOptions = {}): Promise<void> {
    const record = await this.#store.get(network)
    await this.#presence.enter()
    await this.#host.space.enter(!record.internal)
    await this.#access().withRunning(container, async (running) => {
      if (!running.ownNetwork) {
        throw new PodlingError(
          'INVALID_STATE',
          `connect container ${running.name} to network ${network}: it has no network namespace of its own`,
        )
      }
      if (!this.#host.space.isKeptBy(running.monitorPid)) {
        throw new PodlingError(
          'INVALID_STATE',
          `connect container ${running.name} to network ${network}: it was started without one, and an ordinary user's networks last as long as the containers that were; start it on a network`,
        )
      }
      await this.#by(record).connect(running, record, options)
      this.#tell(networkEvent(record, 'connect', running.id))
      const { id, name, dns, monitorPid, status } = running
      await this.naming.publish({ id, name, dns, pid: monitorPid }, status.endpoints)
    })
  }

  /**
   * Take a running container off a network.
   * @throws PodlingError `NETWORK_NOT_FOUND`, `CONTAINER_NOT_FOUND`, `INVALID_STATE`
   */
  async disconnect(network: string, container: string): Promise<void> {
    const record = await this.#store.get(network)
    await this.#host.space.enter(false)
    await this.#access().withRunning(container, async (running) => {
      await this.#by(record).disconnect(running, record)
      this.#tell(networkEvent(record, 'disconnect', running.id))
      this.naming.withdraw(running.id, record)
    })
  }

  /**
   * Ask the plugins of a CNI network whether all of a running container is as they made it (CHECK). Configurations before
   * 0.4.0 have no such question, and pass.
   * @throws CniError with what is wrong; PodlingError `NETWORK_NOT_FOUND`, `CONTAINER_NOT_FOUND`, `INVALID_STATE`; `INVALID_OPTION`
   * for other networks
   */
  async check(network: string, container: string): Promise<void> {
    const record = await this.#store.get(network)
    if (record.driver !== 'cni') {
      throw new PodlingError('INVALID_OPTION', `check network ${network}: it is not one of CNI plugins`)
    }
    await this.#access().withRunning(container, (running) => this.#cni.check(running, record))
  }

  #by({ driver }: NetworkRecord): Connector | CniNetworks {
    return driver === 'cni' ? this.#cni : this.#connector
  }

  #access(): ContainerAccess {
    if (this.#containers === undefined) throw new RangeError('networks know no containers')
    return this.#containers
  }

  /**
   * @internal Get addresses and ports for a container that is about to start.
   * @throws PodlingError `NETWORK_NOT_FOUND`, `PORT_IN_USE`, `ADDRESS_IN_USE`, `SUBNET_EXHAUSTED`, `SUBNET_OVERLAPS`,
   * `KERNEL_UNSUPPORTED`, `INVALID_OPTION`; nothing is left then
   */
  async attach(request: AttachRequest): Promise<Attachment> {
    const networks: Wanted[] = []
    const seen = new Set<string>()
    for (const [slot, options] of request.networks.entries()) {
      const record = await this.#store.get(options.name)
      if (seen.has(record.id)) throw new PodlingError('INVALID_OPTION', `network: ${record.name} is given twice`)
      seen.add(record.id)
      networks.push({ record, options, slot })
    }
    const { limits } = this.#host.space
    if (limits !== undefined && request.ports.some(({ protocol }) => protocol === 'sctp')) {
      throw new PodlingError('INVALID_OPTION', `publish SCTP ports: ${limits}`)
    }
    const byPlugins = networks.filter(({ record }) => record.driver === 'cni').length
    await this.#presence.enter()
    await this.#host.space.enter(networks.some(({ record }) => !record.internal))
    if (byPlugins < networks.length) this.#firewall.assertPossible()
    if (byPlugins < networks.length) await this.#claims.restore(this.#access())
    return await this.#passed(request, await attach({ connector: this.#connector, cni: this.#cni }, request, networks))
  }

  /** @internal Where a container that has this finds services of the host; undefined: nowhere. */
  async hostGateway({ endpoints }: NetworkStatus): Promise<string | undefined> {
    return await gatewayOfNetworks(endpoints, this.#host.space, (name) => this.#store.find(name))
  }

  /** Where bridges are elsewhere, sockets of the host hold the ports all the same, and what comes to them is sent on. */
  async #passed({ container }: AttachRequest, attachment: Attachment): Promise<Attachment> {
    const { launch, status, held } = attachment
    try {
      const pass = this.#host.space.pass(forwardsOf(status, held, (name) => this.#store.find(name)))
      return pass === undefined
        ? attachment
        : { ...attachment, held: pass.held, launch: { ...launch, space: pass.path } }
    } catch (error) {
      throw await afterUndo(error, () => this.release(container))
    }
  }

  /**
   * @internal Take the links of a pod away whose holder has ended, while its containers are in its network namespace still:
   * its addresses may be another's soon.
   */
  unlink(container: string, slots: readonly number[]): void {
    if (!this.#host.space.isThere) return
    for (const slot of slots) this.#connector.removeHostLink(container, slot)
  }

  /**
   * @internal Give back what a container has that its monitor did not: after a failed start, after connect(), or when its
   * monitor died. To be called when it is certain that it doesn't run.
   */
  async release(container: string): Promise<void> {
    this.naming.withdraw(container)
    if (!(await this.#host.space.find())) return
    await this.#claims.release(container)
  }

  /**
   * @internal Run DEL for all that a container has on CNI networks, of which its monitor knows nothing.
   * @throws CniError, or `TEARDOWN_FAILED` for several; it is tried again by the next call, or the next open
   */
  async leavePlugins(container: string): Promise<void> {
    await this.#cni.release(container, this.#store.all())
  }

  /**
   * @internal Give back what containers had that are no more, and when nothing is left, the bridges and the firewall.
   * @returns what CNI plugins failed at, which must not keep a root from being opened
   */
  async recover(): Promise<unknown[]> {
    const records = this.#store.all()
    const lives = (id: string): Promise<boolean> => this.#access().lives(id)
    const failures = await this.#cni.recover(records, lives)
    // Containers are on networks that the database knows.
    if (records.length === 0) return failures
    await this.naming.sweep(lives)
    if (!(await this.#host.space.find())) return failures
    await this.#claims.releaseDead(lives)
    await this.#removeIfUnused()
    return failures
  }

  /** @internal How many addresses and ports containers of this root have. */
  claimCount(): number {
    return this.#claims.count()
  }

  /** Leave no link, rule or table behind when this is the last process on the root and no container has an address. */
  async #removeIfUnused(): Promise<void> {
    await this.#presence.whenNobody(() =>
      this.#host.exclusively(async () => {
        if (!this.#host.space.isThere) return
        if (this.#claims.count() > 0 || (await this.#cni.inUse())) return
        for (const record of this.#store.all()) this.#removeLink(record)
        this.#firewall.removeTable()
      }),
    )
  }

  /** @internal */
  async close(): Promise<void> {
    try {
      await this.naming.close()
      await this.#cni.close()
      const entered = this.#presence.entered
      this.#presence.leave()
      if (entered) await this.#removeIfUnused()
    } finally {
      this.#presence.leave()
      this.#host.close()
    }
  }
}

function isCni(options: NetworkOptions | CniNetworkOptions): options is CniNetworkOptions {
  return typeof options === 'object' && (options as unknown) !== null && 'cni' in options
}
