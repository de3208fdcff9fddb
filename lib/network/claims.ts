/** What the containers of a root have claimed of the firewall's table, for as long as they run: addresses and ports. */
import { contains } from './address.js'
import { entriesOf } from './claim.js'
import { blocksOf } from './connector.js'
import type { ContainerAccess } from './container-access.js'
import type { Entry, Firewall } from './firewall.js'
import { forgetFlowsTo } from './flows.js'
import type { HostNetwork } from './host-network.js'
import type { NetworkRecord } from './network-record.js'
import type { NetworkStore } from './network-store.js'

export class Claims {
  readonly #host: HostNetwork
  readonly #firewall: Firewall
  readonly #store: NetworkStore

  constructor(host: HostNetwork, firewall: Firewall, store: NetworkStore) {
    this.#host = host
    this.#firewall = firewall
    this.#store = store
  }

  /** How many there are. */
  count(): number {
    return this.#firewall.claims().length
  }

  /** The ids of containers that have an address of a network. */
  connected(record: NetworkRecord): string[] {
    const blocks = blocksOf(record)
    const leases = this.#firewall.entries('leases4', 'leases6')
    const ours = leases.filter(({ element }) => blocks.some((block) => contains(block, element.key)))
    return [...new Set(ours.map(({ element }) => element.comment ?? ''))]
  }

  /** After `nft flush ruleset`: what running containers have is theirs all the same. */
  async restore(containers: Pick<ContainerAccess, 'running'>): Promise<void> {
    if (this.#firewall.isMade()) return
    await this.#host.exclusively(async () => {
      if (this.#firewall.isMade()) return
      const running = await containers.running()
      if (running.length === 0) return
      this.#firewall.restore(
        running.flatMap(({ id, status }) => entriesOf(id, status, (name) => this.#store.find(name))),
      )
    })
  }

  /** Give back what one container has. */
  async release(container: string): Promise<void> {
    await this.#host.exclusively(() => {
      this.#giveBack(this.#firewall.claims().filter(({ element }) => element.comment === container))
    })
  }

  /** Give back what those have that do not live. */
  async releaseDead(lives: (container: string) => Promise<boolean>): Promise<void> {
    await this.#host.exclusively(async () => {
      const claims = this.#firewall.claims()
      const ids = [...new Set(claims.map(({ element }) => element.comment ?? ''))]
      const dead = new Set<string>()
      for (const id of ids) if (!(await lives(id))) dead.add(id)
      this.#giveBack(claims.filter(({ element }) => dead.has(element.comment ?? '')))
    })
  }

  /** Also what was on its way to the addresses: somebody else may have them next. */
  #giveBack(entries: readonly Entry[]): void {
    this.#firewall.removeEach(entries)
    const leases = entries.filter(({ set }) => set === 'leases4' || set === 'leases6')
    forgetFlowsTo(
      this.#host,
      leases.map(({ element }) => element.key),
    )
  }
}
