/**
 * A look at an LMDB file before LMDB maps it: the library trusts what it maps, and a file that is cut short, damaged or not
 * LMDB's ends the process with SIGBUS or SIGSEGV.
 *
 * A file starts with two meta pages, and lmdb keeps a third record in the middle of the first page: the last one that is
 * surely on disk. Of a page: 24 bytes of header, with the page's flags at 18; then magic, version, address, map size, two
 * records of 48 bytes (free pages, main tree; the first begins with page size and flags), the number of the last page,
 * the transaction number, and which boot of the machine it was written in.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { damageOfPages, type TreeRoot } from './database-pages.js'
import { fileError, isErrno } from './file-error.js'

const magic = 0xbeefc0de
const metaFlag = 0x08
const versions = [1, 2]
/** What was committed with it may not be on disk: fdatasync(2) had not come back. */
const unflushed = 0x1000

interface Meta {
  readonly pageSize: number
  readonly flags: number
  readonly freeList: TreeRoot
  readonly main: TreeRoot
  readonly lastPage: bigint
  readonly transaction: bigint
  readonly boot: bigint
}

/**
 * Nobody may write to it meanwhile.
 * @throws PodlingError STATE_INVALID unless the file is missing, empty, or LMDB's and whole.
 */
export function checkDatabaseFile(path: string): void {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw fileError(error, `open the state database ${path}`)
  }
  try {
    if (fstatSync(fd).size === 0) return
    const first = readMeta(fd, 0, true)
    const second = first === undefined ? undefined : readMeta(fd, first.pageSize, true)
    if (first === undefined || second === undefined) throw damaged(path, 'it is not an LMDB file')
    const flushed = readMeta(fd, first.pageSize / 2, false)
    const used = flushed === undefined ? pick(first, second) : pick(pick(first, second), flushed)
    const { lastPage, transaction, freeList, main } = used
    const why = damageOfPages({ fd, pageSize: first.pageSize, lastPage, transaction }, freeList, main)
    if (why !== undefined) throw damaged(path, why)
  } finally {
    closeSync(fd)
  }
}

/** As lmdb picks: the latest, unless the machine went down before it was surely on disk. */
function pick(one: Meta, other: Meta): Meta {
  const [latest, older] = one.transaction >= other.transaction ? [one, other] : [other, one]
  if (other.transaction === 0n) return one
  const sure = (latest.flags & unflushed) === 0 || (latest.boot !== 0n && latest.boot === thisBoot())
  return sure ? latest : older
}

function thisBoot(): bigint {
  return BigInt(`0x${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)}`)
}

/** @param page whether it must be a whole meta page; the third record has neither header nor magic */
function readMeta(fd: number, at: number, page: boolean): Meta | undefined {
  const bytes = Buffer.alloc(0xa8)
  if (readSync(fd, bytes, 0, bytes.length, at) !== bytes.length) return undefined
  const pageSize = bytes.readUInt32LE(0x30)
  const isMeta =
    (bytes.readUInt16LE(0x12) & metaFlag) !== 0 &&
    bytes.readUInt32LE(0x18) === magic &&
    versions.includes(bytes.readUInt32LE(0x1c)) &&
    pageSize >= 512 &&
    pageSize <= 65536 &&
    (pageSize & (pageSize - 1)) === 0
  if (page && !isMeta) return undefined
  return {
    pageSize,
    flags: bytes.readUInt16LE(0x34),
    freeList: readRoot(bytes.subarray(0x30)),
    main: readRoot(bytes.subarray(0x60)),
    lastPage: bytes.readBigUInt64LE(0x90),
    transaction: bytes.readBigUInt64LE(0x98),
    boot: bytes.readBigInt64LE(0xa0),
  }
}

function readRoot(bytes: Buffer): TreeRoot {
  return {
    depth: bytes.readUInt16LE(6),
    branchPages: bytes.readBigUInt64LE(8),
    leafPages: bytes.readBigUInt64LE(16),
    overflowPages: bytes.readBigUInt64LE(24),
    entries: bytes.readBigUInt64LE(32),
    page: bytes.readBigUInt64LE(40),
  }
}

function damaged(path: string, why: string): PodlingError {
  return new PodlingError(
    'STATE_INVALID',
    `the state database ${path} is damaged: ${why}. Move it away to start anew: images and containers it knows of are lost`,
    { path },
  )
}
