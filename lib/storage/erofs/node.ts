/** One file of a layer that is not unpacked: what an inode holds, and where its contents stand in the tar. */
import type { TarChunk } from '../tar/entry.js'

export type NodeKind = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo'

export interface Attributes {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly seconds: number
  readonly nanoseconds: number
}

/** Names are byte strings (Latin-1), as everywhere in tar/. */
export class Node {
  readonly kind: NodeKind
  mode = 0o755
  uid = 0
  gid = 0
  seconds = 0
  nanoseconds = 0
  xattrs: Map<string, Buffer> | undefined
  /** Names that it has, hard links counted. */
  links = 1
  /** Of a file: bytes, holes counted; of a symbolic link: where it leads; of a device: its numbers. */
  size = 0
  link = ''
  major = 0
  minor = 0
  /** Of a file: the pieces that are there, one after the other from this offset of the tar on. */
  pieces: readonly TarChunk[] = []
  contentsAt = 0
  /** Of a directory. */
  readonly children: Map<string, Node> | undefined
  readonly parent: Node | undefined

  constructor(kind: NodeKind, parent: Node | undefined) {
    this.kind = kind
    this.parent = parent
    this.children = kind === 'directory' ? new Map() : undefined
  }

  /** A whiteout of overlay: a character device 0:0. */
  get isWhiteout(): boolean {
    return this.kind === 'character' && this.major === 0 && this.minor === 0
  }

  take({ mode, uid, gid, seconds, nanoseconds }: Attributes): void {
    this.mode = mode
    this.uid = uid
    this.gid = gid
    this.seconds = seconds
    this.nanoseconds = nanoseconds
  }
}
