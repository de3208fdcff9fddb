/** Blocks of addresses that nobody uses. Pure, but for chance in the IPv6 ones. */
import { randomBytes } from 'node:crypto'
import { PodlingError } from '../errors.js'
import { formatAddress, formatCidr, fromNumber, overlaps, rangeOf, type Cidr } from './address.js'
import type { Subnet } from './network-record.js'

/** The default network's block, and where to look when it is taken: none is common as a company's or a home's own. */
const defaults = [
  block('10.88.0.0', 16),
  ...Array.from({ length: 16 }, (_, index) => block(`10.${String(112 + index)}.0.0`, 16)),
]

function block(address: string, prefix: number): Cidr {
  return { family: 4, address: Buffer.from(address.split('.').map(Number)), prefix }
}

/** 256 addresses each: 10.89.0.0 to 10.127.255.0, and 192.168.128.0 on. */
function* smallBlocks(): Generator<Cidr> {
  for (let second = 89; second < 128; second++) {
    for (let third = 0; third < 256; third++) yield block(`10.${String(second)}.${String(third)}.0`, 24)
  }
  for (let third = 128; third < 256; third++) yield block(`192.168.${String(third)}.0`, 24)
}

/** RFC 4193: a prefix of our own, of 40 random bits. */
function* uniqueLocalBlocks(): Generator<Cidr> {
  for (let tries = 0; tries < 64; tries++) {
    const address = Buffer.alloc(16)
    address.writeUInt8(0xfd, 0)
    randomBytes(5).copy(address, 1)
    yield { family: 6, address, prefix: 64 }
  }
}

function pick(candidates: Iterable<Cidr>, used: readonly Cidr[], what: string): Subnet {
  for (const candidate of candidates) {
    if (used.some((block) => overlaps(block, candidate))) continue
    const gateway = fromNumber(rangeOf(candidate).first + 1n, candidate.family)
    return { subnet: formatCidr(candidate), gateway: formatAddress(gateway) }
  }
  throw new PodlingError('SUBNET_EXHAUSTED', `${what}: all of the blocks that are tried are in use; give \`subnets\``)
}

/** 10.88.0.0/16, unless it is used. */
export function pickDefault(used: readonly Cidr[]): Subnet {
  return pick([...defaults, ...smallBlocks()], used, 'pick a subnet for the default network')
}

export function pickSmall(used: readonly Cidr[]): Subnet {
  return pick(smallBlocks(), used, 'pick a subnet')
}

export function pickIPv6(used: readonly Cidr[]): Subnet {
  return pick(uniqueLocalBlocks(), used, 'pick an IPv6 subnet')
}
