/** The ids of a user namespace that a spec joins by its path, and has no mappings of then (config-linux.md, "Namespaces"). */
import { readdirSync, readFileSync } from 'node:fs'
import type { Spec, SpecIdMapping } from '../launch/oci-spec.js'
import { isOwnNamespace, isSameNamespace, namespaceAt } from './namespace-identity.js'

/** As a process that is in it has them; without one, the spec as it is. */
export function withJoinedIds(spec: Spec): Spec {
  const { namespaces = [], uidMappings = [] } = spec.linux ?? {}
  const path = namespaces.find(({ type }) => type === 'user')?.path
  if (path === undefined || uidMappings.length > 0) return spec
  const joined = namespaceAt(path)
  const isIn = (pid: string): boolean => isSameNamespace(joined, namespaceAt(`/proc/${pid}/ns/user`))
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && isIn(name))
  if (pid === undefined || isOwnNamespace({ type: 'user', path })) return spec
  const linux = { ...spec.linux, uidMappings: mapsOf(pid, 'uid_map'), gidMappings: mapsOf(pid, 'gid_map') }
  return { ...spec, linux }
}

/** user_namespaces(7), "User and group ID mappings": as counted from the reader's own namespace. */
function mapsOf(pid: string, file: 'uid_map' | 'gid_map'): SpecIdMapping[] {
  const lines = readFileSync(`/proc/${pid}/${file}`, 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [containerID = 0, hostID = 0, size = 0] = line.trim().split(/\s+/).map(Number)
    return { containerID, hostID, size }
  })
}
