/** A header, and what extended headers and long names before it say, made one description. */
import type { TarEntry, TarEntryType } from './entry.js'
import type { TarHeader } from './header.js'
import { invalidTar } from './invalid.js'
import { paxNumber, paxTime, type PaxRecords } from './pax.js'
import { parseTextMap } from './sparse.js'

/** Bytes of a name at most: PATH_MAX, of which the NUL takes one. */
const longestName = 4095

const types: Readonly<Record<string, TarEntryType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
  S: 'file',
  D: 'directory',
}

/** What stands before a header and belongs to it. */
export interface Extras {
  readonly global: ReadonlyMap<string, string>
  readonly pax: PaxRecords | undefined
  readonly longName: string | undefined
  readonly longLink: string | undefined
}

export interface Description {
  readonly entry: Omit<TarEntry, 'chunks' | 'contentsAt'>
  /** Bytes that follow in the tar, without padding. */
  readonly stored: number
  /** Whether `stored` are contents; otherwise they are passed over. */
  readonly hasContents: boolean
  /** Offsets and lengths of a sparse file, or that its map stands before its contents. */
  readonly map: number[] | 'leading' | undefined
}

/** @throws PodlingError LAYER_INVALID */
export function describe(header: TarHeader, extras: Extras, offset: number): Description {
  const { pax, global } = extras
  const find = (key: string): string | undefined => {
    const value = pax?.values.get(key) ?? global.get(key)
    // An empty value takes back what a global header said.
    return value === '' ? undefined : value
  }
  const isPlain = pax === undefined && global.size === 0
  const name = (isPlain ? undefined : (find('GNU.sparse.name') ?? find('path'))) ?? extras.longName ?? header.name
  const linkName = (isPlain ? undefined : find('linkpath')) ?? extras.longLink ?? header.linkName
  const refuse = (why: string): Error => invalidTar(why, offset, name)

  let type = types[header.type]
  if (type === undefined) throw refuse(`an entry of unknown type ${JSON.stringify(header.type)}`)
  if (type === 'file' && name.endsWith('/')) type = 'directory'
  checkName(name, refuse)
  if (type === 'hardlink' || type === 'symlink') checkName(linkName, refuse)

  const number = (key: string, fallback: number, most: number): number => {
    const text = isPlain ? undefined : find(key)
    const value = text === undefined ? fallback : paxNumber(text)
    if (!(value >= 0 && value <= most)) throw refuse(`its ${key} is wrong`)
    return value
  }
  const stored = number('size', header.size, Number.MAX_SAFE_INTEGER)
  const map = pax === undefined || type !== 'file' ? undefined : sparseMap(pax, refuse)
  const realSize = (): number => {
    const text = pax?.values.get('GNU.sparse.realsize') ?? pax?.values.get('GNU.sparse.size')
    const size = text === undefined ? NaN : paxNumber(text)
    if (Number.isNaN(size)) throw refuse('the size of a sparse file is wrong')
    return size
  }
  const isDevice = type === 'character' || type === 'block'
  const entry = {
    type,
    name,
    linkName: type === 'hardlink' || type === 'symlink' ? linkName : '',
    mode: Number.isNaN(header.mode) ? fail(refuse('its mode is wrong')) : header.mode & 0o7777,
    // The highest id stands for 'no id' in system calls.
    uid: number('uid', header.uid, 2 ** 32 - 2),
    gid: number('gid', header.gid, 2 ** 32 - 2),
    size: type !== 'file' ? 0 : map === undefined ? stored : realSize(),
    mtime: isPlain ? plainTime(header, refuse) : timeOf(find('mtime'), header, refuse),
    // The kernel's device numbers have 12 and 20 bits.
    major: isDevice ? number('SCHILY.devmajor', header.major, 0xfff) : 0,
    minor: isDevice ? number('SCHILY.devminor', header.minor, 0xfffff) : 0,
    xattrs: isPlain ? undefined : xattrsOf(extras, refuse),
    offset,
  }
  // Links, devices and directories have nothing behind them, whatever their size says; so does every other reader.
  const hasBody = type === 'file' || header.type === 'D'
  return { entry, stored: hasBody ? stored : 0, hasContents: type === 'file', map }
}

function checkName(name: string, refuse: (why: string) => Error): void {
  if (name === '') throw refuse('an empty name')
  if (name.length > longestName)
    throw refuse(`a name of ${String(name.length)} bytes, more than ${String(longestName)}`)
  if (name.includes('\0')) throw refuse('a NUL in a name')
}

function fail(error: Error): never {
  throw error
}

function plainTime(header: TarHeader, refuse: (why: string) => Error): TarEntry['mtime'] {
  if (Number.isNaN(header.mtime)) throw refuse('its mtime is wrong')
  return { seconds: header.mtime, nanoseconds: 0 }
}

function timeOf(text: string | undefined, header: TarHeader, refuse: (why: string) => Error): TarEntry['mtime'] {
  if (text === undefined) return plainTime(header, refuse)
  return paxTime(text) ?? fail(refuse('its mtime is wrong'))
}

function sparseMap(pax: PaxRecords, refuse: (why: string) => Error): Description['map'] {
  const major = pax.values.get('GNU.sparse.major')
  if (major !== undefined) {
    const version = `${major}.${pax.values.get('GNU.sparse.minor') ?? ''}`
    if (version === '1.0') return 'leading'
    if (version !== '0.0' && version !== '0.1') throw refuse(`a sparse file of unknown format ${version.slice(0, 20)}`)
  }
  const text = pax.values.get('GNU.sparse.map')
  if (text !== undefined) return parseTextMap(text.split(','))
  return pax.sparse.length > 0 ? parseTextMap(pax.sparse) : undefined
}

const xattrPrefix = 'SCHILY.xattr.'

function xattrsOf({ pax, global }: Extras, refuse: (why: string) => Error): TarEntry['xattrs'] {
  let xattrs: Map<string, Buffer> | undefined
  for (const values of [global, pax?.values]) {
    for (const [key, value] of values ?? []) {
      if (!key.startsWith(xattrPrefix)) continue
      const name = key.slice(xattrPrefix.length)
      if (name === '' || name.length > 255 || name.includes('\0'))
        throw refuse('the name of an extended attribute is wrong')
      if (value.length > 65536) throw refuse('an extended attribute of more than 64 KiB')
      xattrs ??= new Map()
      xattrs.set(name, Buffer.from(value, 'latin1'))
    }
  }
  return xattrs
}
