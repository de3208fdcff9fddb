/**
 * Numbers of EROFS on disk (fs/erofs/erofs_fs.h of Linux). All of it is little-endian. Only what an index over a tar
 * needs: extended inodes, plain, inline and chunk-based contents, one further device.
 */

/** As small as a tar's: a file's contents begin at any of its blocks. */
export const blockBits = 9
export const blockSize = 1 << blockBits

/** Inodes stand at multiples of this, and their number is the multiple. */
export const slotSize = 32
export const inodeSize = 64

export const superOffset = 1024
export const superSize = 128
export const deviceSlotSize = 128
/** Where the first inode may stand. */
export const firstInode = superOffset + superSize + deviceSlotSize

const magic = 0xe0f5e1e2
const compatMtime = 0x2
const incompatChunkedFile = 0x4
const incompatDeviceTable = 0x8

export const layouts = { plain: 0, inline: 2, chunks: 4 } as const
/** In a file's chunk format: pieces have an index of 8 bytes each. */
export const chunkIndexes = 0x20
/** The address of what is not there. */
export const noAddress = 0xffffffff
/** Blocks that can be addressed. */
export const mostBlocks = noAddress

export const fileTypes = { file: 1, directory: 2, character: 3, block: 4, fifo: 5, symlink: 7 } as const
export const typeBits = {
  file: 0o100000,
  directory: 0o040000,
  character: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
  symlink: 0o120000,
} as const

/** A device number as inodes have it (new_encode_dev of the kernel). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0
}

/** The superblock and the table of devices, of which the tar is the only one. */
export function writeSuper(
  target: Buffer,
  facts: { readonly rootNid: number; readonly inodes: number; readonly blocks: number; readonly tarBlocks: number },
): void {
  const at = superOffset
  target.writeUInt32LE(magic, at)
  target.writeUInt32LE(compatMtime, at + 8)
  target.writeUInt8(blockBits, at + 12)
  target.writeUInt16LE(facts.rootNid, at + 14)
  target.writeBigUInt64LE(BigInt(facts.inodes), at + 16)
  target.writeUInt32LE(facts.blocks, at + 36)
  target.writeUInt32LE(incompatChunkedFile | incompatDeviceTable, at + 80)
  target.writeUInt16LE(1, at + 86)
  target.writeUInt16LE((superOffset + superSize) / deviceSlotSize, at + 88)
  const slot = superOffset + superSize
  target.writeUInt32LE(facts.tarBlocks, slot + 64)
  // Behind our own blocks, for whoever counts both devices as one.
  target.writeUInt32LE(facts.blocks, slot + 68)
}
