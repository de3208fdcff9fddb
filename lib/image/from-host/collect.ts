/**
 * Puts files and directories of the host into a tree, with the links that lead to them.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { unreadable, type HostFiles, type Walk } from './host-files.js'
import { fileInode, fileVersion } from './pack.js'
import type { Tree, TreeEntry } from './tree.js'

/** A file under its own path: every link on the way to it is put in as it is, and the file where they lead. */
export async function addHostFile(tree: Tree, host: HostFiles, path: string, mode?: number): Promise<void> {
  const walk = await walkToFile(host, path)
  for (const link of walk.links) tree.put(link.path, { type: 'link', target: link.target })
  tree.put(walk.path, fileEntry(walk, mode))
}

/** A file under another path. */
export async function addHostFileAt(
  tree: Tree,
  host: HostFiles,
  from: string,
  to: string,
  mode?: number,
): Promise<void> {
  tree.put(to, fileEntry(await walkToFile(host, from), mode))
}

async function walkToFile(host: HostFiles, path: string): Promise<Walk> {
  const walk = await host.walk(path)
  if (walk?.stats.isFile() === true) return walk
  const reason =
    walk === undefined
      ? 'no such file'
      : walk.stats.isDirectory()
        ? 'a directory; list it under directories'
        : 'not a regular file'
  throw new PodlingError('HOST_FILE_NOT_FOUND', `file ${path} of the host: ${reason}`, { path })
}

function fileEntry({ path, stats }: Walk, mode?: number): TreeEntry {
  return {
    type: 'file',
    mode: mode ?? Number(stats.mode) & 0o777,
    mtime: Number(stats.mtimeNs / 1_000_000_000n),
    size: Number(stats.size),
    source: { path, inode: fileInode(stats), version: fileVersion(stats) },
  }
}

/**
 * A directory with all that is in it on its file system. A link in it that leads to a file outside brings that file
 * too, unless the directory gets another path.
 * @returns the files that may be ELF files: executables, and shared libraries by their names
 */
export async function addHostDirectory(tree: Tree, host: HostFiles, from: string, to?: string): Promise<string[]> {
  const walk = await host.walk(from)
  if (walk?.stats.isDirectory() !== true) {
    const reason = walk === undefined ? 'no such directory' : 'not a directory'
    throw new PodlingError('HOST_FILE_NOT_FOUND', `directory ${from} of the host: ${reason}`, { path: from })
  }
  if (to === undefined) {
    for (const link of walk.links) tree.put(link.path, { type: 'link', target: link.target })
  }
  const objects: string[] = []
  const add = async (source: string, target: string): Promise<void> => {
    const names = await readdir(source).catch(unreadable(source))
    const strange = names.find((name) => name.includes('\ufffd'))
    if (strange !== undefined) throw notUtf8(join(source, strange))
    const found = await Promise.all(names.map(async (name) => ({ name, stats: await host.lstat(join(source, name)) })))
    const below: string[] = []
    for (const { name, stats } of found) {
      const [path, at] = [join(source, name), join(target, name)]
      if (stats === undefined || stats.dev !== walk.stats.dev) continue
      if (stats.isDirectory()) {
        tree.put(at, { type: 'directory', mode: Number(stats.mode) & 0o1777 })
        below.push(name)
      } else if (stats.isFile()) {
        tree.put(at, fileEntry({ path, stats, links: [] }))
        if (/\.so(\.|$)|\.node$/.test(name) || (stats.mode & 0o111n) !== 0n) objects.push(path)
      } else if (stats.isSymbolicLink()) {
        await addLink(tree, host, path, at)
      }
    }
    for (const name of below) await add(join(source, name), join(target, name))
  }
  const root = to ?? walk.path
  tree.put(root, { type: 'directory', mode: Number(walk.stats.mode) & 0o1777 })
  await add(walk.path, root)
  return objects
}

/** Node puts U+FFFD for what it can't decode, and then the file can't be named any more: better told than left out. */
function notUtf8(path: string): PodlingError {
  return new PodlingError('HOST_FILE_NOT_FOUND', `file ${path} of the host: its name is not UTF-8; rename it`, { path })
}

async function addLink(tree: Tree, host: HostFiles, path: string, at: string): Promise<void> {
  if (path === at && (await host.walk(path))?.stats.isFile() === true) {
    await addHostFile(tree, host, path)
    return
  }
  const target = await host.readlink(path)
  tree.put(at, { type: 'link', target })
}
