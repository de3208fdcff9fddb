import { open } from 'node:fs/promises'
import { packFlags } from '../unpack-operations.js'
import type { OpenCopier } from './copier.js'
import { packTree } from './pack-tree.js'

/** Bytes of all files in a directory of the host, each once however many names it has. Holes count. */
export async function treeSize(openCopier: OpenCopier, directory: string): Promise<number> {
  const handle = await open(directory, 'r')
  let bytes = 0
  try {
    const tree = { kind: 'directory', descriptor: handle.fd } as const
    for await (const parts of packTree(openCopier, tree, '', packFlags.names)) {
      for (const part of parts) if (part.is === 'entry') bytes += part.entry.size
    }
  } finally {
    await handle.close()
  }
  return bytes
}
