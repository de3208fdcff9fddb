/**
 * Tables, chains, rules, sets and their elements as messages of nf_tables (linux/netfilter/nf_tables.h). Pure.
 * All its numbers are big-endian; values that packets are compared with have the packet's or the register's own order.
 */
import {
  attributeList,
  attributesOf,
  flags,
  text,
  textOf,
  u32be,
  type Attribute,
  type Message,
  type Request,
} from './message.js'
import { verdicts, type Expression } from './expressions.js'

const subsystem = 10
const kinds = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  getChain: 4,
  newRule: 6,
  getRule: 7,
  deleteRule: 8,
  newSet: 9,
  newElement: 12,
  getElement: 13,
  deleteElement: 14,
  getGeneration: 16,
} as const
const marks = { begin: 0x10, end: 0x11 } as const

/** Families of tables: NFPROTO_*. `inet` is IPv4 and IPv6 in one. */
export const tableFamilies = { inet: 1, ip: 2, ip6: 10 } as const
export type TableFamily = keyof typeof tableFamilies

/** What a table is named by. */
export interface TableName {
  readonly family: TableFamily
  readonly name: string
}

export const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const

const setFlags = { map: 0x8 } as const
const setUserDataComment = 0

/** struct nfgenmsg */
function header(family: number, resource = 0): Buffer {
  return Buffer.of(family, 0, resource >> 8, resource & 0xff)
}

function message(kind: number, family: TableFamily, extra: number, attributes: readonly Attribute[]): Request {
  return { type: (subsystem << 8) | kind, flags: extra, header: header(tableFamilies[family]), attributes }
}

function attribute(type: number, value: Attribute['value']): Attribute {
  return { type, value }
}

/** Requests between the marks that make them one: all are done, or none. */
export function batch(requests: readonly Request[]): Request[] {
  return [
    { type: marks.begin, flags: 0, header: header(0, subsystem), attributes: [] },
    ...requests,
    { type: marks.end, flags: 0, header: header(0, subsystem), attributes: [] },
  ]
}

/** The number of the ruleset's state; asked for to see whether there is an nf_tables. */
export function getGeneration(): Request {
  return message(kinds.getGeneration, 'inet', 0, [])
}

export function newTable({ family, name }: TableName): Request {
  return message(kinds.newTable, family, flags.create | flags.exclusive, [attribute(1, text(name))])
}

export function getTable({ family, name }: TableName): Request {
  return message(kinds.getTable, family, 0, [attribute(1, text(name))])
}

export function deleteTable({ family, name }: TableName): Request {
  return message(kinds.deleteTable, family, 0, [attribute(1, text(name))])
}

export interface Chain {
  readonly name: string
  /** Where packets come in; absent: a chain that rules jump to. */
  readonly hook?: { readonly type: 'filter' | 'nat'; readonly hook: keyof typeof hooks; readonly priority: number }
}

export function newChain({ family, name }: TableName, chain: Chain): Request {
  const { hook } = chain
  return message(kinds.newChain, family, flags.create, [
    attribute(1, text(name)),
    attribute(3, text(chain.name)),
    ...(hook === undefined
      ? []
      : [
          attribute(4, [attribute(1, u32be(hooks[hook.hook])), attribute(2, u32be(hook.priority))]),
          attribute(7, text(hook.type)),
        ]),
  ])
}

/** A rule at the end of its chain, or before the one with a handle. `comment` is shown by nft(8). */
export function newRule(
  { family, name }: TableName,
  chain: string,
  expressions: readonly Expression[],
  options: { before?: Buffer | undefined; comment?: string } = {},
): Request {
  return message(kinds.newRule, family, flags.create | (options.before === undefined ? flags.append : 0), [
    attribute(1, text(name)),
    attribute(2, text(chain)),
    attribute(
      4,
      expressions.map((expression) =>
        attribute(1, [attribute(1, text(expression.name)), attribute(2, expression.attributes)]),
      ),
    ),
    ...(options.before === undefined ? [] : [attribute(6, options.before)]),
    ...(options.comment === undefined ? [] : [attribute(7, userData(options.comment))]),
  ])
}

export function deleteRule({ family, name }: TableName, chain: string, handle: Buffer): Request {
  return message(kinds.deleteRule, family, 0, [
    attribute(1, text(name)),
    attribute(2, text(chain)),
    attribute(3, handle),
  ])
}

export function getRules({ family, name }: TableName, chain: string): Request {
  return message(kinds.getRule, family, 0, [attribute(1, text(name)), attribute(2, text(chain))])
}

export interface Rule {
  readonly handle: Buffer
  readonly comment?: string
  /** It does nothing but go back to the chain that jumped here, whatever the packet. */
  readonly returns: boolean
}

export function parseRule({ body }: Message): Rule {
  const attributes = attributesOf(body.subarray(4))
  const comment = commentOf(attributes.get(7))
  return {
    handle: Buffer.from(attributes.get(3) ?? Buffer.alloc(8)),
    returns: onlyReturns(attributes.get(4) ?? Buffer.alloc(0)),
    ...(comment === undefined ? {} : { comment }),
  }
}

/** Nothing but the counter that iptables gives every rule, and the verdict. */
function onlyReturns(expressions: Buffer): boolean {
  const parts = attributeList(expressions).map(([, bytes]) => attributesOf(bytes))
  const [only, ...others] = parts.filter((part) => textOf(part.get(1)) !== 'counter')
  if (only === undefined || others.length > 0 || textOf(only.get(1)) !== 'immediate') return false
  // Data of the expression, of the immediate, its verdict, and that one's code.
  const code = [2, 2, 1].reduce((bytes, type) => attributesOf(bytes).get(type) ?? none, only.get(2) ?? none)
  return code.length === 4 && code.readInt32BE() === verdicts.return
}

const none = Buffer.alloc(0)

export function getChain({ family, name }: TableName, chain: string): Request {
  return message(kinds.getChain, family, 0, [attribute(1, text(name)), attribute(3, text(chain))])
}

/** The kinds of values in a set, by their sizes and by the numbers with which nft(8) knows how to show them. */
const valueTypes = {
  ip: { size: 4, shown: 7 },
  ip6: { size: 16, shown: 8 },
  protocol: { size: 1, shown: 12 },
  port: { size: 2, shown: 13 },
  interface: { size: 16, shown: 41 },
} as const
export type ValueType = keyof typeof valueTypes

export interface NamedSet {
  readonly name: string
  readonly key: readonly ValueType[]
  /** What a key leads to, in a map. */
  readonly data?: readonly ValueType[]
}

function padded(size: number): number {
  return (size + 3) & ~3
}

/** nft(8) has six bits for each part of a concatenation. */
function shape(parts: readonly ValueType[]): { type: number; size: number } {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return { type: valueTypes[only].shown, size: valueTypes[only].size }
  return {
    type: parts.reduce((type, part) => (type << 6) | valueTypes[part].shown, 0),
    size: parts.reduce((size, part) => size + padded(valueTypes[part].size), 0),
  }
}

/** For nft(8) alone, which would show names backwards: u8 type (byte order of keys), u8 length, u32 1 (the host's). */
const hostByteOrder = Buffer.of(0, 4, 1, 0, 0, 0)

/** `id` is unique in its batch. The kernel picks a hash table for it, as it is told of no interval and no size. */
export function newSet({ family, name }: TableName, set: NamedSet, id: number): Request {
  const key = shape(set.key)
  const data = set.data === undefined ? undefined : shape(set.data)
  return message(kinds.newSet, family, flags.create, [
    attribute(1, text(name)),
    attribute(2, text(set.name)),
    attribute(3, u32be(data === undefined ? 0 : setFlags.map)),
    attribute(4, u32be(key.type)),
    attribute(5, u32be(key.size)),
    ...(data === undefined ? [] : [attribute(6, u32be(data.type)), attribute(7, u32be(data.size))]),
    attribute(10, u32be(id)),
    ...(set.key.length === 1 && set.key[0] === 'interface' ? [attribute(13, hostByteOrder)] : []),
  ])
}

/** The bytes of a key or of data: its parts, each filled up to 4 bytes where there are several. */
export function concatenate(...parts: readonly Uint8Array[]): Buffer {
  if (parts.length === 1) return Buffer.from(parts[0]!)
  return Buffer.concat(parts.map((part) => Buffer.concat([part], padded(part.length))))
}

export interface Element {
  readonly key: Buffer
  readonly data?: Buffer
  /** Shown by nft(8); tells whose it is. At most 250 bytes. */
  readonly comment?: string
}

/** Put an element into a set; `exclusive`: fail with EEXIST where it is there already. */
export function newElement({ family, name }: TableName, set: string, element: Element, exclusive: boolean): Request {
  return message(kinds.newElement, family, flags.create | (exclusive ? flags.exclusive : 0), [
    attribute(1, text(name)),
    attribute(2, text(set)),
    attribute(3, [
      attribute(1, [
        attribute(1, [attribute(1, element.key)]),
        ...(element.data === undefined ? [] : [attribute(2, [attribute(1, element.data)])]),
        ...(element.comment === undefined ? [] : [attribute(6, userData(element.comment))]),
      ]),
    ]),
  ])
}

export function deleteElement({ family, name }: TableName, set: string, key: Buffer): Request {
  return message(kinds.deleteElement, family, 0, [
    attribute(1, text(name)),
    attribute(2, text(set)),
    attribute(3, [attribute(1, [attribute(1, [attribute(1, key)])])]),
  ])
}

export function getElements({ family, name }: TableName, set: string): Request {
  return message(kinds.getElement, family, 0, [attribute(1, text(name)), attribute(2, text(set))])
}

/** The elements in one message of a list. */
export function parseElements({ body }: Message): Element[] {
  const list = attributesOf(body.subarray(4)).get(3)
  if (list === undefined) return []
  return attributeList(list).map(([, bytes]) => {
    const attributes = attributesOf(bytes)
    const key = valueOf(attributes.get(1))
    const data = valueOf(attributes.get(2))
    const comment = commentOf(attributes.get(6))
    return {
      key: key ?? Buffer.alloc(0),
      ...(data === undefined ? {} : { data }),
      ...(comment === undefined ? {} : { comment }),
    }
  })
}

function valueOf(bytes: Buffer | undefined): Buffer | undefined {
  const value = bytes === undefined ? undefined : attributesOf(bytes).get(1)
  return value === undefined ? undefined : Buffer.from(value)
}

/** A comment as libnftnl keeps it: u8 type, u8 length, the text with its NUL. */
function userData(comment: string): Buffer {
  const value = text(comment)
  return Buffer.concat([Buffer.of(setUserDataComment, value.length), value])
}

function commentOf(bytes: Buffer | undefined): string | undefined {
  for (let at = 0; bytes !== undefined && at + 2 <= bytes.length; at += 2 + bytes.readUInt8(at + 1)) {
    if (bytes.readUInt8(at) === setUserDataComment)
      return textOf(bytes.subarray(at + 2, at + 2 + bytes.readUInt8(at + 1)))
  }
  return undefined
}
