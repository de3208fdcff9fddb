/** Removing trees that others filled: by an unpacker, confined to the directory above, following no symbolic link. */
import type { OpenUnpacker } from './layer-types.js'
import { runOperations } from './run-operations.js'

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
  await runOperations(openUnpacker, directory, removals, 'remove')
}
