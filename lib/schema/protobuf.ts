/**
 * Protocol Buffers, as much of them as the messages of CSI (proto3) and CRIU (proto2) need: strings, numbers, booleans,
 * enums, messages, maps of strings. What comes in is another program's, so it is read as hostile. Pure. https://protobuf.dev/programming-guides/encoding/
 */

/** What a field holds. A map is one of strings to strings. */
export type FieldKind = 'string' | 'bytes' | 'int64' | 'bool' | 'enum' | 'map' | MessageSchema

export interface Field {
  readonly number: number
  readonly kind: FieldKind
  readonly repeated?: boolean
  /** Whether its default differs from not being there, as in proto2: it is written whatever it is. @default false */
  readonly presence?: boolean
}

/** The fields of a message by name. */
export interface MessageSchema {
  readonly [name: string]: Field
}

export type Message = Readonly<Record<string, unknown>>

/** Bytes that are no message of the schema. */
export class ProtobufError extends Error {}

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const
const deepest = 16

/** Members that are undefined, or have their type's default, are left out. */
export function encodeMessage(schema: MessageSchema, message: Message): Buffer {
  const parts: Buffer[] = []
  for (const [name, { number, kind, repeated = false, presence = false }] of Object.entries(schema)) {
    const value = message[name]
    if (value === undefined) continue
    for (const one of repeated ? (value as readonly unknown[]) : [value])
      parts.push(encodeField(number, kind, one, repeated || presence))
  }
  return Buffer.concat(parts)
}

/** @param always also when it is its type's default */
function encodeField(number: number, kind: FieldKind, value: unknown, always: boolean): Buffer {
  if (kind === 'map') {
    return Buffer.concat(
      Object.entries(value as Readonly<Record<string, string>>).map(([key, text]) =>
        bytesField(number, encodeMessage(entrySchema, { key, value: text })),
      ),
    )
  }
  if (typeof kind === 'object') return bytesField(number, encodeMessage(kind, value as Message))
  if (kind === 'bytes') return bytesField(number, Buffer.from(value as Uint8Array))
  if (kind === 'string') {
    return value === '' && !always ? Buffer.alloc(0) : bytesField(number, Buffer.from(value as string))
  }
  const integer = BigInt(value as number | boolean)
  if (integer === 0n && !always) return Buffer.alloc(0)
  return Buffer.concat([varint(BigInt((number << 3) | wireTypes.varint)), varint(BigInt.asUintN(64, integer))])
}

const entrySchema: MessageSchema = { key: { number: 1, kind: 'string' }, value: { number: 2, kind: 'string' } }

function bytesField(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(BigInt((number << 3) | wireTypes.bytes)), varint(BigInt(bytes.length)), bytes])
}

function varint(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

/** Fields that the schema doesn't have are passed over. @throws ProtobufError */
export function decodeMessage(schema: MessageSchema, bytes: Uint8Array, depth = 0): Record<string, unknown> {
  if (depth > deepest) throw new ProtobufError('messages in messages, too deep')
  const fields = new Map(Object.entries(schema).map(([name, field]) => [field.number, { name, field }]))
  const message: Record<string, unknown> = {}
  const reader = new Reader(bytes)
  while (!reader.atEnd) {
    const tag = Number(reader.varint())
    const known = fields.get(tag >>> 3)
    const value = reader.value(tag & 7)
    if (known === undefined) continue
    const { name, field } = known
    const decoded = decodeField(field.kind, value, depth)
    if (field.kind === 'map') {
      const { key = '', value: text = '' } = decoded as { key?: string; value?: string }
      message[name] = { ...(message[name] as object | undefined), [key]: text }
    } else if (field.repeated === true) {
      message[name] = [...((message[name] as unknown[] | undefined) ?? []), decoded]
    } else message[name] = decoded
  }
  return message
}

function decodeField(kind: FieldKind, value: bigint | Uint8Array | undefined, depth: number): unknown {
  if (value === undefined) throw new ProtobufError('a number of a fixed size in the place of another')
  if (kind === 'map' || typeof kind === 'object' || kind === 'string' || kind === 'bytes') {
    if (typeof value === 'bigint') throw new ProtobufError('a number in the place of bytes')
    if (kind === 'bytes') return value
    if (kind === 'string') return Buffer.from(value).toString('utf8')
    return decodeMessage(kind === 'map' ? entrySchema : kind, value, depth + 1)
  }
  if (typeof value !== 'bigint') throw new ProtobufError('bytes in the place of a number')
  return kind === 'bool' ? value !== 0n : Number(BigInt.asIntN(64, value))
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new ProtobufError('cut off')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw new ProtobufError('a number of more than 64 bits')
  }

  /** @returns undefined for one of a fixed size, which no field here is */
  value(wireType: number): bigint | Uint8Array | undefined {
    switch (wireType) {
      case wireTypes.varint:
        return this.varint()
      case wireTypes.fixed64:
      case wireTypes.fixed32:
        this.#take(wireType === wireTypes.fixed64 ? 8 : 4)
        return undefined
      case wireTypes.bytes:
        return this.#take(Number(this.varint()))
      default:
        throw new ProtobufError(`wire type ${String(wireType)}`)
    }
  }

  #take(size: number): Uint8Array {
    if (size > this.#bytes.length - this.#at) throw new ProtobufError('cut off')
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }
}
