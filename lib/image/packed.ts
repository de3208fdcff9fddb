import type * as TarStream from 'tar-stream'
import { late } from '../late.js'

const tarStream = late('tar-stream') as () => typeof TarStream

/**
 * The bytes of a tar while it is being filled. Leaving the loop early closes what is read.
 * @param fill adds the entries; what it throws ends the bytes
 */
export async function* packed(
  fill: (tar: TarStream.Pack) => Promise<void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const tar = tarStream().pack()
  const filling = fill(tar).then(
    () => {
      tar.finalize()
    },
    (error: unknown) => {
      tar.destroy(error as Error)
    },
  )
  try {
    for await (const piece of tar) yield piece as Uint8Array
  } finally {
    tar.destroy()
    await filling
  }
}
