/** Tracked connections as messages of nfnetlink_conntrack (linux/netfilter/nfnetlink_conntrack.h). Pure. */
import type { Family } from '../address.js'
import { attributesOf, u32, u8, type Attribute, type Message, type Request } from './message.js'

const subsystem = 1
const kinds = { get: 1, delete: 2 } as const
const families = { 4: 2, 6: 10 } as const

/** CTA_*, and those nested in them. */
const cta = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const
const tuple = { ip: 1, protocol: 2 } as const
const source = { 4: 1, 6: 3 } as const
const destination = { 4: 2, 6: 4 } as const
const protocolNumber = 1
const destinationPort = 3
const filterFlags = { original: 1, reply: 2 } as const
const byFlags = { sourceAddress: 1, protocol: 8 } as const

function request(kind: number, family: Family, attributes: readonly Attribute[]): Request {
  return { type: (subsystem << 8) | kind, flags: 0, header: Buffer.of(families[family], 0, 0, 0), attributes }
}

/** What tells a connection from others: as its first packet had it. */
export interface Flow {
  readonly family: Family
  /** Where the first packet wanted to go, before any translation. */
  readonly destination: Buffer
  readonly port: number
  /** The attributes by which the kernel finds it again. */
  readonly key: readonly Attribute[]
}

/** All connections of one protocol (IPPROTO_*); Linux 5.8 lists no others then. */
export function getFlows(family: Family, protocol: number): Request {
  return request(kinds.get, family, [
    { type: cta.original, value: [{ type: tuple.protocol, value: [{ type: protocolNumber, value: u8(protocol) }] }] },
    { type: cta.filter, value: [{ type: filterFlags.original, value: u32(byFlags.protocol) }] },
  ])
}

/** @returns undefined for one without a port */
export function parseFlow({ body }: Message, family: Family): Flow | undefined {
  const attributes = attributesOf(body.subarray(4))
  const original = attributes.get(cta.original)
  if (original === undefined) return undefined
  const parts = attributesOf(original)
  const address = attributesOf(parts.get(tuple.ip) ?? noBytes).get(destination[family])
  const port = attributesOf(parts.get(tuple.protocol) ?? noBytes).get(destinationPort)
  if (address === undefined || port === undefined) return undefined
  const key = [cta.original, cta.id, cta.zone].flatMap((type) => {
    const value = attributes.get(type)
    return value === undefined ? [] : [{ type, value }]
  })
  return { family, destination: address, port: port.readUInt16BE(0), key }
}

const noBytes = Buffer.alloc(0)

export function deleteFlow({ family, key }: Flow): Request {
  return request(kinds.delete, family, key)
}

/**
 * Forget all connections that an address answers, whatever address they were made to. Before Linux 6.7, which knows no
 * filter here, it is refused with EINVAL, as what should name one connection names half of one.
 */
export function deleteFlowsTo(address: Buffer): Request {
  const family: Family = address.length === 4 ? 4 : 6
  return request(kinds.delete, family, [
    { type: cta.reply, value: [{ type: tuple.ip, value: [{ type: source[family], value: address }] }] },
    { type: cta.filter, value: [{ type: filterFlags.reply, value: u32(byFlags.sourceAddress) }] },
  ])
}
