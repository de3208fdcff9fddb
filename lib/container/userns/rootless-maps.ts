/**
 * The maps of a container whose maker is an ordinary user. They lead into the user namespace that all his containers are in: there
 * he is 0, and the ids of his ranges follow from 1 on. Podman calls that the intermediate namespace (podman-run(1)). Pure.
 */
import type { IdMapping } from './id-maps.js'

/**
 * `keep-id`: he is `own` in the container, and all others are of his ranges.
 * @param count how many ids there are, his own among them, 2 or more
 * @param size how many of his ranges are used at most @default all
 */
export function keptIdMap(own: number, count: number, size = count - 1): IdMapping[] {
  const most = Math.min(count - 1, size)
  return [
    ...(own === 0 ? [] : [{ containerId: 0, hostId: 1, size: Math.min(own, most) }]),
    { containerId: own, hostId: 0, size: 1 },
    ...(most > own ? [{ containerId: own + 1, hostId: own + 1, size: most - own }] : []),
  ]
}

/** `nomap`: he is nobody in the container. */
export function nobodysIdMap(count: number): IdMapping[] {
  return [{ containerId: 0, hostId: 1, size: count - 1 }]
}

/** What is wrong with a map for as many ids as there are, in words that go on after its name. */
export function beyondFault(map: readonly IdMapping[], count: number): string | undefined {
  const end = Math.max(...map.map(({ hostId, size }) => hostId + size))
  return end <= count
    ? undefined
    : `must lead to ids below ${String(count)}: 0 is this user, and those of his ranges follow; got ${String(end - 1)}`
}
