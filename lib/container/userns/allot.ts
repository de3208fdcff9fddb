/** Ids for a container that no other has, out of the ranges of a user. Pure. */
import type { SubIdRange } from '../../sys/sub-ids.js'
import type { IdMapping } from './id-maps.js'

export interface Allotment {
  /** What there is to give. */
  readonly ranges: readonly SubIdRange[]
  /** What others have. */
  readonly taken: readonly SubIdRange[]
  /** How many ids, from 0 on. */
  readonly size: number
  /** Of those, what the caller has given already. */
  readonly given: readonly IdMapping[]
}

/**
 * The lowest ids that are free: in one piece where there is one, else in several.
 * @returns undefined where there aren't as many
 */
export function allot({ ranges, taken, size, given }: Allotment): IdMapping[] | undefined {
  const holes = gaps(
    { first: 0, count: size },
    given.map(({ containerId, size: count }) => ({ first: containerId, count })),
  )
  const wanted = holes.reduce((sum, { count }) => sum + count, 0)
  const used = [...taken, ...given.map(({ hostId, size: count }) => ({ first: hostId, count }))]
  const free = ranges.flatMap((range) => gaps(range, used))
  const whole = free.find(({ count }) => count >= wanted)
  return spread(holes, whole === undefined ? free : [whole], given)
}

/** What of a range the others leave. */
function gaps(range: SubIdRange, others: readonly SubIdRange[]): SubIdRange[] {
  const end = range.first + range.count
  const result: SubIdRange[] = []
  let at = range.first
  for (const { first, count } of [...others].sort((a, b) => a.first - b.first)) {
    if (first > at && at < end) result.push({ first: at, count: Math.min(first, end) - at })
    at = Math.max(at, first + count)
  }
  if (at < end) result.push({ first: at, count: end - at })
  return result
}

function spread(
  holes: readonly SubIdRange[],
  free: readonly SubIdRange[],
  given: readonly IdMapping[],
): IdMapping[] | undefined {
  const map = [...given]
  const left = free.map((range) => ({ ...range }))
  for (const { first, count } of holes) {
    let containerId = first
    for (let missing = count; missing > 0;) {
      const [piece] = left
      if (piece === undefined) return undefined
      const size = Math.min(missing, piece.count)
      map.push({ containerId, hostId: piece.first, size })
      containerId += size
      missing -= size
      piece.first += size
      piece.count -= size
      if (piece.count === 0) left.shift()
    }
  }
  return map.sort((a, b) => a.containerId - b.containerId)
}
