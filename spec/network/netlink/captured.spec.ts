/**
 * Messages that say what ip(8) and nft(8) say: their bytes were captured, with the command that made each in
 * spec/fixtures/netlink-captures.json. Sequence numbers aside, a message is the same but for attributes named here.
 */
import t from 'tap'
import { readFileSync } from 'node:fs'
import { macFor } from '../../../lib/network/address.js'
import { equal, meta, verdict } from '../../../lib/network/netlink/expressions.js'
import {
  attributeList,
  attributesOf,
  decode,
  encode,
  flags,
  paddedText,
  textOf,
  type Request,
} from '../../../lib/network/netlink/message.js'
import {
  deleteElement,
  deleteTable,
  newElement,
  newRule,
  newSet,
  newTable,
} from '../../../lib/network/netlink/nftables.js'
import { deleteLink, linkUp } from '../../../lib/network/netlink/links.js'
import { newAddress, newNeighbour } from '../../../lib/network/netlink/addresses.js'
import { portElement, sets } from '../../../lib/network/firewall-table.js'

interface Captures {
  readonly captures: Readonly<Record<string, { readonly command: string; readonly hex: string }>>
}

const { captures } = JSON.parse(readFileSync('spec/fixtures/netlink-captures.json', 'utf8')) as Captures
const table = { family: 'inet', name: 'podling' } as const
const host = Buffer.from([10, 88, 0, 1])
const container = Buffer.from([10, 88, 0, 2])
const bridge = 2
const batchMarks = [0x10, 0x11]
const newRuleType = (10 << 8) | 6

/** Sizes of the headers that stand before the attributes, by the type of rtnetlink; nf_tables has 4 everywhere. */
function headerOf(type: number): number {
  if (type >= 0x100) return 4
  return type < 20 ? 16 : type < 24 ? 8 : 12
}

interface Parts {
  readonly type: number
  readonly flags: number
  readonly header: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/** The expressions of a rule, whose attributes come in any order. */
function expressions(list: Buffer): unknown[] {
  return attributeList(list).map(([, bytes]) => {
    const expression = attributesOf(bytes)
    const attributes = attributeList(expression.get(2) ?? Buffer.alloc(0))
    return [
      textOf(expression.get(1)),
      Object.fromEntries(attributes.map(([type, value]) => [type, value.toString('hex')])),
    ]
  })
}

function parts(bytes: Buffer, left: readonly number[]): Parts {
  const messages = decode(bytes)
  // Links have the numbers of the marks around a batch.
  const message = messages.length === 1 ? messages[0]! : messages.find(({ type }) => !batchMarks.includes(type))!
  const size = headerOf(message.type)
  const attributes = attributeList(message.body.subarray(size)).filter(([type]) => !left.includes(type))
  return {
    type: message.type,
    flags: message.flags & ~flags.ack,
    header: message.body.subarray(0, size).toString('hex'),
    attributes: Object.fromEntries(
      attributes.map(([type, value]) => [
        type,
        message.type === newRuleType && type === 4 ? expressions(value) : value.toString('hex'),
      ]),
    ),
  }
}

interface Difference {
  /** Flags of ours, where those of theirs mean something else. */
  readonly flags?: number
  /** Attributes that they have, or that we have, and why. */
  readonly without?: Readonly<Record<number, string>>
}

const cases: Readonly<Record<string, readonly [Request, Difference?]>> = {
  up: [linkUp({ index: bridge })],
  address: [newAddress(bridge, { family: 4, address: host, prefix: 16 })],
  // ip fails where there is one already.
  neighbour: [newNeighbour(bridge, 4, container, macFor(container)), { flags: flags.create | flags.replace }],
  delete: [deleteLink({ index: bridge })],
  // nft takes one that is there for made.
  table: [newTable(table), { flags: flags.create | flags.exclusive, without: { 2: 'they say that it has no flags' } }],
  set: [newSet(table, sets.leases4, 1), { without: { 13: 'nft keeps for itself how it was written', 9: '' } }],
  map: [newSet(table, sets.ports4, 1), { without: { 13: 'as above', 9: '' } }],
  element: [
    newElement(table, 'leases4', { key: container, comment: 'abc' }, false),
    { without: { 4: 'the id of a set of the same batch' } },
  ],
  port: [
    newElement(
      table,
      'ports4',
      portElement(
        { protocol: 'tcp', family: 4, hostAddress: undefined, hostPort: 8080, address: container, port: 80 },
        'abc',
      ).element,
      false,
    ),
    { without: { 4: 'as above' } },
  ],
  rule: [
    newRule(
      table,
      'forward',
      // nft counts registers of 16 bytes, ours of 4; the first is the same one.
      [meta('iifname', 1), equal(1, paddedText('br0', 16)), verdict('drop')],
      { comment: 'a bridge' },
    ),
  ],
  deleteElement: [deleteElement(table, 'leases4', container), { without: { 4: 'as above' } }],
  deleteTable: [deleteTable(table)],
}

for (const [name, [request, { without = {}, flags: own } = {}]] of Object.entries(cases)) {
  const { command = '', hex = '' } = captures[name] ?? {}
  t.test(command, (t) => {
    const left = Object.keys(without).map(Number)
    const theirs = parts(Buffer.from(hex, 'hex'), left)
    const ours = parts(encode({ ...request, flags: request.flags | flags.request }), left)
    t.same(ours, own === undefined ? theirs : { ...theirs, flags: own | flags.request })
    t.end()
  })
}
