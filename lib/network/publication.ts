/** Ports of the host for one port of a container: the sockets that hold them, and their elements in the firewall. */
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { formatAddress, parseAddress, type Family } from './address.js'
import type { BoundPort } from './attachment.js'
import type { Entry } from './firewall.js'
import { portElement, type SetName } from './firewall-table.js'
import { describePort, holdPort, type HeldPort } from './held-ports.js'
import type { PortRequest } from './ports.js'

/** A free port of one family may be taken in the other; somewhere both are free. */
const mostTries = 50
const sctpPorts = { first: 32768, count: 28000 } as const
const noAddress = Buffer.alloc(16)

/** Where one request is published: the host's address (undefined: all) for each family. */
interface Side {
  readonly family: Family
  readonly address: Buffer | undefined
}

/**
 * Hold a port of the host, on both families if the request is for both.
 * @param families of the container's addresses, in their order
 * @throws PodlingError `PORT_IN_USE`, `INVALID_OPTION`
 */
export function holdPorts(request: PortRequest, families: readonly Family[]): Publication {
  const sides = sidesOf(request, families)
  return new Publication(request, families, sides, holdSides(request, sides))
}

function sidesOf(request: PortRequest, families: readonly Family[]): Side[] {
  if (request.ip === undefined) return families.map((family) => ({ family, address: undefined }))
  const parsed = parseAddress(request.ip)
  const family = parsed?.family ?? 4
  if (parsed === undefined || !families.includes(family)) {
    throw new PodlingError(
      'INVALID_OPTION',
      `ports: ${request.ip}: the container has no IPv${String(family)} address that it could lead to`,
    )
  }
  return [{ family, address: parsed.address.equals(noAddress) ? undefined : parsed.address }]
}

function holdSides({ protocol, host }: PortRequest, sides: readonly Side[]): HeldPort[] {
  for (let tries = 0; ; tries++) {
    const held: HeldPort[] = []
    try {
      let port = host ?? (protocol === 'sctp' ? sctpPorts.first + Math.floor(Math.random() * sctpPorts.count) : 0)
      for (const side of sides) {
        const one = holdPort({ protocol, ...side, port })
        held.push(one)
        port = one.port
      }
      return held
    } catch (error) {
      closeAll(held)
      const again = host === undefined && error instanceof PodlingError && error.code === 'PORT_IN_USE'
      if (!again || tries === mostTries) throw error
    }
  }
}

function closeAll(held: readonly HeldPort[]): void {
  for (const { fd } of held) if (fd !== undefined) close(fd)
}

export class Publication {
  readonly #request: PortRequest
  readonly #families: readonly Family[]
  readonly #sides: readonly Side[]
  #held: readonly HeldPort[]

  /** @internal Use {@link holdPorts}. */
  constructor(request: PortRequest, families: readonly Family[], sides: readonly Side[], held: readonly HeldPort[]) {
    this.#request = request
    this.#families = families
    this.#sides = sides
    this.#held = held
  }

  /** @param targets the container's addresses, in the order of the families */
  entries(targets: readonly Buffer[], container: string): Entry[] {
    const { protocol, container: port } = this.#request
    return this.#sides.flatMap(({ family, address: hostAddress }, index) => {
      const address = targets[this.#families.indexOf(family)]
      const hostPort = this.#held[index]?.port
      if (address === undefined || hostPort === undefined) return []
      return [portElement({ protocol, family, hostAddress, hostPort, address, port }, container)]
    })
  }

  has(set: SetName, key: Buffer): boolean {
    const anywhere = this.#families.map((family) => (family === 4 ? noAddress.subarray(0, 4) : noAddress))
    return this.entries(anywhere, '').some((entry) => entry.set === set && entry.element.key.equals(key))
  }

  /**
   * A container has published the port, though no socket holds it: another one, if any will do.
   * @throws PodlingError `PORT_IN_USE`
   */
  chooseOther(owner: string): void {
    const { host, protocol } = this.#request
    if (host !== undefined) {
      const [side] = this.#sides
      const port = describePort({ protocol, family: side?.family ?? 4, address: side?.address, port: host })
      throw new PodlingError(
        'PORT_IN_USE',
        `publish ${port}: container ${owner} has published it; remove that one or choose another port`,
      )
    }
    // The new ones are held before the old ones are let go, or the kernel might pick the same again.
    const before = this.#held
    this.#held = holdSides(this.#request, this.#sides)
    closeAll(before)
  }

  bound(): BoundPort[] {
    const { container, protocol } = this.#request
    return this.#sides.map(({ family, address }, index) => ({
      container,
      protocol,
      ip: address === undefined ? (family === 4 ? '0.0.0.0' : '::') : formatAddress(address),
      host: this.#held[index]?.port ?? 0,
    }))
  }

  descriptors(): number[] {
    return this.#held.flatMap(({ fd }) => (fd === undefined ? [] : [fd]))
  }

  close(): void {
    closeAll(this.#held)
    this.#held = []
  }
}
