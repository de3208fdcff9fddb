/** Files as a tar: root's, of the epoch, so that the same files make the same bytes. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { packed } from './packed.js'
import type { SavedMember } from './save-types.js'

/** The bytes of an archive. Leaving the loop early closes what is read. */
export function tarBytes(members: AsyncIterable<SavedMember>): AsyncGenerator<Uint8Array> {
  return packed(async (tar) => {
    for await (const { name, size, body } of members) {
      const entry = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) })
      await pipeline(Readable.from(body, { objectMode: false }), entry)
    }
  })
}
