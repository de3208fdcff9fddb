/** One number for all that is in a directory, so that two can be told to be the same. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { OpenCopier } from '../copy/copier.js'
import { packTree } from '../copy/pack-tree.js'

/**
 * @param times whether the times of files count. Those of directories never do: a layer need not say any.
 */
export async function hashTree(
  openCopier: OpenCopier,
  directory: string,
  { times }: { readonly times: boolean },
): Promise<string> {
  const hash = createHash('sha256')
  const handle = await open(directory, 'r')
  try {
    for await (const parts of packTree(openCopier, { kind: 'directory', descriptor: handle.fd }, '', 0)) {
      for (const part of parts) {
        if (part.is === 'bytes') {
          hash.update(`\0${String(part.offset)}\0`).update(part.bytes)
        } else if (part.is === 'entry') {
          const { seconds, nanoseconds, xattrs, ...entry } = part.entry
          const time = times && entry.operation !== 'directory' ? [seconds, nanoseconds] : []
          const attributes = xattrs.map(([name, value]) => `${name}=${value.toString('latin1')}`).sort()
          hash.update(JSON.stringify([entry, time, attributes]))
        }
      }
    }
  } finally {
    await handle.close()
  }
  return hash.digest('hex')
}
