/**
 * The expressions that a rule is made of: small instructions that load something of a packet into a register, compare
 * registers, look them up, or decide. Pure.
 *
 * Registers are counted in words of 4 bytes, from NFT_REG32_00 = 8 on; a value of 16 bytes takes four of them.
 */
import { text, u32, u32be, type Attribute } from './message.js'

export interface Expression {
  readonly name: string
  readonly attributes: readonly Attribute[]
}

/** NFT_REG32_00 and the following. */
export function register(word: number): number {
  return 8 + word
}

const verdictRegister = 0
/** NFT_* and NF_* verdicts. */
export const verdicts = { drop: 0, accept: 1, return: -5, jump: -3 } as const

function attribute(type: number, value: Attribute['value']): Attribute {
  return { type, value }
}

function numbers(...values: readonly (number | undefined)[]): Attribute[] {
  return values.flatMap((value, index) => (value === undefined ? [] : [attribute(index + 1, u32be(value))]))
}

/** `struct nlattr` NFTA_DATA_VALUE */
function value(bytes: Uint8Array): Attribute[] {
  return [attribute(1, bytes)]
}

const metaKeys = { iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const

/** Something about the packet: `iifname` and `oifname` fill 16 bytes. */
export function meta(key: keyof typeof metaKeys, to: number): Expression {
  return { name: 'meta', attributes: numbers(to, metaKeys[key]) }
}

const bases = { network: 1, transport: 2 } as const

/** Bytes of a header. */
export function payload(base: keyof typeof bases, offset: number, size: number, to: number): Expression {
  return { name: 'payload', attributes: numbers(to, bases[base], offset, size) }
}

const ctKeys = { state: 0, status: 2 } as const

/** Something about the connection. */
export function ct(key: keyof typeof ctKeys, to: number): Expression {
  return { name: 'ct', attributes: numbers(to, ctKeys[key]) }
}

/** Bits of `ct state` and `ct status`. */
export const ctState = { established: 2, related: 4 } as const
export const ctStatus = { destinationNat: 0x20 } as const

/** `fib daddr type`: is the destination an address of this host? The rule goes on if so. */
export function destinationIsLocal(scratch: number): Expression[] {
  const addressType = 3
  const byDestination = 2
  const RTN_LOCAL = 2
  return [{ name: 'fib', attributes: numbers(scratch, addressType, byDestination) }, equal(scratch, u32(RTN_LOCAL))]
}

/** Go on with the rule only if the register holds this. */
export function equal(from: number, bytes: Uint8Array): Expression {
  return compare(from, 0, bytes)
}

export function notEqual(from: number, bytes: Uint8Array): Expression {
  return compare(from, 1, bytes)
}

function compare(from: number, operation: number, bytes: Uint8Array): Expression {
  return { name: 'cmp', attributes: [...numbers(from, operation), attribute(3, value(bytes))] }
}

/** Keep those bits only that are set in `mask`. */
export function mask(at: number, bits: Uint8Array): Expression {
  const zeros = new Uint8Array(bits.length)
  return {
    name: 'bitwise',
    attributes: [...numbers(at, at, bits.length), attribute(4, value(bits)), attribute(5, value(zeros))],
  }
}

/** Go on if one of these bits of a word is set. */
export function anyBit(at: number, bits: number): Expression[] {
  return [mask(at, u32(bits)), notEqual(at, u32(0))]
}

/** Go on if the register's value is in the set, or, `inverted`, if it is not. With `to`: load what the map leads to. */
export function lookup(set: string, from: number, options: { to?: number; inverted?: boolean } = {}): Expression {
  return {
    name: 'lookup',
    attributes: [
      attribute(1, text(set)),
      attribute(2, u32be(from)),
      ...(options.to === undefined ? [] : [attribute(3, u32be(options.to))]),
      ...(options.inverted ? [attribute(5, u32be(1))] : []),
    ],
  }
}

/** Rewrite the destination to the address and port in these registers. */
export function destinationNat(family: 'ip' | 'ip6', address: number, port: number): Expression {
  const dnat = 1
  return { name: 'nat', attributes: numbers(dnat, family === 'ip' ? 2 : 10, address, undefined, port) }
}

/** Rewrite the source to the address of the link that the packet leaves through. */
export const masquerade: Expression = { name: 'masq', attributes: [] }

/** The end of a rule. */
export function verdict(what: 'accept' | 'drop' | 'return'): Expression {
  return immediate([attribute(1, u32be(verdicts[what]))])
}

/** Go on in another chain, and come back. */
export function jump(chain: string): Expression {
  return immediate([attribute(1, u32be(verdicts.jump)), attribute(2, text(chain))])
}

function immediate(verdictAttributes: readonly Attribute[]): Expression {
  return {
    name: 'immediate',
    attributes: [attribute(1, u32be(verdictRegister)), attribute(2, [attribute(2, verdictAttributes)])],
  }
}
