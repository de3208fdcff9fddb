/** How the kernel's overlay is mounted, on whatever it stands. */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, isErrno } from '../file-error.js'
import type { StorageRights } from '../rights.js'
import type { RootOperation, RootOptions } from './driver.js'
import type { WritableLayer, WritableLayers } from './writable-layers.js'

/**
 * The options of every root:
 * - `metacopy=off`, `redirect_dir=off`: the upper directory is a plain change set, which diff and commit read, and an
 *   attribute in a layer can't redirect a lookup, whatever the kernel was built with. As Podman and Docker have it.
 * - `index=off`: an upper directory can be used again after a crash; hard links break on copy-up, as they always did.
 * - `userxattr`: in a user namespace, where the attributes of the class `trusted` can't be had.
 * `xino` stays as the kernel has it: with upper and lower on one file system, inode numbers are true without it.
 */
const mountOptions = ['index=off', 'metacopy=off', 'redirect_dir=off'] as const
/** With `userxattr` the kernel itself leaves the other two out, and takes no word about them. */
const userOptions = ['index=off', 'userxattr'] as const

/** @param lower the directories of the image's layers, topmost first */
export function overlayRoot(
  layers: WritableLayers,
  { upper, work }: WritableLayer,
  lower: readonly string[],
  options: RootOptions,
  { confined }: StorageRights,
): RootOperation {
  if (options.volatile) allowVolatile(work)
  return {
    op: 'root-overlay',
    lower: [...lower, layers.skeleton],
    upper,
    work,
    options: [...(confined ? userOptions : mountOptions), ...(options.volatile ? ['volatile'] : [])],
    at: layers.root,
  }
}

/**
 * After a volatile mount overlay refuses the same upper directory, since it can't know whether the machine went down in
 * between. A volatile container doesn't outlive that, so the mark can go.
 */
function allowVolatile(work: string): void {
  const mark = join(work, 'work', 'incompat', 'volatile')
  if (!existsSync(mark)) return
  try {
    // With what stands in it: `dirty`, which the kernel makes to tell of it in its log.
    rmSync(mark, { recursive: true, force: true })
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw fileError(error, `use ${work} again`)
  }
}
