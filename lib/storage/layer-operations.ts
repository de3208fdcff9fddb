/** From the entries of a layer's tar to the operations of an unpacker: what the OCI layer format means (layer.md). */
import { PodlingError } from '../errors.js'
import type { ApplyOptions, RootAttributes } from './layer-types.js'
import { ownerAmong, type IdCounts } from './layer-owner.js'
import { layerPath, whiteoutOf } from './layer-path.js'
import type { TarChunk, TarEntry, TarSink } from './tar/entry.js'
import { invalidTar } from './tar/invalid.js'
import { unpackVersion, type Head, type OperationSink, type UnpackOperation } from './unpack-operations.js'

export interface LayerPolicy extends Required<Pick<ApplyOptions, 'devices' | 'absoluteNames' | 'overlayXattrs'>> {
  readonly maxEntries: number
  /** Whether names that begin with `.wh.` are names like others: in a tar that is no layer. @default false */
  readonly plainNames?: boolean
  /** @default all there are */
  readonly ids?: IdCounts
}

/** Bytes of all extended attributes of one entry at most; no file system takes more. native/unpacker.h has the number too. */
const largestXattrs = 192 * 1024

export class LayerOperations implements TarSink {
  readonly #stream: OperationSink
  readonly #policy: LayerPolicy
  #entries = 0
  #root: RootAttributes | undefined
  /** Times of directories, which would change with each entry that is put into them: set at the end. */
  readonly #directoryTimes = new Map<string, TarEntry['mtime']>()
  /** The chunks of the file in work that are not begun. */
  #chunks: readonly TarChunk[] = []
  #nextChunk = 0
  #chunkLeft = 0
  /** Whether the contents of the file in work go anywhere. */
  #wanted = false

  constructor(stream: OperationSink, policy: LayerPolicy) {
    this.#stream = stream
    this.#policy = policy
    stream.operation('start', {
      mode: unpackVersion,
      xattrs: encodeXattrs([[`${policy.overlayXattrs}.overlay.opaque`, Buffer.from('y')]]),
    })
  }

  get entries(): number {
    return this.#entries
  }

  /** What the layer says of its root; undefined when it has no entry for it. */
  get root(): RootAttributes | undefined {
    return this.#root
  }

  entry(entry: TarEntry): void {
    if (++this.#entries > this.#policy.maxEntries) {
      throw new PodlingError('LAYER_TOO_LARGE', `the layer has more than ${String(this.#policy.maxEntries)} entries`)
    }
    this.#wanted = false
    const path = this.#pathOf(entry, entry.name, 'it has')
    const whiteout = this.#policy.plainNames ? undefined : whiteoutOf(path)
    if (whiteout === undefined) this.#ordinary(entry, path)
    else if (whiteout.kind !== 'metadata') {
      const name = whiteout.path.slice(whiteout.path.lastIndexOf('/') + 1)
      if (whiteout.kind === 'whiteout' && ['', '.', '..'].includes(name))
        throw this.#refused(entry, 'a whiteout of no name')
      this.#stream.operation(whiteout.kind, { path: whiteout.path })
    }
  }

  data(bytes: Buffer): void {
    if (!this.#wanted) return
    for (let at = 0; at < bytes.length;) {
      if (this.#chunkLeft === 0) {
        const chunk = this.#chunks[this.#nextChunk++]
        if (chunk === undefined) return
        this.#stream.chunk(chunk.offset, chunk.length)
        this.#chunkLeft = chunk.length
      }
      const length = Math.min(this.#chunkLeft, bytes.length - at)
      this.#stream.contents(bytes.subarray(at, at + length))
      this.#chunkLeft -= length
      at += length
    }
  }

  /** All entries are there. */
  end(): void {
    for (const [path, mtime] of this.#directoryTimes) this.#stream.operation('touch', { path, ...mtime })
    this.#stream.operation('end', { mode: 1 })
    this.#stream.flush()
  }

  #ordinary(entry: TarEntry, path: string): void {
    const { type } = entry
    if (path === '' && type !== 'directory') throw this.#refused(entry, `the root of a layer can't be a ${type}`)
    const owner = this.#ownerOf(entry)
    const head: Head = {
      mode: entry.mode,
      ...owner,
      size: entry.size,
      seconds: entry.mtime.seconds,
      nanoseconds: entry.mtime.nanoseconds,
      path,
    }
    const xattrs = entry.xattrs === undefined ? {} : { xattrs: this.#xattrsOf(entry, entry.xattrs) }
    if (type === 'file') {
      this.#wanted = true
      this.#chunks = entry.chunks
      this.#nextChunk = this.#chunkLeft = 0
      const { chunks: pieces, contentsAt } = entry
      this.#stream.operation('file', { ...head, ...xattrs, chunks: pieces.length, pieces, contentsAt })
    } else if (type === 'directory') {
      if (path === '') this.#root = { mode: entry.mode, ...owner }
      this.#directoryTimes.set(path, entry.mtime)
      this.#stream.operation('directory', { ...head, ...xattrs })
    } else if (type === 'symlink') {
      this.#stream.operation('symlink', { ...head, ...xattrs, link: entry.linkName })
    } else if (type === 'hardlink') {
      this.#stream.operation('hardlink', { path, link: this.#pathOf(entry, entry.linkName, 'it is a hard link to') })
    } else {
      this.#special(entry, type, { ...head, ...xattrs })
    }
  }

  #special(entry: TarEntry, type: Extract<UnpackOperation, TarEntry['type']>, head: Head): void {
    const isDevice = type === 'character' || type === 'block'
    if (isDevice && this.#policy.devices === 'refuse')
      throw this.#refused(entry, 'a device node, which is not allowed here')
    if (isDevice && this.#policy.devices === 'skip') return
    this.#stream.operation(type, { ...head, major: entry.major, minor: entry.minor })
  }

  #pathOf(entry: TarEntry, name: string, what: string): string {
    const result = layerPath(name, this.#policy.absoluteNames)
    if ('refused' in result) throw this.#refused(entry, `${what} ${result.refused}`)
    return result.path
  }

  #xattrsOf(entry: TarEntry, xattrs: ReadonlyMap<string, Buffer>): Buffer {
    const bytes = encodeXattrs([...xattrs].filter(([name]) => isLayerXattr(name)))
    if (bytes.length > largestXattrs) throw this.#refused(entry, 'too many extended attributes')
    return bytes
  }

  #ownerOf(entry: TarEntry): Pick<RootAttributes, 'uid' | 'gid'> {
    const { uid, gid } = entry
    const { ids } = this.#policy
    const owner = ids === undefined ? { uid, gid } : ownerAmong(entry, ids)
    if (typeof owner !== 'string') return owner
    throw new PodlingError('SUBIDS_TOO_FEW', `unpack ${JSON.stringify(entry.name)}: ${owner}`)
  }

  #refused(entry: TarEntry, why: string): PodlingError {
    return invalidTar(why, entry.offset, entry.name)
  }
}

const overlaysOwn = ['trusted.overlay.', 'user.overlay.', 'user.fuseoverlayfs.']

/**
 * Whether an attribute belongs to the file. Overlay's own would let a layer redirect lookups and lend contents; a
 * security label is the host's business, and names a policy that it may not have.
 */
export function isLayerXattr(name: string): boolean {
  return !overlaysOwn.some((prefix) => name.startsWith(prefix)) && name !== 'security.selinux'
}

/** Attributes as an unpacker reads them: `u16 bytes of name, u32 bytes of value, name, value` each. */
export function encodeXattrs(xattrs: readonly (readonly [string, Buffer])[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of xattrs) {
    const head = Buffer.alloc(6)
    head.writeUInt16LE(name.length, 0)
    head.writeUInt32LE(value.length, 2)
    parts.push(head, Buffer.from(name, 'latin1'), value)
  }
  return Buffer.concat(parts)
}
