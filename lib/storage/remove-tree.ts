/** Removing trees that others filled: by an unpacker, confined to the directory above, following no symbolic link. */
import { PodlingError } from '../errors.js'
import type { OpenUnpacker } from './layer-types.js'
import { runOperations } from './run-operations.js'

const tries = 3

/**
 * Remove `directory/<name>` for each of `names` with all that is in it, however deep and whatever its names.
 * 'Already gone' is success.
 * @throws PodlingError naming the path that could not be removed
 */
export async function removeTrees(
  openUnpacker: OpenUnpacker,
  directory: string,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return
  const removals = names.map((name) => ['remove', { path: Buffer.from(name).toString('latin1') }] as const)
  for (let attempt = 1; ; attempt++) {
    try {
      await runOperations(openUnpacker, directory, removals, 'remove')
      return
    } catch (error) {
      // A launcher that is killed takes along what it was asked for. To remove again what is gone is no error.
      const lost = error instanceof PodlingError && error.errno === 'EPIPE'
      if (!lost || attempt === tries) throw error
    }
  }
}
