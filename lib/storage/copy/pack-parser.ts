/** What a packer tells (native/pack.h), cut into its parts. Pure. */
import { PodlingError } from '../../errors.js'
import { codeForErrno, errnoName } from '../../sys/libc.js'
import { headSize, unpackOperations, type UnpackOperation } from '../unpack-operations.js'

/** One entry of a tree. Names are byte strings. */
export interface PackedEntry {
  readonly operation: UnpackOperation
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly seconds: number
  readonly nanoseconds: number
  readonly major: number
  readonly minor: number
  /** Below where it began; '' is the beginning itself. */
  readonly path: string
  readonly link: string
  readonly xattrs: readonly (readonly [string, Buffer])[]
}

export type PackedPart =
  | { readonly is: 'entry'; readonly entry: PackedEntry }
  /** Bytes of the file before; what is between them and the ones before is a hole. */
  | { readonly is: 'bytes'; readonly offset: number; readonly bytes: Buffer }
  /** The file is complete. */
  | { readonly is: 'file-end' }
  | { readonly is: 'end' }

const names: ReadonlyMap<number, UnpackOperation> = new Map(
  Object.entries(unpackOperations).map(([name, number]) => [number, name as UnpackOperation]),
)

/** The packer's own failure: which call, on what, and why. */
export class PackFailure extends PodlingError {
  constructor(errno: number, syscall: string, path: string) {
    const name = errnoName(errno)
    const shown = Buffer.from(path, 'latin1').toString()
    super(codeForErrno(name), `${syscall} ${shortened(shown)}: ${name}`, { syscall, errno: name, path: shown })
  }
}

const longestShown = 200

/** A container may make names as long as the kernel takes them. */
function shortened(path: string): string {
  if (path.length <= longestShown) return path
  const half = longestShown / 2
  return `${path.slice(0, half)}…${path.slice(-half)} (${String(path.length)} characters)`
}

export class PackParser {
  #rest: Buffer = Buffer.alloc(0)
  /** Bytes that are left of the chunk in work. */
  #left = 0
  #offset = 0
  #inFile = false
  readonly #asked: boolean

  /** @param asked whether single paths were asked for: then no contents follow a file */
  constructor(asked = false) {
    this.#asked = asked
  }

  /** @returns the parts that are whole now. @throws PackFailure */
  push(chunk: Buffer): PackedPart[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const parts: PackedPart[] = []
    for (;;) {
      const used = this.#step(bytes, parts)
      if (used === 0) break
      bytes = bytes.subarray(used)
    }
    this.#rest = bytes
    return parts
  }

  /** @returns the bytes that were used; 0: more are needed */
  #step(bytes: Buffer, parts: PackedPart[]): number {
    if (this.#left > 0) {
      const length = Math.min(this.#left, bytes.length)
      if (length === 0) return 0
      parts.push({ is: 'bytes', offset: this.#offset, bytes: bytes.subarray(0, length) })
      this.#offset += length
      this.#left -= length
      return length
    }
    return this.#inFile ? this.#chunk(bytes, parts) : this.#entry(bytes, parts)
  }

  #chunk(bytes: Buffer, parts: PackedPart[]): number {
    if (bytes.length < 16) return 0
    this.#offset = Number(bytes.readBigUInt64LE(0))
    this.#left = Number(bytes.readBigUInt64LE(8))
    if (this.#left === 0) {
      this.#inFile = false
      parts.push({ is: 'file-end' })
    }
    return 16
  }

  #entry(bytes: Buffer, parts: PackedPart[]): number {
    if (bytes.length < headSize) return 0
    const [xattrs, path, link] = [bytes.readUInt32LE(48), bytes.readUInt16LE(52), bytes.readUInt16LE(54)]
    const size = headSize + path + link + xattrs
    if (bytes.length < size) return 0
    const text = (at: number, length: number): string => bytes.toString('latin1', at, at + length)
    const entry: PackedEntry = {
      operation: names.get(bytes.readUInt32LE(0)) ?? 'failed',
      mode: bytes.readUInt32LE(4),
      uid: bytes.readUInt32LE(8),
      gid: bytes.readUInt32LE(12),
      size: Number(bytes.readBigUInt64LE(16)),
      seconds: Number(bytes.readBigInt64LE(24)),
      nanoseconds: bytes.readUInt32LE(32),
      major: bytes.readUInt32LE(36),
      minor: bytes.readUInt32LE(40),
      path: text(headSize, path),
      link: text(headSize + path, link),
      xattrs: xattrs === 0 ? [] : readXattrs(Buffer.from(bytes.subarray(size - xattrs, size))),
    }
    if (entry.operation === 'failed') throw new PackFailure(entry.mode, entry.link, entry.path)
    parts.push(entry.operation === 'end' ? { is: 'end' } : { is: 'entry', entry })
    this.#inFile = entry.operation === 'file' && !this.#asked
    return size
  }
}

function readXattrs(bytes: Buffer): [string, Buffer][] {
  const found: [string, Buffer][] = []
  for (let at = 0; at < bytes.length;) {
    const [name, value] = [bytes.readUInt16LE(at), bytes.readUInt32LE(at + 2)]
    const start = at + 6 + name
    found.push([bytes.toString('latin1', at + 6, start), bytes.subarray(start, start + value)])
    at = start + value
  }
  return found
}
