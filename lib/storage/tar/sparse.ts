/**
 * Sparse files: GNU's old format (a map in the header and in blocks behind it), and PAX formats 0.0, 0.1 (a map in the
 * extended header) and 1.0 (a map before the contents). tar's manual, "Sparse Formats".
 */
import type { TarChunk } from './entry.js'
import { blockSize, parseNumber } from './header.js'
import { paxNumber } from './pax.js'

/** Pieces of a file at most. GNU tar makes one for each run of blocks: a million of them is a file of 8 GB at least. */
export const mostChunks = 1_000_000

/** The map of an old GNU header (4 pairs at 386) or of a block behind it (21 pairs at 0). */
export function parseOldMap(bytes: Buffer, at: number, header: boolean, into: number[]): void {
  const first = header ? at + 386 : at
  for (let entry = first; entry < first + (header ? 4 : 21) * 24; entry += 24) {
    // An unused pair is all zero; in a used one there are digits.
    if (bytes[entry] !== 0) into.push(parseNumber(bytes, entry, 12), parseNumber(bytes, entry + 12, 12))
  }
}

/** The size of the file of an old GNU header, holes counted. */
export function parseOldSize(bytes: Buffer, at: number): number {
  return parseNumber(bytes, at + 483, 12)
}

/** Whether another block with a part of the map follows. */
export function mapContinues(bytes: Buffer, at: number, header: boolean): boolean {
  return bytes[at + (header ? 482 : 504)] !== 0
}

/** The pairs of a map of the formats 0.0 and 0.1. */
export function parseTextMap(parts: readonly string[]): number[] {
  return parts.map((part) => paxNumber(part))
}

/** The map of format 1.0, block by block: a count and as many pairs, each number on a line, padded to a block. */
export class LeadingMap {
  readonly pairs: number[] = []
  /** Bytes of the blocks taken in. */
  length = 0
  #left = -1
  #number = 0
  #digits = 0

  /**
   * Take the block at `at` in.
   * @returns whether the map is whole: the contents start behind this block. Undefined when it is damaged.
   */
  push(bytes: Buffer, at: number): boolean | undefined {
    this.length += blockSize
    for (let i = at; i < at + blockSize; i++) {
      const byte = bytes[i]!
      if (byte === 0x0a) {
        if (this.#digits === 0) return undefined
        if (this.#left < 0) {
          if (this.#number > mostChunks) return undefined
          this.#left = this.#number * 2
        } else {
          this.pairs.push(this.#number)
          this.#left--
        }
        if (this.#left === 0) return true
        this.#number = this.#digits = 0
      } else {
        if (byte < 0x30 || byte > 0x39 || ++this.#digits > 15) return undefined
        this.#number = this.#number * 10 + (byte - 0x30)
      }
    }
    return false
  }
}

/**
 * The pieces of a map, checked: in order, within the file, and `stored` bytes in all.
 * @returns undefined when it is not so
 */
export function chunksOf(pairs: readonly number[], size: number, stored: number): TarChunk[] | undefined {
  const chunks: TarChunk[] = []
  let reached = 0
  let sum = 0
  if (pairs.length % 2 !== 0 || pairs.length > mostChunks * 2) return undefined
  for (let i = 0; i < pairs.length; i += 2) {
    const offset = pairs[i]!
    const length = pairs[i + 1]!
    // Written so that NaN fails too.
    if (!(offset >= reached && length >= 0 && offset + length <= size)) return undefined
    reached = offset + length
    sum += length
    if (length > 0) chunks.push({ offset, length })
  }
  return sum === stored ? chunks : undefined
}
