/**
 * What every image of the host has, whatever is put in: the directories that programs and the runtime expect, links
 * like the host's own (/lib → usr/lib), and two accounts.
 */
import type { HostFiles } from './host-files.js'
import type { Tree } from './tree.js'

const directories: readonly (readonly [path: string, mode: number])[] = [
  ['/dev', 0o755],
  ['/etc', 0o755],
  ['/proc', 0o555],
  ['/root', 0o755],
  ['/run', 0o755],
  ['/sys', 0o555],
  ['/tmp', 0o1777],
  ['/usr/bin', 0o755],
  ['/usr/lib', 0o755],
  ['/var/tmp', 0o1777],
]

/** Links on a host with a merged /usr, directories on another. */
const merged = ['/usr/sbin', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

const files: Readonly<Record<string, string>> = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  '/etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
}

/** Put it all into an empty tree. */
export async function addLayout(tree: Tree, host: HostFiles): Promise<void> {
  for (const walk of await Promise.all(merged.map((path) => host.walk(path)))) {
    if (walk === undefined || walk.links.length === 0) continue
    for (const link of walk.links) tree.put(link.path, { type: 'link', target: link.target })
    tree.put(walk.path, { type: 'directory', mode: 0o755 })
  }
  for (const [path, mode] of directories) tree.put(path, { type: 'directory', mode })
  for (const path of ['/bin', '/sbin', '/lib']) tree.put(path, { type: 'directory', mode: 0o755 })
  for (const [path, text] of Object.entries(files)) addContent(tree, path, text)
}

/** Put a file in whose bytes are given. Its time is 1970, so that it is the same whenever it is made. */
export function addContent(tree: Tree, path: string, content: string | Uint8Array, mode = 0o644): void {
  const bytes = Buffer.from(content)
  tree.put(path, { type: 'file', mode, mtime: 0, size: bytes.length, source: { content: bytes } })
}
