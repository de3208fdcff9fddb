import { open } from 'node:fs/promises'
import { isDriversOwn, layerEntries } from '../storage/copy/layer-of-changes.js'
import { packTree } from '../storage/copy/pack-tree.js'
import { tarOfTree } from '../storage/copy/tar-of-tree.js'
import type { Lifecycle } from './lifecycle.js'
import { ownersOf, seenOwner } from './userns/owners.js'

/** What a container has changed, as the tar of a layer. Nothing is done until it is read. */
export async function* changesAsLayer({ context, record }: Lifecycle): AsyncGenerator<Buffer> {
  const seen = seenOwner(context, record)
  await using changes = await context.driver.changes(record.id, ownersOf(context, record))
  const upper = await open(changes.upper, 'r')
  try {
    const parts = packTree(context.openCopier, { kind: 'directory', descriptor: upper.fd }, '', 0)
    yield* tarOfTree(parts, (entry) => (isDriversOwn(entry, changes) ? [] : layerEntries(seen(entry))))
  } finally {
    await upper.close()
  }
}
