/** User namespaces of containers, in their OCI specs. Pure. */
import type { Spec } from '../../launch/oci-spec.js'
import { hasUserNamespace } from '../../launch/outside.js'
import { confineSpec } from '../confine-spec.js'
import { fromSpecMappings, idsFromZero, specMappings, type UserIdMaps } from './id-maps.js'

export function withIdMaps(spec: Spec, { uids, gids }: UserIdMaps): Spec {
  return { ...spec, linux: { ...spec.linux, uidMappings: specMappings(uids), gidMappings: specMappings(gids) } }
}

/** The maps of a container that has a user namespace. */
export function idMapsOf({ linux = {} }: Spec): UserIdMaps | undefined {
  if (!hasUserNamespace(linux)) return undefined
  return { uids: fromSpecMappings(linux.uidMappings ?? []), gids: fromSpecMappings(linux.gidMappings ?? []) }
}

/**
 * As it can be started: a namespace that is another's is no place to mount anything of its own.
 * @param mqueue whether the host has its message queues mounted
 */
export function startable(spec: Spec, mqueue: boolean): Spec {
  const maps = idMapsOf(spec)
  if (maps === undefined) return spec
  const namespaces = (spec.linux?.namespaces ?? []).filter(({ path }) => path === undefined)
  const { mounts } = confineSpec(
    { ...spec, linux: { ...spec.linux, namespaces } },
    { uids: idsFromZero(maps.uids), gids: idsFromZero(maps.gids), setsGroups: true, mqueue },
  )
  return { ...spec, ...(mounts === undefined ? {} : { mounts }) }
}
