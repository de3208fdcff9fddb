/** Every record of an image leads to layers, every name to an image. */
import { chainIds } from '../../image/digest.js'
import type { Database } from '../database.js'
import type { ImageIndex } from '../image-index.js'
import type { ImageRecord } from '../image.js'
import type { Layers } from '../layers.js'
import type { Findings } from './report.js'

export async function checkImages(
  { database, index, layers }: { readonly database: Database; readonly index: ImageIndex; readonly layers: Layers },
  findings: Findings,
): Promise<readonly ImageRecord[]> {
  for (const record of index.list()) {
    const top = chainIds(record.layers.map(({ diffId }) => diffId)).at(-1)
    if (top === undefined || layers.has(top)) continue
    const name = record.names[0] ?? record.id
    await findings.add(
      'image-broken',
      record.id,
      `the layers of ${name} are not here; pull or load it again`,
      async () => {
        await database.transaction(() => {
          index.remove(record)
        })
      },
    )
  }
  const names = database.table<string>('image-names')
  for (const [name, id] of names.entries()) {
    if (index.byId(id)?.names.includes(name)) continue
    await findings.add('name-orphaned', name, 'no image has this name', async () => {
      await names.remove(name)
    })
  }
  return index.list()
}
