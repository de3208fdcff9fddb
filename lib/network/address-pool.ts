/** Which address a container is to try next. What is taken, the kernel says: leases are elements of the firewall's table. */
import { PodlingError } from '../errors.js'
import {
  contains,
  formatAddress,
  fromNumber,
  parseAddress,
  rangeOf,
  toNumber,
  usableRange,
  type Cidr,
} from './address.js'
import { addressOf, cidrOf, type Subnet } from './network-record.js'

/** The leasable addresses of one subnet, gone through in turn, so that one that was given back rests for a while. */
export class AddressPool {
  readonly subnet: Subnet
  readonly block: Cidr
  readonly #gateway: bigint | undefined
  readonly #hosts: ReadonlySet<bigint>
  readonly #first: bigint
  readonly #last: bigint
  #next: bigint

  /** @param hosts addresses of the host, which are in the block where it is that of a network it is on (macvlan) */
  constructor(subnet: Subnet, hosts: readonly Buffer[] = []) {
    this.subnet = subnet
    this.block = cidrOf(subnet.subnet)
    const usable = usableRange(this.block)
    const range = subnet.range === undefined ? usable : rangeOf(cidrOf(subnet.range))
    this.#gateway = subnet.gateway === undefined ? undefined : toNumber(addressOf(subnet.gateway))
    // A range may begin or end with what is nobody's in the subnet.
    this.#first = range.first < usable.first ? usable.first : range.first
    this.#last = range.last > usable.last ? usable.last : range.last
    this.#next = this.#first
    this.#hosts = new Set(hosts.filter((address) => contains(this.block, address)).map(toNumber))
  }

  /**
   * The next one that is not known to be taken.
   * @throws PodlingError `SUBNET_EXHAUSTED`
   */
  next(taken: ReadonlySet<bigint>, what: string): Buffer {
    const size = this.#last - this.#first + 1n
    const mostTaken = BigInt(taken.size + this.#hosts.size) + 2n
    const tries = size < mostTaken ? size : mostTaken
    for (let tried = 0n; tried < tries; tried++) {
      const candidate = this.#next
      this.#next = candidate >= this.#last ? this.#first : candidate + 1n
      const free = candidate !== this.#gateway && !this.#hosts.has(candidate) && !taken.has(candidate)
      if (free) return fromNumber(candidate, this.block.family)
    }
    throw new PodlingError(
      'SUBNET_EXHAUSTED',
      `${what}: all addresses of ${this.subnet.range ?? this.subnet.subnet} are in use; remove containers or make a larger network`,
    )
  }

  /** Is it the text of an address in this subnet? */
  has(text: string): boolean {
    const parsed = parseAddress(text)
    return parsed !== undefined && contains(this.block, parsed.address)
  }

  /**
   * An address that was asked for.
   * @throws PodlingError `INVALID_OPTION` when it is no container's in this subnet
   */
  fixed(text: string, what: string): Buffer {
    const parsed = parseAddress(text)
    const usable = usableRange(this.block)
    const number = parsed === undefined ? -1n : toNumber(parsed.address)
    if (
      parsed === undefined ||
      !contains(this.block, parsed.address) ||
      number < usable.first ||
      number > usable.last
    ) {
      throw new PodlingError('INVALID_OPTION', `${what}: ${text} is no address of a container in ${this.subnet.subnet}`)
    }
    if (number === this.#gateway) {
      throw new PodlingError('INVALID_OPTION', `${what}: ${formatAddress(parsed.address)} is the gateway's own address`)
    }
    if (this.#hosts.has(number)) {
      throw new PodlingError('INVALID_OPTION', `${what}: ${formatAddress(parsed.address)} is the host's own address`)
    }
    return parsed.address
  }
}
