/** The firewall table of a runtime in the kernel: what firewall-table.ts describes, made and kept. */
import { parseAddress } from './address.js'
import {
  bridgeElements,
  namesElements,
  namesPort,
  sets,
  tableRequests,
  type BridgeRules,
  type SetName,
} from './firewall-table.js'
import type { HostNetwork } from './host-network.js'
import { firewallObstacle } from './host-support.js'
import {
  batch,
  deleteElement,
  deleteTable,
  getElements,
  getTable,
  newElement,
  parseElements,
  type Element,
  type TableName,
} from './netlink/nftables.js'
import { encode, flags, type Request } from './netlink/message.js'
import { NetlinkError } from './netlink/socket.js'
import type { AskedAt } from './names.js'

/** One element of one of the table's sets. */
export interface Entry {
  readonly set: SetName
  readonly element: Element
}

/** An element that can't be put in, as one with its key is there. */
export class EntryTaken extends Error {
  readonly entry: Entry

  constructor(entry: Entry) {
    super(`an element of ${entry.set} is taken`)
    this.entry = entry
  }
}

export class Firewall {
  readonly #host: HostNetwork
  readonly #table: TableName
  readonly #bridges: () => readonly BridgeRules[]

  /** @param bridges all that there are, for when the table has to be made (anew, after `nft flush ruleset`). */
  constructor(host: HostNetwork, tableName: string, bridges: () => readonly BridgeRules[]) {
    this.#host = host
    this.#table = { family: 'inet', name: tableName }
    this.#bridges = bridges
  }

  /** Of networks whose names this process knows to be answered for at other ports than 53. */
  readonly #names = new Map<string, readonly Entry[]>()
  #possible = false

  /** Can this host have such a table at all? Once it could, it can. */
  #obstacle(): Error | undefined {
    if (this.#possible) return undefined
    const obstacle = firewallObstacle(this.#host)
    this.#possible = obstacle === undefined
    return obstacle
  }

  /** Is there anything that could be taken out? */
  get possible(): boolean {
    return this.#host.space.isThere && this.#obstacle() === undefined
  }

  /** @throws PodlingError `KERNEL_UNSUPPORTED`, `PERMISSION_DENIED` with what helps, where the host can't have such a table */
  assertPossible(): void {
    const obstacle = this.#obstacle()
    if (obstacle !== undefined) throw obstacle
  }

  /** Let the rules know of a bridge. */
  addBridge(bridge: BridgeRules): void {
    this.#put(bridgeElements(bridge), false, `add the bridge ${bridge.interface} to the firewall`)
  }

  /** Questions for names go to these ports; to 53 those of addresses that have that. */
  redirectNames(network: string, places: readonly AskedAt[]): void {
    const entriesAt = ({ address, port }: AskedAt): Entry[] => {
      const parsed = parseAddress(address)
      return parsed === undefined ? [] : namesElements(parsed.family, parsed.address, port)
    }
    this.removeEach(places.filter(({ port }) => port === namesPort).flatMap(entriesAt))
    const moved = places.filter(({ port }) => port !== namesPort).flatMap(entriesAt)
    this.#names.set(network, moved)
    if (moved.length === 0) return
    this.assertPossible()
    const what = 'lead questions for names past port 53'
    try {
      this.#put(moved, false, what)
    } catch (error) {
      // A responder that was made again has another port than the one before.
      if (!(error instanceof NetlinkError) || !['EBUSY', 'EEXIST'].includes(error.errno ?? '')) throw error
      this.removeEach(moved)
      this.#put(moved, false, what)
    }
  }

  forgetNames(network: string): void {
    this.removeEach(this.#names.get(network) ?? [])
    this.#names.delete(network)
  }

  removeBridge(bridge: BridgeRules): void {
    for (const entry of bridgeElements(bridge)) this.removeEach([entry])
  }

  /**
   * Put elements in that nobody else may have: all, or none.
   * @throws EntryTaken for the first that somebody has.
   */
  claim(entries: readonly Entry[]): void {
    if (entries.length > 0) this.#put(entries, true, 'claim addresses and ports in the firewall')
  }

  #put(entries: readonly Entry[], exclusive: boolean, what: string): void {
    const requests = batch(entries.map(({ set, element }) => newElement(this.#table, set, element, exclusive)))
    for (let tries = 0; ; tries++) {
      try {
        this.#host.netfilter.batch(requests, what)
        return
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error
        const entry = entries[error.index - 1]
        if (exclusive && error.errno === 'EEXIST' && entry !== undefined) throw new EntryTaken(entry)
        if (error.errno !== 'ENOENT' || tries > 0) throw error
        this.#make()
      }
    }
  }

  /** Is the table there? It goes with `nft flush ruleset`, with which firewalls are often loaded anew. */
  isMade(): boolean {
    try {
      this.#host.netfilter.request(getTable(this.#table), `look for the firewall table ${this.#table.name}`)
      return true
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'ENOENT') return false
      throw error
    }
  }

  /** Make the table with all that it had. */
  restore(claims: readonly Entry[]): void {
    this.#make(claims)
  }

  /** The table, unless another process is faster. */
  #make(claims: readonly Entry[] = []): void {
    const bridges = [
      ...this.#bridges().flatMap((bridge) => bridgeElements(bridge)),
      ...[...this.#names.values()].flat(),
    ]
    const requests = [
      ...tableRequests(this.#table),
      ...[...bridges, ...claims].map(({ set, element }) => newElement(this.#table, set, element, false)),
    ]
    try {
      this.#host.netfilter.batch(batch(requests), `make the firewall table ${this.#table.name}`)
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== 'EEXIST') throw error
    }
  }

  /** Take elements out, whichever of them are there. */
  removeEach(entries: readonly Entry[]): void {
    if (entries.length === 0 || !this.possible) return
    for (const { set, element } of entries) {
      try {
        this.#host.netfilter.batch(batch([deleteElement(this.#table, set, element.key)]), `remove an element of ${set}`)
      } catch (error) {
        if (!(error instanceof NetlinkError) || error.errno !== 'ENOENT') throw error
      }
    }
  }

  /** The bytes that take elements out, for whoever survives this process: all of them, or none. */
  removal(entries: readonly Entry[]): Buffer {
    const requests = batch(entries.map(({ set, element }) => deleteElement(this.#table, set, element.key)))
    const last = requests.length - 2
    return Buffer.concat(
      requests.map((request: Request, index) =>
        encode({ ...request, flags: request.flags | flags.request | (index === last ? flags.ack : 0) }, index + 1),
      ),
    )
  }

  /** What is in these sets; nothing where there is no table. */
  entries(...names: readonly SetName[]): Entry[] {
    if (!this.possible) return []
    return names.flatMap((set) => {
      try {
        return this.#host.netfilter
          .dump(getElements(this.#table, set), `list ${set} of the firewall`)
          .flatMap((message) => parseElements(message))
          .map((element) => ({ set, element }))
      } catch (error) {
        if (error instanceof NetlinkError && error.errno === 'ENOENT') return []
        throw error
      }
    })
  }

  /** Addresses and published ports, each with the container in its comment. */
  claims(): Entry[] {
    const { leases4, leases6, ports4, ports6, bound4, bound6 } = sets
    return this.entries(...[leases4, leases6, ports4, ports6, bound4, bound6].map(({ name }) => name))
  }

  removeTable(): void {
    if (!this.possible) return
    try {
      this.#host.netfilter.batch(batch([deleteTable(this.#table)]), `remove the firewall table ${this.#table.name}`)
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== 'ENOENT') throw error
    }
  }
}
