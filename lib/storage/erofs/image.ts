/**
 * The index: an EROFS whose metadata stands here and whose contents stand in the tar. Pure: it makes the bytes, and says
 * what of the tar has to be copied behind them, which is nothing for all but oddly sparse files.
 */
import { PodlingError } from '../../errors.js'
import { fileChunks, type Copy, type FileChunks } from './chunks.js'
import { directorySize, sortNames, writeDirectory } from './directory.js'
import {
  blockSize,
  chunkIndexes,
  encodeDevice,
  fileTypes,
  firstInode,
  inodeSize,
  layouts,
  mostBlocks,
  noAddress,
  slotSize,
  typeBits,
  writeSuper,
} from './format.js'
import type { Node } from './node.js'
import { inodeXattrs, xattrCount } from './xattrs.js'

export interface ErofsIndex {
  readonly bytes: Buffer
  /** Bytes of the whole file, which is larger than `bytes` when there are copies: what they leave out is a hole. */
  readonly size: number
  /** Pieces of the tar and where in the file they go. */
  readonly copies: readonly Copy[]
}

/** An inode and all that is known of its place. */
interface Placed {
  readonly node: Node
  readonly number: number
  /** Of a directory: its parent's. */
  readonly parent: Node
  readonly names: readonly string[]
  readonly xattrs: Buffer
  readonly chunks: FileChunks | undefined
  /** Bytes of a directory or of a link. */
  readonly size: number
  readonly inline: boolean
  at: number
  /** The first block of contents that are not inline. */
  block: number
}

/** @param tarSize bytes of the tar */
export function makeIndex(root: Node, tarSize: number): ErofsIndex {
  const inodes = collect(root)
  let end = firstInode
  for (const inode of inodes.values()) {
    const length = inodeLength(inode)
    // Contents that stand behind their inode must end in the same block.
    if (inode.inline && (end % blockSize) + length > blockSize) end = roundUp(end, blockSize)
    inode.at = end
    end = roundUp(end + length, slotSize)
  }
  let blocks = Math.ceil(end / blockSize)
  for (const inode of inodes.values()) {
    if (inode.inline || inode.size === 0) continue
    inode.block = blocks
    blocks += Math.ceil(inode.size / blockSize)
  }
  const copies: Copy[] = []
  const bytes = Buffer.alloc(blocks * blockSize)
  for (const inode of inodes.values()) blocks = writeInode(bytes, inode, inodes, blocks, copies)
  const tarBlocks = Math.ceil(tarSize / blockSize)
  if (blocks > mostBlocks || tarBlocks > mostBlocks) throw tooSparse()
  writeSuper(bytes, { rootNid: inodes.get(root)!.at / slotSize, inodes: inodes.size, blocks, tarBlocks })
  return { bytes, size: blocks * blockSize, copies }
}

/** All inodes, the root first. A file with several names is one. */
function collect(root: Node): Map<Node, Placed> {
  const found = new Map<Node, Placed>()
  const waiting: [Node, Node][] = [[root, root]]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [node, parent] = next
    if (found.has(node)) continue
    found.set(node, place(node, parent, found.size + 1))
    if (node.children !== undefined) for (const child of node.children.values()) waiting.push([child, node])
  }
  return found
}

function place(node: Node, parent: Node, number: number): Placed {
  const names = node.children === undefined ? [] : sortNames(['.', '..', ...node.children.keys()])
  const xattrs = inodeXattrs(node.xattrs)
  const size = node.children !== undefined ? directorySize(names) : node.link.length
  const inline = size > 0 && inodeSize + xattrs.length + size <= blockSize
  const chunks = node.kind === 'file' && node.size > 0 ? fileChunks(node) : undefined
  return { node, number, parent, names, xattrs, chunks, size, inline, at: 0, block: noAddress }
}

function inodeLength({ xattrs, chunks, size, inline }: Placed): number {
  if (chunks !== undefined) return roundUp(inodeSize + xattrs.length, 8) + 8 * chunks.places.length
  return inodeSize + xattrs.length + (inline ? size : 0)
}

/** @returns how many blocks there are now: copies come behind all others */
function writeInode(
  target: Buffer,
  inode: Placed,
  inodes: ReadonlyMap<Node, Placed>,
  blocks: number,
  copies: Copy[],
): number {
  const { node, at, xattrs, chunks, inline } = inode
  const layout = chunks !== undefined ? layouts.chunks : inline ? layouts.inline : layouts.plain
  target.writeUInt16LE(1 | (layout << 1), at)
  target.writeUInt16LE(xattrCount(xattrs.length), at + 2)
  target.writeUInt16LE(typeBits[node.kind] | node.mode, at + 4)
  target.writeBigUInt64LE(BigInt(node.kind === 'file' ? node.size : inode.size), at + 8)
  target.writeUInt32LE(union(inode), at + 16)
  target.writeUInt32LE(inode.number, at + 20)
  target.writeUInt32LE(node.uid, at + 24)
  target.writeUInt32LE(node.gid, at + 28)
  target.writeBigInt64LE(BigInt(node.seconds), at + 32)
  target.writeUInt32LE(node.nanoseconds, at + 40)
  target.writeUInt32LE(linkCount(node), at + 44)
  xattrs.copy(target, at + inodeSize)
  const behind = at + inodeSize + xattrs.length
  if (chunks !== undefined) return writeChunks(target, roundUp(behind, 8), chunks, blocks, copies)
  const contents = inline ? behind : inode.block * blockSize
  if (node.children !== undefined) writeDirectory(target, contents, entriesOf(inode, inodes))
  else if (inode.size > 0) target.write(node.link, contents, 'latin1')
  return blocks
}

/** The four bytes that mean another thing for each kind. */
function union({ node, chunks, block }: Placed): number {
  if (chunks !== undefined) return chunkIndexes | chunks.bits
  if (node.kind === 'character' || node.kind === 'block') return encodeDevice(node.major, node.minor)
  return node.kind === 'fifo' ? 0 : block
}

function linkCount(node: Node): number {
  if (node.children === undefined) return node.links
  let count = 2
  for (const child of node.children.values()) if (child.kind === 'directory') count++
  return count
}

function entriesOf(
  { node, parent, names }: Placed,
  inodes: ReadonlyMap<Node, Placed>,
): { name: string; nid: number; type: number }[] {
  return names.map((name) => {
    const named = name === '.' ? node : name === '..' ? parent : node.children!.get(name)!
    return { name, nid: inodes.get(named)!.at / slotSize, type: fileTypes[named.kind] }
  })
}

function writeChunks(target: Buffer, at: number, { bits, places }: FileChunks, blocks: number, copies: Copy[]): number {
  const chunkBlocks = 2 ** bits
  let used = blocks
  for (const [i, place] of places.entries()) {
    let address = noAddress
    if (place.in === 'tar') address = place.offset / blockSize
    else if (place.in === 'copy') {
      address = used
      for (const copy of place.pieces) copies.push({ ...copy, at: used * blockSize + copy.at })
      used += chunkBlocks
    }
    if (used > mostBlocks || (place.in === 'tar' && address >= mostBlocks)) throw tooSparse()
    // The device: 0 is this file, 1 the tar.
    target.writeUInt16LE(place.in === 'tar' ? 1 : 0, at + 8 * i + 2)
    target.writeUInt32LE(address, at + 8 * i + 4)
  }
  return used
}

function tooSparse(): PodlingError {
  return new PodlingError(
    'LAYER_TOO_LARGE',
    'apply a layer: it is larger than an EROFS of blocks of 512 bytes, 2 TiB, holes of sparse files counted; ' +
      "use another storage driver, such as 'overlay'",
  )
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
