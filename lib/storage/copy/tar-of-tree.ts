/** A tree as a tar. */
import { isLayerXattr } from '../layer-operations.js'
import { isTarred, padding, tarEnd, tarHeader, type TarredEntry } from '../tar/writer.js'
import type { PackedEntry, PackedPart } from './pack-parser.js'

/** How an entry of the tree stands in the tar: as several ones, or not at all. Hard links name what they link to. */
export type ToTar = (entry: PackedEntry) => readonly TarredEntry[]

/** Zeros of holes, which a tar has to write out. */
const zeros = Buffer.alloc(256 * 1024)

/** @param parts as `packTree` gives them */
export async function* tarOfTree(parts: AsyncIterable<PackedPart[]>, toTar: ToTar): AsyncGenerator<Buffer> {
  let size = 0
  let at = 0
  let wanted = false
  for await (const some of parts) {
    const bytes: Buffer[] = []
    for (const part of some) {
      if (part.is === 'entry') {
        const entries = toTar(part.entry)
        for (const entry of entries) bytes.push(tarHeader(entry))
        wanted = entries.some(({ operation }) => operation === 'file')
        size = part.entry.size
        at = 0
      } else if (part.is === 'end') {
        bytes.push(tarEnd)
      } else if (wanted) {
        // Up to the bytes, or to the end of the file, there is a hole.
        for (const end = part.is === 'bytes' ? part.offset : size; at < end;) {
          const hole = zeros.subarray(0, Math.min(end - at, zeros.length))
          at += hole.length
          // A large one is longer than memory.
          if (bytes.length > 0) yield Buffer.concat(bytes.splice(0))
          yield hole
        }
        if (part.is === 'bytes') at += part.bytes.length
        bytes.push(part.is === 'bytes' ? part.bytes : padding(size))
      }
    }
    if (bytes.length > 0) yield bytes.length === 1 ? bytes[0]! : Buffer.concat(bytes)
  }
}

/** An entry as it is, under a name. What a tar has no word for, a socket, is left out, and so is what is the host's business. */
export function asItIs(entry: PackedEntry, name: string, link = entry.link): TarredEntry[] {
  const { operation } = entry
  if (!isTarred(operation)) return []
  return [{ ...entry, operation, name, link, xattrs: entry.xattrs.filter(([key]) => isLayerXattr(key)) }]
}

/** All below `prefix`, where `''` puts nothing in front. The beginning itself bears the prefix's name. */
export function under(prefix: string): ToTar {
  const name = (path: string): string => (path === '' ? prefix || './' : prefix === '' ? path : `${prefix}/${path}`)
  return (entry) => {
    return asItIs(entry, name(entry.path), entry.operation === 'hardlink' ? name(entry.link) : entry.link)
  }
}
