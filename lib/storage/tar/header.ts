/** One 512-byte header block of a tar: POSIX ustar (pax(1)), GNU (tar's manual, "Basic Tar Format"), star, and v7. */

export const blockSize = 512

export interface TarHeader {
  readonly name: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly type: string
  readonly linkName: string
  readonly major: number
  readonly minor: number
  readonly gnu: boolean
}

/** Whether the block at `at` is all zero: two of them end a tar. */
export function isZeroBlock(bytes: Buffer, at: number): boolean {
  for (let i = at; i < at + blockSize; i++) if (bytes[i] !== 0) return false
  return true
}

/** Whether the checksum of the header is right; some old writers summed signed characters. */
export function checksumFits(bytes: Buffer, at: number): boolean {
  let unsigned = 8 * 0x20
  let negative = 0
  for (let i = at; i < at + blockSize; i++) {
    const byte = bytes[i]!
    unsigned += byte
    if (byte > 127) negative++
  }
  for (let i = at + 148; i < at + 156; i++) {
    const byte = bytes[i]!
    unsigned -= byte
    if (byte > 127) negative--
  }
  const stored = parseNumber(bytes, at + 148, 8)
  return stored === unsigned || stored === unsigned - 256 * negative
}

/** Take a header block apart. Numbers that can't be read are NaN, for the caller to judge where they matter. */
export function parseHeader(bytes: Buffer, at: number): TarHeader {
  const magic = bytes.toString('latin1', at + 257, at + 265)
  const posix = magic.startsWith('ustar\0')
  const gnu = magic === 'ustar  \0'
  let name = parseString(bytes, at, 100)
  if (posix) {
    const star = bytes.toString('latin1', at + 508, at + 512) === 'tar\0'
    const prefix = parseString(bytes, at + 345, star ? 131 : 155)
    if (prefix !== '') name = `${prefix}/${name}`
  }
  return {
    name,
    mode: parseNumber(bytes, at + 100, 8),
    uid: parseNumber(bytes, at + 108, 8),
    gid: parseNumber(bytes, at + 116, 8),
    size: parseNumber(bytes, at + 124, 12),
    mtime: parseNumber(bytes, at + 136, 12),
    type: String.fromCharCode(bytes[at + 156]!),
    linkName: parseString(bytes, at + 157, 100),
    major: posix || gnu ? parseNumber(bytes, at + 329, 8) : 0,
    minor: posix || gnu ? parseNumber(bytes, at + 337, 8) : 0,
    gnu,
  }
}

/** A string field: up to its NUL, or all of it. */
export function parseString(bytes: Buffer, at: number, length: number): string {
  let end = at
  while (end < at + length && bytes[end] !== 0) end++
  return bytes.toString('latin1', at, end)
}

/**
 * A number field: octal digits between spaces and NULs, or base 256 in two's complement when the first bit is set.
 * @returns NaN when it is neither, or beyond what a double holds exactly
 */
export function parseNumber(bytes: Buffer, at: number, length: number): number {
  const first = bytes[at]!
  if (first >= 0x80) return parseBase256(bytes, at, length)
  let i = at
  const end = at + length
  while (i < end && (bytes[i] === 0x20 || bytes[i] === 0)) i++
  let value = 0
  for (; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0x20 || byte === 0) break
    if (byte < 0x30 || byte > 0x37) return NaN
    value = value * 8 + (byte - 0x30)
  }
  for (; i < end; i++) if (bytes[i] !== 0x20 && bytes[i] !== 0) return NaN
  return value
}

function parseBase256(bytes: Buffer, at: number, length: number): number {
  const first = bytes[at]!
  const negative = (first & 0x40) !== 0
  // The first bit says that it is base 256, the second is the sign.
  let value = negative ? first - 256 : first & 0x3f
  for (let i = at + 1; i < at + length; i++) value = value * 256 + bytes[i]!
  return Number.isSafeInteger(value) ? value : NaN
}
