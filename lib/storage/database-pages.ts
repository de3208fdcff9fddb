/**
 * A walk through all pages of an LMDB file, as LMDB would go, with a check at each step that it does not make. Reads
 * only; whoever calls it keeps writers away, as they reuse pages.
 *
 * A page begins with 24 bytes: its number, the transaction that wrote it, a word for fixed-size keys, its flags at 18,
 * and at 20 and 22 the bounds of its free space, counted from behind the header; an overflow page has a count of pages
 * there. Offsets of nodes follow, counted likewise. A node is size or child (48 bits), flags, size of the key, key, data;
 * in a branch the flags are the child's upper bits.
 */
import { readSync } from 'node:fs'

/** One of the two trees that a meta page names. */
export interface TreeRoot {
  readonly depth: number
  readonly branchPages: bigint
  readonly leafPages: bigint
  readonly overflowPages: bigint
  readonly entries: bigint
  /** All ones: the tree is empty. */
  readonly page: bigint
}

export interface PageFile {
  readonly fd: number
  readonly pageSize: number
  readonly lastPage: bigint
  /** The last transaction: no page can be of a later one, and one that is would pass for not yet written. */
  readonly transaction: bigint
}

const header = 24
const nodeHeader = 8
/** What a page is. Others are of its life in memory, and are never written. */
const flags = { branch: 0x01, leaf: 0x02, overflow: 0x04 } as const
const nodeFlags = { bigData: 0x01 } as const
/** Bytes of a node's data when they stand on overflow pages: their first page, its transaction, how many they are. */
const overflowReference = 24
const noPage = 0xffff_ffff_ffff_ffffn
/** LMDB's own limit on the depth of a cursor. */
const deepest = 32

/** Why a walk ended early. */
class Damage extends Error {}

/**
 * Look at all that is reachable from the two roots.
 * @returns what is wrong, undefined when all is sound
 */
export function damageOfPages(file: PageFile, freeList: TreeRoot, main: TreeRoot): string | undefined {
  const used = new Set<number>()
  const free: number[] = []
  try {
    new Walk(file, used, true).tree(main)
    new Walk(file, used, false, (data) => {
      free.push(...freePages(data, Number(file.lastPage)))
    }).tree(freeList)
  } catch (error) {
    if (error instanceof Damage) return error.message
    throw error
  }
  const both = free.find((page) => used.has(page))
  return both === undefined ? undefined : `page ${String(both)} is in use and free as well`
}

/** A record of the free list: a count, and so many pages; lmdb keeps runs of them as a negative length beside a page. */
function freePages(data: Buffer, lastPage: number): number[] {
  const count = data.length < 8 ? -1n : data.readBigInt64LE(0)
  if (count < 0n || BigInt(data.length) < (count + 1n) * 8n) throw new Damage('its list of free pages is cut short')
  return Array.from({ length: Number(count) }, (_, i) => Number(data.readBigInt64LE(8 + 8 * i))).filter((page) => {
    if (page > lastPage || page < -lastPage || page === 1)
      throw new Damage(`its list of free pages names ${String(page)}`)
    return page > 1
  })
}

type Counts = Record<'branchPages' | 'leafPages' | 'overflowPages' | 'entries', bigint>

class Walk {
  readonly #file: PageFile
  readonly #used: Set<number>
  /** Keys are compared byte by byte; those of the free list are numbers of the machine. */
  readonly #ordered: boolean
  readonly #onData: (data: Buffer) => void
  #counts: Counts = { branchPages: 0n, leafPages: 0n, overflowPages: 0n, entries: 0n }
  #lastKey: Buffer | undefined

  constructor(file: PageFile, used: Set<number>, ordered: boolean, onData: (data: Buffer) => void = () => undefined) {
    this.#file = file
    this.#used = used
    this.#ordered = ordered
    this.#onData = onData
  }

  tree(root: TreeRoot): void {
    if (root.depth > deepest) throw new Damage(`it says that it is ${String(root.depth)} pages deep`)
    if (root.page !== noPage) this.#page(root.page, root.depth)
    for (const [name, count] of Object.entries(this.#counts) as [keyof Counts, bigint][])
      if (count !== root[name])
        throw new Damage(`it has ${String(count)} ${words[name]} and says ${String(root[name])}`)
  }

  /** @param levels how many pages there are from this one down to a leaf */
  #page(number: bigint, levels: number): void {
    const page = this.#read(number, this.#file.pageSize)
    const kind = page.readUInt16LE(18)
    if (kind !== (levels > 1 ? flags.branch : flags.leaf)) throw new Damage(`page ${String(number)} is of a wrong kind`)
    const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)]
    const room = page.length - header
    if (lower % 2 !== 0 || lower > upper || upper > room) throw new Damage(`page ${String(number)} has wrong bounds`)
    const count = lower / 2
    if (count === 0 || (levels > 1 && count < 2)) throw new Damage(`page ${String(number)} has too few nodes`)
    for (let index = 0; index < count; index++) {
      const at = page.readUInt16LE(header + 2 * index)
      if (at < upper || at + nodeHeader > room) throw new Damage(`page ${String(number)} has a node out of bounds`)
      const node = page.subarray(header + at)
      if (levels > 1) this.#child(node, levels, number)
      else this.#leaf(node, number)
    }
    if (levels > 1) this.#counts.branchPages++
    else this.#counts.leafPages++
  }

  #child(node: Buffer, levels: number, page: bigint): void {
    if (nodeHeader + node.readUInt16LE(6) > node.length)
      throw new Damage(`page ${String(page)} has a key out of bounds`)
    this.#page(BigInt(node.readUIntLE(0, 6)), levels - 1)
  }

  #leaf(node: Buffer, page: bigint): void {
    const size = node.readUInt32LE(0)
    const kind = node.readUInt16LE(4)
    const data = nodeHeader + node.readUInt16LE(6)
    if ((kind & ~nodeFlags.bigData) !== 0) throw new Damage(`page ${String(page)} has a node of an unknown kind`)
    const isBig = kind === nodeFlags.bigData
    const end = data + (isBig ? overflowReference : size)
    if (data === nodeHeader || end > node.length) throw new Damage(`page ${String(page)} has a node out of bounds`)
    const key = Buffer.from(node.subarray(nodeHeader, data))
    if (this.#ordered && this.#lastKey !== undefined && Buffer.compare(this.#lastKey, key) >= 0)
      throw new Damage(`page ${String(page)} has keys out of order`)
    this.#lastKey = key
    this.#counts.entries++
    if (isBig) this.#overflow(node.subarray(data), size)
    else this.#onData(Buffer.from(node.subarray(data, end)))
  }

  /** @param reference first page, its transaction, count of pages */
  #overflow(reference: Buffer, size: number): void {
    const number = reference.readBigUInt64LE(0)
    const pages = reference.readBigUInt64LE(16)
    const bytes = BigInt(header + size)
    const pageSize = BigInt(this.#file.pageSize)
    if (pages * pageSize < bytes || (pages - 1n) * pageSize >= bytes)
      throw new Damage(`overflow page ${String(number)} has a wrong size`)
    const first = this.#read(number, header + size, pages)
    if (first.readBigUInt64LE(8) !== reference.readBigUInt64LE(8))
      throw new Damage(`overflow page ${String(number)} is of another transaction`)
    if (first.readUInt16LE(18) !== flags.overflow || BigInt(first.readUInt32LE(20)) !== pages)
      throw new Damage(`page ${String(number)} is of a wrong kind`)
    this.#counts.overflowPages += pages
    this.#onData(first.subarray(header))
  }

  /** Bytes of pages that nothing else leads to. */
  #read(number: bigint, length: number, pages = 1n): Buffer {
    const { fd, pageSize, lastPage, transaction } = this.#file
    if (number < 2n || number + pages - 1n > lastPage)
      throw new Damage(`it names page ${String(number)}, which it has not`)
    for (let page = Number(number); page < Number(number + pages); page++) {
      if (this.#used.has(page)) throw new Damage(`page ${String(page)} is in use twice`)
      this.#used.add(page)
    }
    const bytes = Buffer.allocUnsafe(length)
    if (readSync(fd, bytes, 0, length, Number(number) * pageSize) !== length) throw new Damage('it is cut short')
    if (bytes.readBigUInt64LE(0) !== number) throw new Damage(`page ${String(number)} is another one or none`)
    if (bytes.readBigUInt64LE(8) > transaction)
      throw new Damage(`page ${String(number)} is of no transaction there was`)
    return bytes
  }
}

const words = {
  branchPages: 'branch pages',
  leafPages: 'leaf pages',
  overflowPages: 'overflow pages',
  entries: 'records',
} as const
