/** The contents of a directory of EROFS: blocks of entries, each block its entries first and their names behind. */
import { blockSize } from './format.js'

export interface Entry {
  /** A byte string. */
  readonly name: string
  /** Where its inode is. */
  readonly nid: number
  readonly type: number
}

const entrySize = 12

/** Names in the order that the kernel searches them in: that of their bytes. */
export function sortNames(names: string[]): string[] {
  // Code units of a byte string are its bytes.
  return names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}

/** How many entries go into each block, for sorted names. */
function blocksOf(names: readonly string[]): number[] {
  const counts: number[] = []
  let used = 0
  let count = 0
  for (const name of names) {
    const size = entrySize + name.length
    if (used + size > blockSize) {
      counts.push(count)
      used = count = 0
    }
    used += size
    count++
  }
  counts.push(count)
  return counts
}

/** Bytes of a directory with these sorted names. */
export function directorySize(names: readonly string[]): number {
  const counts = blocksOf(names)
  const last = names.slice(names.length - counts.at(-1)!)
  return (counts.length - 1) * blockSize + last.reduce((sum, name) => sum + entrySize + name.length, 0)
}

/** Write the directory of these sorted entries into `target`, which is zero, at `at`. */
export function writeDirectory(target: Buffer, at: number, entries: readonly Entry[]): void {
  let first = 0
  for (const [block, count] of blocksOf(entries.map(({ name }) => name)).entries()) {
    const start = at + block * blockSize
    let name = count * entrySize
    for (let i = 0; i < count; i++) {
      const entry = entries[first + i]!
      target.writeBigUInt64LE(BigInt(entry.nid), start + i * entrySize)
      target.writeUInt16LE(name, start + i * entrySize + 8)
      target.writeUInt8(entry.type, start + i * entrySize + 10)
      name += target.write(entry.name, start + name, 'latin1')
    }
    first += count
  }
}
