import { treeSize } from '../storage/copy/tree-size.js'
import type { Lifecycle } from './lifecycle.js'
import { requireStatus } from './status.js'
import { ownersOf } from './userns/owners.js'

/** What the root of a container takes up, in bytes of files. */
export interface ContainerSpace {
  /** What it has written itself, and its removal gives back. */
  readonly own: number
  /** The layers of its image, unpacked, which it shares with all others of that. */
  readonly shared: number
}

/** Walks all that it has written. */
export async function containerSpace({ context, record, status }: Lifecycle): Promise<ContainerSpace> {
  requireStatus('measure', status, record.name)
  const { driver, layers, openCopier } = context
  await using changes = await driver.changes(record.id, ownersOf(context, record))
  let shared = 0
  for (let id = record.chainId; id !== undefined; id = layers.get(id)?.parent) shared += layers.get(id)?.size ?? 0
  return { own: await treeSize(openCopier, changes.upper), shared }
}
