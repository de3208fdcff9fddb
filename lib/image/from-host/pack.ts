/**
 * A layer's description becomes its tar stream. The same description gives the same bytes; a file's bytes go from the
 * host's page cache into the stream in pieces, and are never held whole.
 */
import { once } from 'node:events'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Pack } from 'tar-stream'
import { PodlingError } from '../../errors.js'
import { packed } from '../packed.js'
import { unreadable } from './host-files.js'
import type { TreeEntry } from './tree.js'

const PIECE = 1 << 20

type Entries = readonly (readonly [path: string, entry: TreeEntry])[]

/**
 * The tar stream of sorted entries. Leaving the loop early closes what is open.
 * @throws PodlingError `HOST_FILE_CHANGED` when a file is not what it was when it was described
 */
export function packEntries(entries: Entries): AsyncGenerator<Uint8Array, void, undefined> {
  return packed((tar) => fill(tar, entries))
}

async function fill(tar: Pack, entries: Entries): Promise<void> {
  const inodes = new Map<string, string>()
  for (const [path, entry] of entries) {
    const name = path.slice(1)
    const common = { uid: 0, gid: 0, mtime: new Date(0) }
    if (entry.type === 'directory') {
      await add(tar, { ...common, name: `${name}/`, type: 'directory', mode: entry.mode })
    } else if (entry.type === 'link') {
      await add(tar, { ...common, name, type: 'symlink', linkname: entry.target, mode: 0o777 })
    } else {
      const header = { ...common, name, mode: entry.mode, mtime: new Date(entry.mtime * 1000) }
      if ('content' in entry.source) {
        await add(tar, header, entry.source.content)
        continue
      }
      const first = inodes.get(entry.source.inode)
      if (first !== undefined) {
        await add(tar, { ...header, type: 'link', linkname: first })
      } else {
        inodes.set(entry.source.inode, name)
        await addFile(tar, header, entry.source, entry.size)
      }
    }
  }
}

type Header = Parameters<Pack['entry']>[0]

function add(tar: Pack, header: Header, content?: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => {
      if (error === undefined || error === null) resolve()
      else reject(error)
    }
    if (content === undefined) tar.entry(header, done)
    else tar.entry(header, Buffer.from(content.buffer, content.byteOffset, content.byteLength), done)
  })
}

async function addFile(
  tar: Pack,
  header: Header,
  source: { readonly path: string; readonly inode: string; readonly version: string },
  size: number,
): Promise<void> {
  const file = await open(source.path, constants.O_RDONLY | constants.O_NONBLOCK).catch(unreadable(source.path))
  try {
    const stats = await file.stat({ bigint: true })
    if (fileInode(stats) !== source.inode || fileVersion(stats) !== source.version) throw changed(source.path)
    const sink = tar.entry({ ...header, size })
    const finished = new Promise<void>((resolve, reject) => {
      sink.once('error', reject)
      sink.once('close', resolve)
    })
    // Where the stream is given up while a file is in it, `finished` rejects beside the error that we throw.
    finished.catch(() => undefined)
    for (let position = 0; position < size;) {
      const { buffer, bytesRead } = await file.read(
        Buffer.allocUnsafe(Math.min(PIECE, size - position)),
        0,
        Math.min(PIECE, size - position),
        position,
      )
      if (bytesRead === 0) throw changed(source.path)
      position += bytesRead
      if (!sink.write(buffer.subarray(0, bytesRead))) {
        await Promise.race([once(sink, 'drain'), finished])
      }
      if (sink.destroyed) return
    }
    sink.end(undefined)
    await finished
  } finally {
    await file.close()
  }
}

function changed(path: string): PodlingError {
  return new PodlingError('HOST_FILE_CHANGED', `${path} of the host changed while an image was made of it; try again`, {
    path,
  })
}

interface Times {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** Which file it is. */
export function fileInode(stats: Times): string {
  return `${String(stats.dev)}:${String(stats.ino)}`
}

/** Which state of it: a write, and a change of times that hides one, both move the change time. */
export function fileVersion(stats: Times): string {
  return `${String(stats.size)}:${String(stats.mtimeNs)}:${String(stats.ctimeNs)}`
}
