import { open } from 'node:fs/promises'
import { isDriversOwn, layerEntries } from '../storage/copy/layer-of-changes.js'
import { packTree } from '../storage/copy/pack-tree.js'
import { tarOfTree } from '../storage/copy/tar-of-tree.js'
import type { Lifecycle } from './lifecycle.js'

/** What a container has changed, as the tar of a layer. Nothing is done until it is read. */
export async function* changesAsLayer({ context, record }: Lifecycle): AsyncGenerator<Buffer> {
  await using changes = await context.driver.changes(record.id)
  const upper = await open(changes.upper, 'r')
  try {
    const parts = packTree(context.openCopier, { kind: 'directory', descriptor: upper.fd }, '', 0)
    yield* tarOfTree(parts, (entry) => (isDriversOwn(entry, changes) ? [] : layerEntries(entry)))
  } finally {
    await upper.close()
  }
}
