/** How a root is made of directories whose files are to be seen with other ids (mount_setattr(2), "ID-mapped mounts"). Pure. */
import { dirname } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { RootAttributes } from '../layer-types.js'
import type { IdMaps, RootOperation, RootOptions } from './driver.js'

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

/** A root whose owner is the one that a map gives to it. @throws PodlingError `SUBIDS_TOO_FEW` where it gives none */
export function mappedOwner(root: RootAttributes, owners: IdMaps | undefined): RootAttributes {
  if (owners === undefined) return root
  const [uid, gid] = [mappedId(owners.uid, root.uid), mappedId(owners.gid, root.gid)]
  if (uid !== undefined && gid !== undefined) return { ...root, uid, gid }
  throw new PodlingError(
    'SUBIDS_TOO_FEW',
    `userns: the root of the image belongs to ${String(root.uid)}:${String(root.gid)}, whom the container doesn't have; give it more ids`,
  )
}

/** By lines of uid_map (user_namespaces(7)). */
function mappedId(map: string, id: number): number | undefined {
  for (const line of map.split('\n')) {
    const [from = 0, to = 0, count = 0] = line.split(' ').map(Number)
    if (id >= from && id < from + count) return to + (id - from)
  }
  return undefined
}
