/** IP addresses and blocks of them: text, bytes and numbers. Pure. */
import { isIPv4, isIPv6 } from 'node:net'

export type Family = 4 | 6

/** An address and how many of its bits name the network. */
export interface Cidr {
  readonly family: Family
  /** 4 or 16 bytes, in network order. */
  readonly address: Buffer
  readonly prefix: number
}

export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/** @returns undefined for a text that is no address. An IPv6 one with a zone is none. */
export function parseAddress(text: string): { family: Family; address: Buffer } | undefined {
  if (isIPv4(text)) return { family: 4, address: Buffer.from(text.split('.').map(Number)) }
  if (!isIPv6(text) || text.includes('%')) return undefined
  return { family: 6, address: parseIPv6(text) }
}

function parseIPv6(text: string): Buffer {
  // `::ffff:10.0.0.1`: the last 32 bits as an IPv4 address.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const hexadecimal =
    dotted === null
      ? text
      : `${dotted[1]!}${hex(Number(dotted[2]) * 256 + Number(dotted[3]))}:${hex(Number(dotted[4]) * 256 + Number(dotted[5]))}`
  const [front = '', back] = hexadecimal.split('::')
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((word) => parseInt(word, 16)))
  const first = words(front)
  const last = back === undefined ? [] : words(back)
  const bytes = Buffer.alloc(16)
  first.forEach((word, index) => bytes.writeUInt16BE(word, 2 * index))
  last.forEach((word, index) => bytes.writeUInt16BE(word, 2 * (8 - last.length + index)))
  return bytes
}

/** `'10.89.0.0/24'`. @returns undefined for a text that is none. */
export function parseCidr(text: string): Cidr | undefined {
  const [head = '', tail, ...rest] = text.split('/')
  const parsed = parseAddress(head)
  if (parsed === undefined || tail === undefined || rest.length > 0 || !/^\d{1,3}$/.test(tail)) return undefined
  const prefix = Number(tail)
  return prefix > bitsOf(parsed.family) ? undefined : { ...parsed, prefix }
}

/** The shortest usual text: of IPv6 as RFC 5952 wants it. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return [...address].join('.')
  const bytes = Buffer.from(address)
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index))
  let best = { at: -1, length: 1 }
  for (let at = 0; at < 8; at++) {
    let length = 0
    while (at + length < 8 && words[at + length] === 0) length++
    if (length > best.length) best = { at, length }
  }
  if (best.at < 0) return words.map(hex).join(':')
  return `${words.slice(0, best.at).map(hex).join(':')}::${words
    .slice(best.at + best.length)
    .map(hex)
    .join(':')}`
}

function hex(word: number): string {
  return word.toString(16)
}

export function formatCidr({ address, prefix }: Cidr): string {
  return `${formatAddress(address)}/${String(prefix)}`
}

export function toNumber(address: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(address).toString('hex')}`)
}

export function fromNumber(value: bigint, family: Family): Buffer {
  return Buffer.from(value.toString(16).padStart(bitsOf(family) / 4, '0'), 'hex')
}

/** The first and the last address of a block. */
export function rangeOf({ family, address, prefix }: Cidr): { first: bigint; last: bigint } {
  const size = 1n << BigInt(bitsOf(family) - prefix)
  const first = (toNumber(address) / size) * size
  return { first, last: first + size - 1n }
}

/** The block itself, without the bits that name a host in it. */
export function networkOf(cidr: Cidr): Cidr {
  return { ...cidr, address: fromNumber(rangeOf(cidr).first, cidr.family) }
}

export function contains(block: Cidr, address: Uint8Array): boolean {
  if (address.length * 8 !== bitsOf(block.family)) return false
  const { first, last } = rangeOf(block)
  const number = toNumber(address)
  return number >= first && number <= last
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false
  const one = rangeOf(a)
  const other = rangeOf(b)
  return one.first <= other.last && other.first <= one.last
}

/** The block that begins and ends a leasable range: network and broadcast addresses are nobody's. */
export function usableRange(block: Cidr): { first: bigint; last: bigint } {
  const { first, last } = rangeOf(block)
  const bits = bitsOf(block.family) - block.prefix
  // RFC 3021: a block of two has no network or broadcast address; neither has a single one.
  if (bits <= 1) return { first, last }
  // The first address of an IPv6 block is every router's (RFC 4291, 2.6.1); there is no broadcast, but keep to the form.
  return { first: first + 1n, last: block.family === 4 ? last - 1n : last }
}

/**
 * A MAC that belongs to an address, locally administered: the same address gets the same MAC again, so that neighbours
 * who remember it are right. For IPv6 alone its last 32 bits.
 */
export function macFor(address: Uint8Array): string {
  return ['02', '70', ...[...address.slice(-4)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/** A MAC in lower case with colons. @returns undefined for what is none, or a group's, which no single link can have. */
export function parseMac(text: string): string | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined
  const mac = text.toLowerCase().replaceAll('-', ':')
  if (mac === '00:00:00:00:00:00') return undefined
  return (parseInt(mac.slice(0, 2), 16) & 1) === 1 ? undefined : mac
}
