/**
 * A look at an LMDB file before LMDB maps it: the library trusts what it maps, and a file that is cut short or isn't
 * LMDB's ends the process with SIGBUS or SIGSEGV.
 *
 * A file starts with two meta pages; the one with the higher transaction number counts. Of a page: 24 bytes of header,
 * with the page's flags at 18; then magic, version, address, map size, two records of 48 bytes (free pages, main tree;
 * the first begins with the page size), the number of the last page, and the transaction number.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { fileError, isErrno } from './file-error.js'

const magic = 0xbeefc0de
const metaFlag = 0x08
const versions = [1, 2]

/** @throws PodlingError STATE_INVALID unless the file is missing, empty, or plausibly LMDB's and whole. */
export function checkDatabaseFile(path: string): void {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw fileError(error, `open the state database ${path}`)
  }
  try {
    const size = fstatSync(fd).size
    if (size === 0) return
    const metas = [readMeta(fd, 0)]
    if (metas[0] !== undefined) metas.push(readMeta(fd, metas[0].pageSize))
    const [first, second] = metas
    if (first === undefined || second === undefined) throw damaged(path, 'it is not an LMDB file')
    const newest = first.transaction > second.transaction ? first : second
    if (BigInt(size) < (newest.lastPage + 1n) * BigInt(newest.pageSize)) throw damaged(path, 'it is cut short')
  } finally {
    closeSync(fd)
  }
}

function readMeta(fd: number, at: number): { pageSize: number; lastPage: bigint; transaction: bigint } | undefined {
  const page = Buffer.alloc(0xa0)
  if (readSync(fd, page, 0, page.length, at) !== page.length) return undefined
  const pageSize = page.readUInt32LE(0x30)
  const plausible =
    (page.readUInt16LE(0x12) & metaFlag) !== 0 &&
    page.readUInt32LE(0x18) === magic &&
    versions.includes(page.readUInt32LE(0x1c)) &&
    pageSize >= 512 &&
    pageSize <= 65536 &&
    (pageSize & (pageSize - 1)) === 0
  if (!plausible) return undefined
  return { pageSize, lastPage: page.readBigUInt64LE(0x90), transaction: page.readBigUInt64LE(0x98) }
}

function damaged(path: string, why: string): PodlingError {
  return new PodlingError(
    'STATE_INVALID',
    `the state database ${path} is damaged: ${why}. Move it away to start anew: images and containers it knows of are lost`,
    { path },
  )
}
