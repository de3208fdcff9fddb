/**
 * A reader for what ld.so(8) wants to know of an ELF file (elf(5)): who interprets it, and which libraries it needs.
 *
 * It goes by program headers alone, as the kernel and the loader do; section headers may be stripped or lie. Every
 * offset and length of the file is checked before it is used, and the work is bounded, whatever the file says.
 */
import { PodlingError } from '../../errors.js'

/** Random access to a file's bytes. `read` is only called for ranges that lie within `size`. */
export interface ElfSource {
  readonly size: number
  read(position: number, length: number): Promise<Uint8Array>
}

/** What an ELF file says of itself. */
export interface Elf {
  readonly bits: 32 | 64
  readonly littleEndian: boolean
  /** `e_machine`, such as 62 for x86-64 and 183 for AArch64. */
  readonly machine: number
  /** PT_INTERP: the path of the loader. Absent from static programs and most libraries. */
  readonly interpreter?: string
  /** DT_SONAME. */
  readonly soname?: string
  /** DT_NEEDED, in the file's order. */
  readonly needed: readonly string[]
  /** DT_RPATH as it stands, colons and `$ORIGIN` and all. */
  readonly rpath?: string
  /** DT_RUNPATH as it stands. */
  readonly runpath?: string
  /** DF_1_NODEFLIB: the default directories are not searched for this file's libraries. */
  readonly noDefaultLibraries: boolean
}

const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_INTERP = 3

const DT_NULL = 0
const DT_NEEDED = 1
const DT_STRTAB = 5
const DT_STRSZ = 10
const DT_SONAME = 14
const DT_RPATH = 15
const DT_RUNPATH = 29
const DT_FLAGS_1 = 0x6ffffffb
const DF_1_NODEFLIB = 0x800n

/** Bounds on hostile files; real ones stay far below. */
const MAX_PROGRAM_HEADERS = 4096
const MAX_DYNAMIC_BYTES = 1 << 20
const MAX_NEEDED = 1024
const MAX_NAME = 4096
const MAX_SEARCH_PATH = 1 << 16

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly size: number
}

/**
 * Read an ELF file.
 * @param name what messages call the file: its path.
 * @returns undefined when the file doesn't begin with ELF's magic number.
 * @throws PodlingError `ELF_INVALID` when it does, but is truncated or contradicts itself.
 */
export async function readElf(source: ElfSource, name: string): Promise<Elf | undefined> {
  if (source.size < 4 || !isMagic(await source.read(0, 4))) return undefined
  return new Reader(source, name).read()
}

function isMagic(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
}

class Reader {
  readonly #source: ElfSource
  readonly #name: string
  #littleEndian = true
  #wide = true

  constructor(source: ElfSource, name: string) {
    this.#source = source
    this.#name = name
  }

  async read(): Promise<Elf> {
    const identity = await this.#bytes(0, 16, 'identification')
    const [bits, order] = [identity.getUint8(4), identity.getUint8(5)]
    if (bits !== 1 && bits !== 2) throw this.#invalid(`its class is ${String(bits)}`)
    if (order !== 1 && order !== 2) throw this.#invalid(`its byte order is ${String(order)}`)
    this.#wide = bits === 2
    this.#littleEndian = order === 1

    const header = await this.#bytes(0, this.#wide ? 64 : 52, 'header')
    const segments = await this.#segments(header)
    return {
      bits: this.#wide ? 64 : 32,
      littleEndian: this.#littleEndian,
      machine: this.#half(header, 18),
      ...(await this.#interpreter(segments)),
      ...(await this.#dynamic(segments)),
    }
  }

  async #segments(header: DataView): Promise<Segment[]> {
    const offset = this.#wide ? this.#word64(header, 32, 'program header offset') : this.#word(header, 28)
    const entrySize = this.#half(header, this.#wide ? 54 : 42)
    const count = this.#half(header, this.#wide ? 56 : 44)
    if (count === 0) return []
    if (count > MAX_PROGRAM_HEADERS) throw this.#invalid(`it has ${String(count)} program headers`)
    if (entrySize < (this.#wide ? 56 : 32)) throw this.#invalid(`its program headers have ${String(entrySize)} bytes`)
    const table = await this.#bytes(offset, entrySize * count, 'program headers')
    return Array.from({ length: count }, (_, index) => this.#segment(table, index * entrySize))
  }

  #segment(table: DataView, at: number): Segment {
    const type = this.#word(table, at)
    // A segment of no interest to us may hold any numbers, so only the three kinds are checked to be exact.
    if (type !== PT_LOAD && type !== PT_DYNAMIC && type !== PT_INTERP) return { type, offset: 0, address: 0, size: 0 }
    return this.#wide
      ? {
          type,
          offset: this.#word64(table, at + 8, 'segment offset'),
          address: this.#word64(table, at + 16, 'segment address'),
          size: this.#word64(table, at + 32, 'segment size'),
        }
      : {
          type,
          offset: this.#word(table, at + 4),
          address: this.#word(table, at + 8),
          size: this.#word(table, at + 16),
        }
  }

  async #interpreter(segments: readonly Segment[]): Promise<{ interpreter?: string }> {
    const segment = segments.find(({ type }) => type === PT_INTERP)
    if (segment === undefined) return {}
    return { interpreter: await this.#text(segment.offset, segment.size, MAX_NAME, 'interpreter') }
  }

  async #dynamic(
    segments: readonly Segment[],
  ): Promise<Pick<Elf, 'soname' | 'needed' | 'rpath' | 'runpath' | 'noDefaultLibraries'>> {
    const segment = segments.find(({ type }) => type === PT_DYNAMIC)
    // A file of debug symbols keeps the header of a segment whose bytes it no longer has.
    if (segment === undefined || segment.size === 0) return { needed: [], noDefaultLibraries: false }
    if (segment.size > MAX_DYNAMIC_BYTES) throw this.#invalid(`its dynamic segment has ${String(segment.size)} bytes`)
    const tags = this.#tags(await this.#bytes(segment.offset, segment.size, 'dynamic segment'))

    const strings = this.#stringTable(tags, segments)
    const string = async (offset: bigint, limit: number, what: string): Promise<string> => {
      if (strings === undefined) throw this.#invalid(`its ${what} is in a string table that it hasn't got`)
      return this.#text(strings.offset + Number(offset), strings.size - Number(offset), limit, what)
    }
    const optional = async (tag: number, limit: number, what: string): Promise<string | undefined> => {
      const value = tags.get(tag)?.[0]
      return value === undefined ? undefined : string(value, limit, what)
    }

    const names = tags.get(DT_NEEDED) ?? []
    if (names.length > MAX_NEEDED) throw this.#invalid(`it needs ${String(names.length)} libraries`)
    const [needed, soname, rpath, runpath] = await Promise.all([
      Promise.all(names.map((offset) => string(offset, MAX_NAME, 'needed library'))),
      optional(DT_SONAME, MAX_NAME, 'soname'),
      optional(DT_RPATH, MAX_SEARCH_PATH, 'rpath'),
      optional(DT_RUNPATH, MAX_SEARCH_PATH, 'runpath'),
    ])
    return {
      needed,
      ...(soname === undefined ? {} : { soname }),
      ...(rpath === undefined ? {} : { rpath }),
      ...(runpath === undefined ? {} : { runpath }),
      noDefaultLibraries: ((tags.get(DT_FLAGS_1)?.[0] ?? 0n) & DF_1_NODEFLIB) !== 0n,
    }
  }

  /** The dynamic array as tag → values, up to its DT_NULL. */
  #tags(table: DataView): Map<number, bigint[]> {
    const size = this.#wide ? 16 : 8
    const tags = new Map<number, bigint[]>()
    for (let at = 0; at + size <= table.byteLength; at += size) {
      const tag = this.#wide ? Number(table.getBigUint64(at, this.#littleEndian)) : this.#word(table, at)
      if (tag === DT_NULL) break
      const value = this.#wide ? table.getBigUint64(at + 8, this.#littleEndian) : BigInt(this.#word(table, at + 4))
      const values = tags.get(tag)
      if (values === undefined) tags.set(tag, [value])
      else values.push(value)
    }
    return tags
  }

  /** DT_STRTAB is an address; the PT_LOAD segment that holds it says where it is in the file. */
  #stringTable(
    tags: ReadonlyMap<number, readonly bigint[]>,
    segments: readonly Segment[],
  ): { offset: number; size: number } | undefined {
    const address = tags.get(DT_STRTAB)?.[0]
    if (address === undefined) return undefined
    const segment = segments.find(
      ({ type, address: start, size }) =>
        type === PT_LOAD && address >= BigInt(start) && address < BigInt(start) + BigInt(size),
    )
    if (segment === undefined) throw this.#invalid('its string table is at an address that no segment loads')
    const skipped = Number(address) - segment.address
    const available = segment.size - skipped
    const size = tags.get(DT_STRSZ)?.[0] ?? BigInt(available)
    return { offset: segment.offset + skipped, size: size < BigInt(available) ? Number(size) : available }
  }

  /** The NUL-terminated string at `offset`, of a field of `space` bytes. */
  async #text(offset: number, space: number, limit: number, what: string): Promise<string> {
    let text = ''
    const decoder = new TextDecoder('utf-8')
    for (let read = 0; read < space;) {
      if (read > limit) throw this.#invalid(`its ${what} is longer than ${String(limit)} bytes`)
      const view = await this.#bytes(offset + read, Math.min(256, space - read, this.#left(offset + read)), what)
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      const end = bytes.indexOf(0)
      if (end >= 0) return text + decoder.decode(bytes.subarray(0, end))
      text += decoder.decode(bytes, { stream: true })
      read += bytes.length
    }
    throw this.#invalid(`its ${what} has no end`)
  }

  #left(offset: number): number {
    return Math.max(1, this.#source.size - offset)
  }

  async #bytes(offset: number, length: number, what: string): Promise<DataView> {
    if (offset + length > this.#source.size) throw this.#invalid(`its ${what} lies beyond its end`)
    const bytes = await this.#source.read(offset, length)
    if (bytes.length !== length) throw this.#invalid(`it ended while its ${what} was read`)
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  #half(view: DataView, at: number): number {
    return view.getUint16(at, this.#littleEndian)
  }

  #word(view: DataView, at: number): number {
    return view.getUint32(at, this.#littleEndian)
  }

  #word64(view: DataView, at: number, what: string): number {
    const value = view.getBigUint64(at, this.#littleEndian)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#invalid(`its ${what} is ${String(value)}`)
    return Number(value)
  }

  #invalid(reason: string): PodlingError {
    return new PodlingError('ELF_INVALID', `${this.#name} is not a valid ELF file: ${reason}`, { path: this.#name })
  }
}
