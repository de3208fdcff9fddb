/** Files as a tar: root's, of the epoch, so that the same files make the same bytes. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack, type Pack } from 'tar-stream'
import type { SavedMember } from './save-types.js'

/** The bytes of an archive. Leaving the loop early closes what is read. */
export async function* tarBytes(members: AsyncIterable<SavedMember>): AsyncGenerator<Uint8Array> {
  const tar = pack()
  const filling = fill(tar, members).catch((error: unknown) => {
    tar.destroy(error as Error)
  })
  try {
    for await (const piece of tar) yield piece as Uint8Array
  } finally {
    tar.destroy()
    await filling
  }
}

async function fill(tar: Pack, members: AsyncIterable<SavedMember>): Promise<void> {
  for await (const { name, size, body } of members) {
    const entry = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) })
    await pipeline(Readable.from(body, { objectMode: false }), entry)
  }
  tar.finalize()
}
