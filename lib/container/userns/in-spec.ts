/** User namespaces of containers, in their OCI specs. Pure. */
import { PodlingError } from '../../errors.js'
import type { Spec, SpecIdMapping, SpecMount, SpecNamespaceType } from '../../launch/oci-spec.js'
import { hasUserNamespace } from '../../launch/outside.js'
import { confineSpec } from '../confine-spec.js'
import type { MountUse } from '../mount-request.js'
import { fromSpecMappings, hostIdOf, idsFromZero, specMappings, type IdMapping, type UserIdMaps } from './id-maps.js'

/** @param uses what the spec can't say of its mounts, of which those that are to be mapped as the container is get their maps */
export function withIdMaps(spec: Spec, maps: UserIdMaps, uses: readonly MountUse[] = []): Spec {
  const { uids, gids } = maps
  const ways = new Map(uses.map(({ destination, idmap }) => [destination, idmap]))
  const mounts = (spec.mounts ?? []).map((mount) => mapped(mount, ways.get(mount.destination), maps))
  return { ...spec, mounts, linux: { ...spec.linux, uidMappings: specMappings(uids), gidMappings: specMappings(gids) } }
}

function mapped(mount: SpecMount, way: MountUse['idmap'], { uids, gids }: UserIdMaps): SpecMount {
  const { uidMappings = [], gidMappings = [] } = mount
  switch (way) {
    case undefined:
      return mount
    case 'container':
      return { ...mount, uidMappings: specMappings(uids), gidMappings: specMappings(gids) }
    case 'relative':
      return { ...mount, uidMappings: relativeTo(uids, uidMappings), gidMappings: relativeTo(gids, gidMappings) }
  }
}

/** @throws PodlingError `INVALID_OPTION` for ids that the container doesn't have, or not in one piece */
function relativeTo(map: readonly IdMapping[], ranges: readonly SpecIdMapping[]): SpecIdMapping[] {
  return ranges.map(({ containerID, hostID: seen, size }) => {
    const [first, last] = [hostIdOf(map, seen), hostIdOf(map, seen + size - 1)]
    if (first !== undefined && last === first + size - 1) return { containerID, hostID: first, size }
    throw new PodlingError(
      'INVALID_OPTION',
      `idmap: the ids ${String(seen)} to ${String(seen + size - 1)} of the container don't follow one another on the host; ` +
        'give those that do, in ranges of their own',
    )
  })
}

/** The maps of a container that has a user namespace. */
export function idMapsOf({ linux = {} }: Spec): UserIdMaps | undefined {
  if (!hasUserNamespace(linux)) return undefined
  return { uids: fromSpecMappings(linux.uidMappings ?? []), gids: fromSpecMappings(linux.gidMappings ?? []) }
}

/**
 * As it can be started: a namespace that is another's is no place to mount anything of its own.
 * @param mqueue whether the host has its message queues mounted
 * @param owned those that it joins, but that belong to its user namespace
 */
export function startable(spec: Spec, mqueue: boolean, owned: readonly SpecNamespaceType[] = []): Spec {
  const maps = idMapsOf(spec)
  if (maps === undefined) return spec
  const namespaces = (spec.linux?.namespaces ?? []).filter(
    ({ type, path }) => path === undefined || owned.includes(type),
  )
  const { mounts } = confineSpec(
    { ...spec, linux: { ...spec.linux, namespaces } },
    { uids: idsFromZero(maps.uids), gids: idsFromZero(maps.gids), setsGroups: true, mqueue },
  )
  return { ...spec, ...(mounts === undefined ? {} : { mounts }) }
}
