/** Maps of ids, as uid_map and gid_map of user_namespaces(7) have them. Pure. */
import type { SpecIdMapping } from '../../launch/oci-spec.js'
import type { IdMaps } from '../../storage/drivers/driver.js'

/** Ids of a container, from `containerId` on, and the ids of the host that they are. */
export interface IdMapping {
  readonly containerId: number
  readonly hostId: number
  /** How many follow one another, 1 or more. */
  readonly size: number
}

/** The maps of a user namespace. */
export interface UserIdMaps {
  readonly uids: readonly IdMapping[]
  readonly gids: readonly IdMapping[]
}

/** 2^32-1 is how the kernel says 'no id'. */
export const endOfIds = 2 ** 32 - 1

/** The last id of all: files of a root that belong to nobody in the container have it, such as those of the overlay itself. */
export const nobodys = endOfIds - 1

/** As many lines as the kernel takes, but for the one that {@link rootIdMaps} adds. */
export const mostMappings = 339

/** What is wrong with a map, in words that go on after its name. */
export function mapFault(map: readonly IdMapping[]): string | undefined {
  if (map.length === 0) return 'must have at least one entry'
  if (map.length > mostMappings)
    return `must have at most ${String(mostMappings)} entries (user_namespaces(7)), got ${String(map.length)}`
  const beyond = map.find(({ containerId, hostId, size }) => Math.max(containerId, hostId) + size > nobodys)
  if (beyond !== undefined) return `must end before ${String(nobodys)}, got ${mappingText(beyond)}`
  for (const side of ['containerId', 'hostId'] as const) {
    const sorted = [...map].sort((a, b) => a[side] - b[side])
    for (const [index, entry] of sorted.entries()) {
      const before = sorted[index - 1]
      if (before !== undefined && before[side] + before.size > entry[side])
        return `must not overlap, got ${mappingText(before)} and ${mappingText(entry)}`
    }
  }
  return hostIdOf(map, 0) === undefined ? 'must map 0, who makes the container' : undefined
}

/** The id of the host that an id of the container is; undefined: none. */
export function hostIdOf(map: readonly IdMapping[], id: number): number | undefined {
  const entry = map.find(({ containerId, size }) => id >= containerId && id < containerId + size)
  return entry && entry.hostId + (id - entry.containerId)
}

/** The id of the container that an id of the host is; undefined: none. */
export function containerIdOf(map: readonly IdMapping[], id: number): number | undefined {
  const entry = map.find(({ hostId, size }) => id >= hostId && id < hostId + size)
  return entry && entry.containerId + (id - entry.hostId)
}

/** How many ids follow one another from 0 on. */
export function idsFromZero(map: readonly IdMapping[]): number {
  let end = 0
  for (const { containerId, size } of [...map].sort((a, b) => a.containerId - b.containerId))
    if (containerId === end) end += size
  return end
}

/** As podman-run(1) writes one: `0:100000:65536`. */
export function mappingText({ containerId, hostId, size }: IdMapping): string {
  return [containerId, hostId, size].join(':')
}

/** As the OCI spec has them. */
export function specMappings(map: readonly IdMapping[]): SpecIdMapping[] {
  return map.map(({ containerId, hostId, size }) => ({ containerID: containerId, hostID: hostId, size }))
}

export function fromSpecMappings(map: readonly SpecIdMapping[]): IdMapping[] {
  return map.map(({ containerID, hostID, size }) => ({ containerId: containerID, hostId: hostID, size }))
}

/** Whose the files of its root are, where they are copies for it. */
export function copyIdMaps({ uids, gids }: UserIdMaps): IdMaps {
  return { uid: mapText(uids), gid: mapText(gids) }
}

function mapText(map: readonly IdMapping[]): string {
  return map.map(({ containerId, hostId, size }) => `${[containerId, hostId, size].join(' ')}\n`).join('')
}

/** How the files of its root are seen. The host's root, who makes an overlay, must be somebody there too. */
export function rootIdMaps({ uids, gids }: UserIdMaps): IdMaps {
  const text = (map: readonly IdMapping[]): string => {
    const hasRoot = map.some(({ hostId }) => hostId === 0)
    const all = hasRoot ? map : [...map, { containerId: nobodys, hostId: 0, size: 1 }]
    return mapText(all)
  }
  return { uid: text(uids), gid: text(gids) }
}
