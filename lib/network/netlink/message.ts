/**
 * Netlink messages as bytes, both ways: netlink(7), and the kernel's Documentation/userspace-api/netlink. Pure.
 *
 *   message    u32 length, u16 type, u16 flags, u32 sequence, u32 port; the family's own header; attributes
 *   attribute  u16 length (with these 4 bytes), u16 type; value; padded to 4 bytes
 *
 * Numbers are in the machine's byte order, which is little-endian wherever Podling runs; nf_tables has big-endian ones.
 */
import { constants } from 'node:os'

export const headerSize = 16

/** NLM_F_* */
export const flags = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  /** In a message from a dump: what it lists was changed meanwhile. */
  interrupted: 0x10,
  dump: 0x300,
  replace: 0x100,
  /** With `create`: fail with EEXIST where it is there. */
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
} as const

const ackFlags = { capped: 0x100, attributes: 0x200 } as const

/** Types of the kernel's own answers. */
export const controlTypes = { noop: 1, error: 2, done: 3, overrun: 4 } as const

const nestedFlag = 0x8000
const typeMask = 0x3fff

/** One attribute; an array of attributes is a nested one. */
export interface Attribute {
  readonly type: number
  readonly value: Uint8Array | readonly Attribute[]
}

/** A message to the kernel, without what a socket adds to it (length, sequence). */
export interface Request {
  readonly type: number
  readonly flags: number
  /** The family's header, such as `struct ifinfomsg`. */
  readonly header: Uint8Array
  readonly attributes: readonly Attribute[]
}

/** A message from the kernel. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  /** All behind the 16 bytes of netlink's own header. */
  readonly body: Buffer
}

/** An acknowledgement: with `error` 0 all is well. */
export interface Acknowledgement {
  /** An errno, positive. */
  readonly error: number
  /** What the kernel says about it (extended ACK), where it says something. */
  readonly text?: string
  /** The offset in the request of the attribute that it is about. */
  readonly offset?: number
}

export function u8(value: number): Buffer {
  return Buffer.of(value)
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

/** A number in network byte order. */
export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** A text with the NUL that the kernel wants behind it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

/** A text that fills a field of this size, NULs behind it: an interface's name among keys and registers. */
export function paddedText(value: string, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.write(value)
  return bytes
}

function padded(size: number): number {
  return (size + 3) & ~3
}

function sizeOf({ value }: Attribute): number {
  return 4 + (Array.isArray(value) ? sizeOfAll(value as readonly Attribute[]) : (value as Uint8Array).length)
}

function sizeOfAll(attributes: readonly Attribute[]): number {
  return attributes.reduce((sum, attribute) => sum + padded(sizeOf(attribute)), 0)
}

function write(bytes: Buffer, start: number, attributes: readonly Attribute[]): number {
  let at = start
  for (const attribute of attributes) {
    const { value } = attribute
    const size = sizeOf(attribute)
    const nested = Array.isArray(value)
    if (size > 0xffff) throw new RangeError(`netlink attribute ${String(attribute.type)} is too large`)
    bytes.writeUInt16LE(size, at)
    bytes.writeUInt16LE(nested ? attribute.type | nestedFlag : attribute.type, at + 2)
    if (nested) write(bytes, at + 4, value as readonly Attribute[])
    else bytes.set(value as Uint8Array, at + 4)
    at += padded(size)
  }
  return at
}

/** The bytes of a request. */
export function encode(request: Request, sequence = 0): Buffer {
  const bodyAt = headerSize + padded(request.header.length)
  const bytes = Buffer.alloc(bodyAt + sizeOfAll(request.attributes))
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(request.type, 4)
  bytes.writeUInt16LE(request.flags, 6)
  bytes.writeUInt32LE(sequence, 8)
  bytes.set(request.header, headerSize)
  write(bytes, bodyAt, request.attributes)
  return bytes
}

/** The messages of one datagram. What is cut short at its end is left out. */
export function decode(bytes: Buffer): Message[] {
  const messages: Message[] = []
  for (let at = 0; at + headerSize <= bytes.length;) {
    const size = bytes.readUInt32LE(at)
    if (size < headerSize || at + size > bytes.length) break
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + headerSize, at + size),
    })
    at += padded(size)
  }
  return messages
}

/** Attributes by type; of several of one type the last. */
export function attributesOf(bytes: Buffer): Map<number, Buffer> {
  return new Map(attributeList(bytes))
}

/** Attributes in their order, as lists have several of one type. */
export function attributeList(bytes: Buffer): [number, Buffer][] {
  const found: [number, Buffer][] = []
  for (let at = 0; at + 4 <= bytes.length;) {
    const size = bytes.readUInt16LE(at)
    if (size < 4 || at + size > bytes.length) break
    found.push([bytes.readUInt16LE(at + 2) & typeMask, bytes.subarray(at + 4, at + size)])
    at += padded(size)
  }
  return found
}

/** A text attribute without the NUL at its end. */
export function textOf(bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined) return undefined
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

const NLMSGERR_ATTR_MSG = 1
const NLMSGERR_ATTR_OFFS = 2

/** What an NLMSG_ERROR or NLMSG_DONE says. */
export function acknowledgementOf(message: Message): Acknowledgement {
  const { body, flags: bits, type } = message
  if (body.length < 4) return { error: 0 }
  const error = -body.readInt32LE(0)
  if ((bits & ackFlags.attributes) === 0) return { error }
  // The request comes back in front of the attributes: whole after a failure, its header alone where it was capped.
  let at = 4
  if (type === controlTypes.error && body.length >= 4 + headerSize) {
    at += bits & ackFlags.capped || error === 0 ? headerSize : padded(body.readUInt32LE(4))
  }
  const attributes = attributesOf(body.subarray(at))
  const said = textOf(attributes.get(NLMSGERR_ATTR_MSG))
  const offset = attributes.get(NLMSGERR_ATTR_OFFS)
  return {
    error,
    ...(said === undefined || said === '' ? {} : { text: said }),
    ...(offset === undefined ? {} : { offset: offset.readUInt32LE(0) }),
  }
}

/** errno numbers that callers look for. */
export const errnos = {
  ENOENT: constants.errno.ENOENT,
  EEXIST: constants.errno.EEXIST,
  ENODEV: constants.errno.ENODEV,
} as const
