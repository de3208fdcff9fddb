/** Entries as a tar: POSIX ustar, with a pax header before what ustar has no room for (pax(1), "pax Header Block"). Pure. */
import type { PackedEntry } from '../copy/pack-parser.js'
import { blockSize } from './header.js'

const types = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
} as const

/** What an entry of a tree can be in a tar. */
export type TarredOperation = keyof typeof types

export function isTarred(operation: string): operation is TarredOperation {
  return operation in types
}

export type TarredEntry = Omit<PackedEntry, 'operation' | 'path'> & {
  readonly operation: TarredOperation
  /** A byte string. */
  readonly name: string
}

/** The largest numbers of the octal fields: 7 and 11 digits. */
const [mostShort, mostLong] = [8 ** 7 - 1, 8 ** 11 - 1]
const longestName = 100

/** The header of an entry; its contents and {@link padding} follow. */
export function tarHeader(entry: TarredEntry): Buffer {
  const name = entry.operation === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name
  const records = paxRecords(entry, name)
  const header = ustar(entry, name, types[entry.operation])
  if (records.length === 0) return header
  const body = Buffer.concat(records)
  const extended = ustar({ ...plain, size: body.length }, 'pax', 'x')
  return Buffer.concat([extended, body, padding(body.length), header])
}

/** What fills up the last block of so many bytes. */
export function padding(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize)
}

/** What ends a tar. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockSize)

const plain = { mode: 0o644, uid: 0, gid: 0, size: 0, seconds: 0, major: 0, minor: 0, link: '' }

function paxRecords(entry: TarredEntry, name: string): Buffer[] {
  const { size, uid, gid, seconds, nanoseconds, link, xattrs } = entry
  const records: Buffer[] = []
  const record = (key: string, value: string | Buffer): void => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), Buffer.from(value as string, 'latin1'), newline])
    let length = rest.length
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length
    records.push(Buffer.from(String(length)), rest)
  }
  if (name.length > longestName) record('path', name)
  if (link.length > longestName) record('linkpath', link)
  if (size > mostLong) record('size', String(size))
  if (uid > mostShort) record('uid', String(uid))
  if (gid > mostShort) record('gid', String(gid))
  if (nanoseconds > 0 || seconds < 0 || seconds > mostLong) record('mtime', time(seconds, nanoseconds))
  for (const [key, value] of xattrs) record(`SCHILY.xattr.${key}`, value)
  return records
}

const newline = Buffer.from('\n')

/** Seconds with a fraction; what is before 1970 is counted from there backwards. */
function time(seconds: number, nanoseconds: number): string {
  const before = seconds < 0 && nanoseconds > 0
  const whole = before ? seconds + 1 : seconds
  const fraction = before ? 1e9 - nanoseconds : nanoseconds
  const digits = fraction === 0 ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`
  return `${before && whole === 0 ? '-' : ''}${String(whole)}${digits}`
}

function ustar(entry: Omit<typeof plain, 'link'> & { readonly link: string }, name: string, type: string): Buffer {
  const { mode, uid, gid, size, seconds, major, minor, link } = entry
  const bytes = Buffer.alloc(blockSize)
  bytes.write(name, 0, longestName, 'latin1')
  octal(bytes, mode, 100, 8)
  octal(bytes, Math.min(uid, mostShort), 108, 8)
  octal(bytes, Math.min(gid, mostShort), 116, 8)
  octal(bytes, Math.min(size, mostLong), 124, 12)
  octal(bytes, Math.min(Math.max(seconds, 0), mostLong), 136, 12)
  bytes.write(type, 156)
  bytes.write(link, 157, longestName, 'latin1')
  bytes.write('ustar\u000000', 257)
  octal(bytes, Math.min(major, mostShort), 329, 8)
  octal(bytes, Math.min(minor, mostShort), 337, 8)
  bytes.fill(' ', 148, 156)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

function octal(bytes: Buffer, value: number, at: number, length: number): void {
  bytes.write(value.toString(8).padStart(length - 1, '0'), at)
}
