/** How a root is made of directories whose files are to be seen with other ids (mount_setattr(2), "ID-mapped mounts"). Pure. */
import { dirname } from 'node:path'
import type { RootOperation, RootOptions } from './driver.js'

/** One mount over each directory: all that is mounted from below it afterwards has the ids of that. */
export function mapIds(directories: readonly string[], { idMaps }: RootOptions): RootOperation[] {
  return idMaps === undefined ? [] : directories.map((path) => ({ op: 'map-ids', path, idMaps }))
}

/** The directory that all layers are in, so that one mount does for hundreds. */
export function commonDirectory([first, ...others]: readonly string[]): string[] {
  if (first === undefined) return []
  let directory = dirname(first)
  while (!others.every((path) => path.startsWith(`${directory}/`))) directory = dirname(directory)
  return [directory]
}
