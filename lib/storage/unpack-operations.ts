/**
 * What is written to an unpacker: operations, each a fixed head, the path, the link and the extended attributes, all
 * little-endian. native/unpack.h has the same list; a spec compares them.
 *
 * ```
 * u32 operation   u32 mode      u32 uid    u32 gid
 * u64 size        i64 seconds   u32 nanoseconds
 * u32 major       u32 minor     u32 chunks   u32 bytes of extended attributes
 * u16 bytes of path   u16 bytes of link
 * path  link  { u16 bytes of name  u32 bytes of value  name  value }*
 * ```
 * A file is followed by its chunks, each `u64 offset  u64 length` and that many bytes; what is between is a hole.
 */
import type { TarChunk } from './tar/entry.js'

export const unpackOperations = {
  /** First of all: `mode` is {@link unpackVersion}. */
  start: 1,
  directory: 2,
  file: 3,
  symlink: 4,
  hardlink: 5,
  character: 6,
  block: 7,
  fifo: 8,
  /** Hide what lower layers have at path. The attributes are those of `opaque`. */
  whiteout: 9,
  /** Hide what lower layers have in the directory at path, by setting the attributes on it. */
  opaque: 10,
  /** Set the mtime of the directory at path, if there is one. */
  touch: 11,
  /** Remove path and all below it. 'Already gone' is success. */
  remove: 12,
  /** Last of all: `mode` 1 syncs the file system first. */
  end: 13,
  /** From a packer, in the place of the end: `mode` errno, path, link the system call. */
  failed: 14,
  /** From a packer that was asked for single paths: there is nothing at path. */
  missing: 15,
  /** From a packer: a tar has no word for it. */
  socket: 16,
  /** Lay the layer that is the directory `link` over the directory `path`, as copies; the attributes' bytes are {@link mergeOwners}. */
  merge: 17,
  /** Make in the empty directory `path` a layer of how `link` differs from the directory that the attributes' bytes name. */
  changes: 18,
} as const

/** What `major` of a start operation asks an unpacker for: native/unpack.h, `enum unpack_flags`. */
export const unpackFlags = { atPath: 1, followLinks: 2 } as const

/** What it asks a packer for: native/pack.h, `enum pack_flags`. */
export const packFlags = { withoutMounts: 1, follow: 2, names: 4 } as const

export const unpackVersion = 1
export const headSize = 56

/** Bytes of a path, PATH_MAX without its NUL (limits.h); longer ones can't be used by any program. */
export const longestPath = 4095

export type UnpackOperation = keyof typeof unpackOperations

export interface Head {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly seconds?: number
  readonly nanoseconds?: number
  readonly major?: number
  readonly minor?: number
  readonly chunks?: number
  readonly xattrs?: Uint8Array
  /** A byte string: Latin-1, one character a byte. */
  readonly path?: string
  readonly link?: string
  /** Where the contents of a file stand in the tar, and its pieces. Not written: an unpacker gets the contents instead. */
  readonly contentsAt?: number
  readonly pieces?: readonly TarChunk[]
}

/** What the operations of a layer go to, in order: an unpacker, or a tree in memory. */
export interface OperationSink {
  operation(operation: UnpackOperation, head: Head): void
  /** Announce a chunk of a file, whose bytes follow. */
  chunk(offset: number, length: number): void
  contents(bytes: Buffer): void
  flush(): void
}

/** What the operations of a layer go to, in order. */
export interface OperationSink {
  operation(operation: UnpackOperation, head: Head): void
  /** Announce a chunk of a file, whose bytes follow. */
  chunk(offset: number, length: number): void
  contents(bytes: Buffer): void
  flush(): void
}

/** Whose the copies of a merge are: lines of uid_map and gid_map (user_namespaces(7)), a NUL behind each. */
export function mergeOwners({ uid, gid }: { readonly uid: string; readonly gid: string }): Buffer {
  return Buffer.from(`${uid}\0${gid}\0`, 'latin1')
}

const nothing = new Uint8Array(0)

/** Bytes that {@link writeOperation} takes. */
export function operationSize(head: Head): number {
  return headSize + (head.path?.length ?? 0) + (head.link?.length ?? 0) + (head.xattrs?.length ?? 0)
}

/** Write one operation to `target` at `at`, where there is room. @returns the offset behind it. */
export function writeOperation(target: Buffer, at: number, operation: UnpackOperation, head: Head): number {
  const { path = '', link = '', xattrs = nothing } = head
  target.writeUInt32LE(unpackOperations[operation], at)
  target.writeUInt32LE(head.mode ?? 0, at + 4)
  target.writeUInt32LE(head.uid ?? 0, at + 8)
  target.writeUInt32LE(head.gid ?? 0, at + 12)
  writeInteger(target, at + 16, head.size ?? 0)
  writeInteger(target, at + 24, head.seconds ?? 0)
  target.writeUInt32LE(head.nanoseconds ?? 0, at + 32)
  target.writeUInt32LE(head.major ?? 0, at + 36)
  target.writeUInt32LE(head.minor ?? 0, at + 40)
  target.writeUInt32LE(head.chunks ?? 0, at + 44)
  target.writeUInt32LE(xattrs.length, at + 48)
  target.writeUInt16LE(path.length, at + 52)
  target.writeUInt16LE(link.length, at + 54)
  if (path !== '') target.write(path, at + headSize, 'latin1')
  if (link !== '') target.write(link, at + headSize + path.length, 'latin1')
  if (xattrs.length > 0) target.set(xattrs, at + headSize + path.length + link.length)
  return at + headSize + path.length + link.length + xattrs.length
}

/** 64 bits in two's complement, for safe integers: BigInt would cost more than the rest of an entry. */
export function writeInteger(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32)
  target.writeUInt32LE(value - high * 2 ** 32, at)
  target.writeInt32LE(high, at + 4)
}
