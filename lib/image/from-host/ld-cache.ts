/**
 * /etc/ld.so.cache, the index that ldconfig(8) makes and ld.so(8) searches, in its format `glibc-ld.so.cache1.1`:
 * a header of 48 bytes, entries of 24, sorted, and the strings. Pure bytes to objects and back.
 */

/** One library of the cache. */
export interface CacheEntry {
  readonly name: string
  readonly path: string
  /** Kind of library and machine, such as 0x0303 for x86-64 of glibc. */
  readonly flags: number
  /** Whether it is for processors with certain abilities only (glibc-hwcaps); there is a plain one beside it. */
  readonly special: boolean
}

const MAGIC = 'glibc-ld.so.cache1.1'
const OLD_MAGIC = 'ld.so-1.7.0'
const HEADER = 48
const ENTRY = 24
const OLD_ENTRY = 12
/** cache_file_new_flags_endian_*: bits 0 and 1 of the byte `flags` of the header. */
const LITTLE = 2
const BIG = 3

/**
 * Read a cache in its own order.
 * @returns undefined when it is none, or is damaged; ld.so does without it then, and so should the caller.
 */
export function parseLdCache(file: Uint8Array): CacheEntry[] | undefined {
  const bytes = newFormat(Buffer.from(file.buffer, file.byteOffset, file.byteLength))
  if (bytes === undefined || bytes.length < HEADER) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = (view.getUint8(28) & 3) !== BIG
  const count = view.getUint32(20, little)
  if (HEADER + count * ENTRY > bytes.length) return undefined

  const entries: CacheEntry[] = []
  for (let index = 0; index < count; index++) {
    const at = HEADER + index * ENTRY
    const name = stringAt(bytes, view.getUint32(at + 4, little))
    const path = stringAt(bytes, view.getUint32(at + 8, little))
    if (name === undefined || path === undefined) return undefined
    entries.push({ name, path, flags: view.getUint32(at, little), special: view.getBigUint64(at + 16, little) !== 0n })
  }
  return entries
}

/** Older glibc put the new format behind an old one, aligned to 8 bytes. */
function newFormat(file: Buffer): Buffer | undefined {
  if (startsWith(file, MAGIC)) return file
  if (!startsWith(file, OLD_MAGIC) || file.length < 16) return undefined
  const count = new DataView(file.buffer, file.byteOffset, file.byteLength).getUint32(12, true)
  const start = Math.ceil((16 + count * OLD_ENTRY) / 8) * 8
  const rest = file.subarray(start)
  return startsWith(rest, MAGIC) ? rest : undefined
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(text, 'latin1').equals(bytes.subarray(0, text.length))
}

function stringAt(bytes: Buffer, offset: number): string | undefined {
  const end = bytes.indexOf(0, offset)
  return offset < HEADER || end < 0 ? undefined : bytes.toString('utf8', offset, end)
}

/** Write a cache that ld.so accepts. Entries may come in any order; of two for one name the first wins. */
export function encodeLdCache(entries: readonly Omit<CacheEntry, 'special'>[], littleEndian: boolean): Uint8Array {
  const sorted = [...entries].sort((a, b) => compareNames(b.name, a.name))
  const strings: Buffer[] = []
  let end = HEADER + sorted.length * ENTRY
  const addString = (text: string): number => {
    const bytes = Buffer.from(`${text}\0`)
    strings.push(bytes)
    end += bytes.length
    return end - bytes.length
  }

  const head = Buffer.alloc(HEADER + sorted.length * ENTRY)
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  sorted.forEach(({ name, path, flags }, index) => {
    const at = HEADER + index * ENTRY
    view.setUint32(at, flags, littleEndian)
    view.setUint32(at + 4, addString(name), littleEndian)
    view.setUint32(at + 8, addString(path), littleEndian)
  })
  head.write(MAGIC, 'latin1')
  view.setUint32(20, sorted.length, littleEndian)
  view.setUint32(24, end - head.length, littleEndian)
  view.setUint8(28, littleEndian ? LITTLE : BIG)
  return Buffer.concat([head, ...strings])
}

/**
 * glibc's _dl_cache_libcmp: bytes, but runs of digits by their value, so that `libx.so.10` comes after `libx.so.9`.
 * ld.so searches by halving, so the order must be exactly this one.
 */
export function compareNames(a: string, b: string): number {
  let [i, j] = [0, 0]
  while (i < a.length) {
    const [left, right] = [digitsAt(a, i), digitsAt(b, j)]
    if (left !== '' && right !== '') {
      if (Number(left) !== Number(right)) return Number(left) - Number(right)
      i += left.length
      j += right.length
    } else if (left !== '' || right !== '') {
      return left === '' ? -1 : 1
    } else {
      const difference = a.charCodeAt(i) - (j < b.length ? b.charCodeAt(j) : 0)
      if (difference !== 0) return difference
      i++
      j++
    }
  }
  return j < b.length ? -1 : 0
}

function digitsAt(text: string, at: number): string {
  let end = at
  while (end < text.length && text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 57) end++
  return text.slice(at, end)
}
