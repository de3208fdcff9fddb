/** Where a file's contents are found: in the tar, or, where they don't lie there in whole blocks, copied beside the index. */
import { blockBits, blockSize } from './format.js'
import type { TarChunk } from '../tar/entry.js'

/** Chunks of a sparse file at most; a file that isn't sparse has one. */
const mostChunks = 65536
/** Chunks may be up to this many blocks, as a power of two (5 bits of the format). */
const mostChunkBits = 31

export type Place =
  /** Nothing is there. */
  | { readonly in: 'hole' }
  /** From this offset of the tar on. */
  | { readonly in: 'tar'; readonly offset: number }
  /** These pieces of the tar, at these offsets within the chunk, and holes between. */
  | { readonly in: 'copy'; readonly pieces: readonly Copy[] }

export interface Copy {
  readonly at: number
  readonly offset: number
  readonly length: number
}

export interface FileChunks {
  /** A chunk has blockSize << bits bytes. */
  readonly bits: number
  readonly places: readonly Place[]
}

interface FileContents {
  readonly size: number
  readonly pieces: readonly TarChunk[]
  readonly contentsAt: number
}

/** How the contents of a file are put together. */
export function fileChunks({ size, pieces, contentsAt }: FileContents): FileChunks {
  const [only] = pieces
  const isWhole = pieces.length === 1 && only!.offset === 0 && only!.length === size
  const bits = isWhole ? bitsFor(size, 1) : bitsFor(size, mostChunks)
  const chunkSize = blockSize * 2 ** bits
  const places: Place[] = []
  let next = 0
  // Where the contents of the piece `next` begin in the tar.
  let offset = contentsAt
  for (let start = 0; start < size; start += chunkSize) {
    const end = Math.min(start + chunkSize, size)
    for (; next < pieces.length && pieces[next]!.offset + pieces[next]!.length <= start; next++)
      offset += pieces[next]!.length
    places.push(placeOf(pieces, next, offset, start, end))
  }
  return { bits, places }
}

function placeOf(pieces: readonly TarChunk[], first: number, tar: number, start: number, end: number): Place {
  const copies: Copy[] = []
  let offset = tar
  for (let i = first; i < pieces.length && pieces[i]!.offset < end; i++) {
    const piece = pieces[i]!
    const from = Math.max(piece.offset, start)
    const to = Math.min(piece.offset + piece.length, end)
    if (to > from) copies.push({ at: from - start, offset: offset + from - piece.offset, length: to - from })
    offset += piece.length
  }
  const [only] = copies
  if (only === undefined) return { in: 'hole' }
  // What the last block has behind the end of the file doesn't show.
  const isPlain = copies.length === 1 && only.length === end - start && only.offset % blockSize === 0
  return isPlain ? { in: 'tar', offset: only.offset } : { in: 'copy', pieces: copies }
}

/** The smallest chunks of which `most` are enough. */
function bitsFor(size: number, most: number): number {
  let bits = 0
  while (bits < mostChunkBits && Math.ceil(size / 2 ** (blockBits + bits)) > most) bits++
  return bits
}
