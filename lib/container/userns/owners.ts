/**
 * Whose the files of a container's root are on the disk. As the machine's root, the kernel maps ids for a user namespace, and what
 * is on the disk has the ids that the container sees. An ordinary user may have that done on no file system of the host's: there
 * the files are copies, with the ids that the container's are in the namespace of the runtime.
 */
import type { IdMaps } from '../../storage/drivers/driver.js'
import type { ContainerContext } from '../context.js'
import type { ContainerRecord } from '../record.js'
import { containerIdOf, copyIdMaps, rootIdMaps } from './id-maps.js'
import { idMapsOf } from './in-spec.js'

type Host = Pick<ContainerContext, 'host'>

/** As storage drivers take them, for what is copied. */
export function ownersOf({ host }: Host, { spec }: Pick<ContainerRecord, 'spec'>): IdMaps | undefined {
  const maps = host.confinement === undefined ? undefined : idMapsOf(spec)
  return maps && copyIdMaps(maps)
}

/** As storage drivers take them, for what is mapped as it is mounted. */
export function mountedIdMaps({ host }: Host, { spec }: Pick<ContainerRecord, 'spec'>): IdMaps | undefined {
  const maps = host.confinement === undefined ? idMapsOf(spec) : undefined
  return maps && rootIdMaps(maps)
}

interface Owned {
  readonly uid: number
  readonly gid: number
}

/** From the owner of a file on the disk to the one that the container sees, which is nobody (65534) where it has none. */
export function seenOwner({ host }: Host, { spec }: Pick<ContainerRecord, 'spec'>): <T extends Owned>(file: T) => T {
  const maps = host.confinement === undefined ? undefined : idMapsOf(spec)
  if (maps === undefined) return (file) => file
  return (file) => ({
    ...file,
    uid: containerIdOf(maps.uids, file.uid) ?? nobody,
    gid: containerIdOf(maps.gids, file.gid) ?? nobody,
  })
}

/** overflowuid of proc_sys_kernel(5). */
const nobody = 65_534
