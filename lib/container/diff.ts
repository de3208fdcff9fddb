import { open } from 'node:fs/promises'
import { isDriversOwn, isOpaque, isWhiteout } from '../storage/copy/layer-of-changes.js'
import type { PackedEntry } from '../storage/copy/pack-parser.js'
import { lookUp, packTree } from '../storage/copy/pack-tree.js'
import { packFlags } from '../storage/unpack-operations.js'
import type { OpenCopier, Tree } from '../storage/copy/copier.js'
import type { Lifecycle } from './lifecycle.js'
import { openImageRoot } from './root-view.js'
import { requireStatus } from './status.js'
import { ownersOf, seenOwner } from './userns/owners.js'

/** One difference of a container's root to its image. */
export interface ContainerChange {
  /** `A` added, `C` changed, `D` deleted: the letters of `docker diff`. Of a deleted directory it is the only one. */
  readonly kind: 'A' | 'C' | 'D'
  /** Absolute, as the container sees it. */
  readonly path: string
}

/** What a container has changed, in the order of the paths' bytes. */
export async function diff(container: Lifecycle): Promise<ContainerChange[]> {
  const { context, record } = container
  requireStatus('diff', container.status, record.name)
  const { driver, openCopier } = context
  await using changes = await driver.changes(record.id, ownersOf(context, record))
  const upper = await open(changes.upper, 'r')
  let entries: PackedEntry[]
  try {
    const all = await list(openCopier, { kind: 'directory', descriptor: upper.fd }, '')
    entries = all.filter((entry) => !isDriversOwn(entry, changes)).map(seenOwner(context, record))
  } finally {
    await upper.close()
  }
  if (entries.length === 0) return []
  const image = await openImageRoot(context, record.chainId)
  try {
    return await compare(entries, openCopier, image.tree)
  } finally {
    await image.close()
  }
}

async function compare(
  entries: readonly PackedEntry[],
  openCopier: OpenCopier,
  image: Tree,
): Promise<ContainerChange[]> {
  const before = await lookUp(openCopier, image, entries.map(({ path }) => path)) // prettier-ignore
  const kinds = new Map<string, ContainerChange['kind']>()
  const there = new Set(entries.map(({ path }) => path))
  for (const [position, entry] of entries.entries()) {
    const old = before[position]
    if (isWhiteout(entry)) {
      if (old !== undefined) kinds.set(entry.path, 'D')
    } else if (old === undefined) {
      kinds.set(entry.path, 'A')
    } else if (!sameDirectory(entry, old)) {
      kinds.set(entry.path, 'C')
    }
    if (!isOpaque(entry) || old?.operation !== 'directory') continue
    // It hides all that the image has in it, but for what stands in it anew.
    for (const { path } of await list(openCopier, image, entry.path)) {
      if (path === '' || path.includes('/') || there.has(`${entry.path}/${path}`)) continue
      kinds.set(`${entry.path}/${path}`, 'D')
    }
  }
  // A directory with a change below it is changed itself.
  for (const path of [...kinds.keys()]) {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const parent = path.slice(0, slash)
      if (kinds.has(parent)) break
      kinds.set(parent, 'C')
    }
  }
  return [...kinds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, kind]) => ({ kind, path: `/${Buffer.from(path, 'latin1').toString()}` }))
}

/** Overlay makes a directory above anew when something in it changes; that alone is no change of it. */
function sameDirectory(entry: PackedEntry, old: PackedEntry): boolean {
  const one = [entry, old].map(({ operation, mode, uid, gid, seconds, nanoseconds }) =>
    [operation, mode, uid, gid, seconds, nanoseconds].join(' '),
  )
  return entry.operation === 'directory' && one[0] === one[1]
}

/** All below a path, without the path itself, when that is the root. */
async function list(openCopier: OpenCopier, tree: Tree, path: string): Promise<PackedEntry[]> {
  const found: PackedEntry[] = []
  for await (const parts of packTree(openCopier, tree, path, packFlags.names)) {
    for (const part of parts) if (part.is === 'entry' && part.entry.path !== '') found.push(part.entry)
  }
  return found
}
