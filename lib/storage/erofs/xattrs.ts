/** Extended attributes: out of an unpacker's operation, and into an inode of EROFS. */

/** Numbers of the prefixes that EROFS leaves out of names (fs/erofs/erofs_fs.h). */
const prefixes = [
  ['user.', 1],
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
] as const

/** What {@link encodeXattrs} of an operation wrote. */
export function decodeXattrs(bytes: Uint8Array | undefined): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  if (bytes === undefined) return found
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < all.length;) {
    const value = at + 6 + all.readUInt16LE(at)
    const end = value + all.readUInt32LE(at + 2)
    found.set(all.toString('latin1', at + 6, value), Buffer.from(all.subarray(value, end)))
    at = end
  }
  return found
}

/** Bytes of the head in front of an inode's own attributes: a filter that isn't used, and how many are shared: none. */
const headSize = 12

/** The attributes as they stand behind an inode; empty when there are none. */
export function inodeXattrs(xattrs: ReadonlyMap<string, Buffer> | undefined): Buffer {
  if (xattrs === undefined || xattrs.size === 0) return Buffer.alloc(0)
  const parts = [Buffer.alloc(headSize)]
  for (const [name, value] of xattrs) {
    const [prefix, index] = prefixes.find(([start]) => name.startsWith(start)) ?? ['', 0]
    const rest = Buffer.from(name.slice(prefix.length), 'latin1')
    const entry = Buffer.alloc(Math.ceil((4 + rest.length + value.length) / 4) * 4)
    entry.writeUInt8(rest.length, 0)
    entry.writeUInt8(index, 1)
    entry.writeUInt16LE(value.length, 2)
    rest.copy(entry, 4)
    value.copy(entry, 4 + rest.length)
    parts.push(entry)
  }
  return Buffer.concat(parts)
}

/** How an inode says how long its attributes are. */
export function xattrCount(length: number): number {
  return length === 0 ? 0 : (length - headSize) / 4 + 1
}
