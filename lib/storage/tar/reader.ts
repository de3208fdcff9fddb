/**
 * The tar reader: bytes are pushed in, entries and their contents come out of it at once, with no stream between.
 *
 * tar-stream, which the rest of Podling reads archives with, can't take its place for layers: it refuses GNU's old sparse
 * headers (type `S`) and takes the sparse formats of pax for plain files, takes the bytes of names for UTF-8, drops the
 * fractions of times, sets no bound to extended headers, and makes a stream of every entry, which costs more than all
 * the rest for the small files that layers are made of.
 *
 * Whatever bytes come, the reader throws LAYER_INVALID or goes on, and it never holds more of them than
 * {@link largestMeta} and a sparse map.
 */
import { describe, type Description } from './describe.js'
import type { TarSink } from './entry.js'
import { blockSize, checksumFits, isZeroBlock, parseHeader, type TarHeader } from './header.js'
import { invalidTar } from './invalid.js'
import { parsePax, type PaxRecords } from './pax.js'
import { chunksOf, LeadingMap, mapContinues, mostChunks, parseOldMap, parseOldSize } from './sparse.js'

/** Bytes of one extended header or long name at most: attributes of 64 KiB each need room, bombs get none. */
const largestMeta = 1024 * 1024

type State =
  /** A header, or the two blocks of zeros that end the tar. */
  | { readonly is: 'header' }
  /** The body of an extended header or of a long name. */
  | { readonly is: 'meta'; readonly type: string; left: number; readonly parts: Buffer[] }
  /** A block with more of an old sparse map. */
  | { readonly is: 'old-map'; readonly description: Description; readonly pairs: number[] }
  /** The map before the contents of a sparse file. */
  | { readonly is: 'leading-map'; readonly description: Description; readonly map: LeadingMap }
  | { readonly is: 'contents'; left: number; readonly name: string }
  /** Padding, and contents that an entry has no use for. */
  | { readonly is: 'skip'; left: number; readonly name: string }
  /** Behind the end. */
  | { readonly is: 'done' }

export class TarReader {
  readonly #sink: TarSink
  #state: State = { is: 'header' }
  /** Offset of the first byte that is not used up, which is a block's first unless contents are being read. */
  #offset = 0
  /** Part of a block, whose rest comes with the next push. */
  readonly #carry = Buffer.alloc(blockSize)
  #carried = 0
  #zeroBlock = false
  readonly #global = new Map<string, string>()
  #globalSize = 0
  #pax: PaxRecords | undefined
  #longName: string | undefined
  #longLink: string | undefined

  constructor(sink: TarSink) {
    this.#sink = sink
  }

  /** Take more of the tar in. @throws PodlingError LAYER_INVALID, after which the reader is of no use. */
  push(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      const state = this.#state
      if (state.is === 'done') return
      if (state.is === 'contents' || state.is === 'skip' || state.is === 'meta') {
        const length = Math.min(state.left, bytes.length - at)
        const piece = bytes.subarray(at, at + length)
        state.left -= length
        at += length
        this.#offset += length
        if (state.is === 'contents') this.#sink.data(piece)
        else if (state.is === 'meta') state.parts.push(Buffer.from(piece))
        if (state.left === 0) this.#endOf(state)
      } else if (this.#carried === 0 && bytes.length - at >= blockSize) {
        this.#block(bytes, at)
        at += blockSize
      } else {
        const length = Math.min(blockSize - this.#carried, bytes.length - at)
        bytes.copy(this.#carry, this.#carried, at, at + length)
        this.#carried += length
        at += length
        if (this.#carried < blockSize) return
        this.#carried = 0
        this.#block(this.#carry, 0)
      }
    }
  }

  /**
   * Say that no more comes. The two blocks of zeros may be missing, as some writers leave them out.
   * @throws PodlingError LAYER_INVALID when the tar is cut short
   */
  finish(): void {
    const state = this.#state
    if (state.is === 'done') return
    if (state.is === 'header' && this.#carried === 0 && !this.#hasExtras()) return
    const name = 'name' in state ? state.name : 'description' in state ? state.description.entry.name : undefined
    throw invalidTar('it is cut short', this.#offset + this.#carried, name)
  }

  #block(bytes: Buffer, at: number): void {
    const offset = this.#offset
    this.#offset += blockSize
    const state = this.#state
    if (state.is === 'old-map') this.#oldMap(state, bytes, at)
    else if (state.is === 'leading-map') this.#leadingMap(state, bytes, at)
    else this.#header(bytes, at, offset)
  }

  #header(bytes: Buffer, at: number, offset: number): void {
    if (bytes[at] === 0 && isZeroBlock(bytes, at)) {
      if (this.#hasExtras()) throw invalidTar('an extended header without an entry', offset)
      if (this.#zeroBlock) this.#state = { is: 'done' }
      this.#zeroBlock = true
      return
    }
    const header = parseHeader(bytes, at)
    if (!checksumFits(bytes, at)) throw invalidTar('the checksum of a header is wrong', offset, header.name)
    if (this.#zeroBlock) throw invalidTar('a header behind a block of zeros', offset, header.name)
    if ('xXgLK'.includes(header.type)) this.#startMeta(header, offset)
    else if (header.type === 'V') this.#startSkip(header.size, header.name, offset)
    else this.#startEntry(header, bytes, at, offset)
  }

  #startMeta({ type, size, name }: TarHeader, offset: number): void {
    if (!(size >= 0 && size <= largestMeta)) {
      throw invalidTar(`an extended header of ${String(size)} bytes, more than ${String(largestMeta)}`, offset, name)
    }
    this.#state = { is: 'meta', type, left: size, parts: [] }
    if (size === 0) this.#endOf(this.#state)
  }

  #startSkip(size: number, name: string, offset: number): void {
    if (!(size >= 0)) throw invalidTar('its size is wrong', offset, name)
    this.#state = size === 0 ? { is: 'header' } : { is: 'skip', left: Math.ceil(size / blockSize) * blockSize, name }
  }

  #startEntry(header: TarHeader, bytes: Buffer, at: number, offset: number): void {
    const extras = { global: this.#global, pax: this.#pax, longName: this.#longName, longLink: this.#longLink }
    this.#pax = this.#longName = this.#longLink = undefined
    const description = describe(header, extras, offset)
    if (header.type === 'S') {
      const pairs: number[] = []
      parseOldMap(bytes, at, true, pairs)
      const whole = { ...description, entry: { ...description.entry, size: parseOldSize(bytes, at) } }
      if (mapContinues(bytes, at, true)) this.#state = { is: 'old-map', description: whole, pairs }
      else this.#startSparse(whole, pairs, description.stored)
    } else if (description.map === 'leading') {
      this.#state = { is: 'leading-map', description, map: new LeadingMap() }
    } else if (description.map !== undefined) {
      this.#startSparse(description, description.map, description.stored)
    } else {
      const { entry, stored, hasContents } = description
      const chunks = hasContents && stored > 0 ? [{ offset: 0, length: stored }] : []
      this.#sink.entry({ ...entry, chunks, contentsAt: this.#offset })
      if (hasContents) this.#startContents(stored, entry.name)
      else this.#startSkip(stored, entry.name, offset)
    }
  }

  #oldMap(state: Extract<State, { is: 'old-map' }>, bytes: Buffer, at: number): void {
    const { description, pairs } = state
    parseOldMap(bytes, at, false, pairs)
    if (pairs.length > mostChunks * 2) throw this.#badMap(description)
    if (!mapContinues(bytes, at, false)) this.#startSparse(description, pairs, description.stored)
  }

  #leadingMap(state: Extract<State, { is: 'leading-map' }>, bytes: Buffer, at: number): void {
    const { description, map } = state
    const whole = map.push(bytes, at)
    if (whole === undefined) throw this.#badMap(description)
    if (whole) this.#startSparse(description, map.pairs, description.stored - map.length)
    else if (map.length > description.stored) throw this.#badMap(description)
  }

  #startSparse(description: Description, pairs: readonly number[], stored: number): void {
    const { entry } = description
    const chunks = chunksOf(pairs, entry.size, stored)
    if (chunks === undefined) throw this.#badMap(description)
    this.#sink.entry({ ...entry, chunks, contentsAt: this.#offset })
    this.#startContents(stored, entry.name)
  }

  #badMap({ entry }: Description): Error {
    return invalidTar('the map of a sparse file is wrong', entry.offset, entry.name)
  }

  #startContents(size: number, name: string): void {
    this.#state = size === 0 ? { is: 'header' } : { is: 'contents', left: size, name }
  }

  #endOf(state: Extract<State, { left: number }>): void {
    const padding = state.is === 'skip' ? 0 : (blockSize - (this.#offset % blockSize)) % blockSize
    this.#state =
      padding === 0 ? { is: 'header' } : { is: 'skip', left: padding, name: 'name' in state ? state.name : '' }
    if (state.is === 'meta') this.#takeMeta(state.type, Buffer.concat(state.parts))
  }

  #takeMeta(type: string, body: Buffer): void {
    if (type === 'L') this.#longName = untilNul(body)
    else if (type === 'K') this.#longLink = untilNul(body)
    else if (type !== 'g') this.#pax = parsePax(body, this.#offset)
    else {
      this.#globalSize += body.length
      if (this.#globalSize > largestMeta) throw invalidTar('more than 1 MiB of global extended headers', this.#offset)
      for (const [key, value] of parsePax(body, this.#offset).values) this.#global.set(key, value)
    }
  }

  #hasExtras(): boolean {
    return this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined
  }
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0)
  return body.toString('latin1', 0, end < 0 ? body.length : end)
}
