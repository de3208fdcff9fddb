/** Which ids of the host an ordinary user's containers have (user_namespaces(7)). Pure. */
import { PodlingError } from '../../errors.js'
import type { OwnSubIds } from '../../sys/read-sub-ids.js'
import type { SubIdRange } from '../../sys/sub-ids.js'

/** What is known of the user and the machine. */
export interface IdFacts {
  readonly uid: number
  readonly gid: number
  /** What /etc/subuid and /etc/subgid give him: of neither anything, or of both. */
  readonly ranges: OwnSubIds
  /** Why there are none. */
  readonly noRanges?: string | undefined
  /** The paths of newuidmap(1) and newgidmap(1), where they are. */
  readonly newuidmap?: string | undefined
  readonly newgidmap?: string | undefined
}

/** One line of uid_map or gid_map: ids of the namespace, of the host, how many. */
export type IdMapLine = readonly [inside: number, outside: number, count: number]

export interface IdMaps {
  readonly uids: readonly IdMapLine[]
  readonly gids: readonly IdMapLine[]
}

/** The user is root inside; his ranges follow from 1 on. */
export function rangedMaps({ uid, gid, ranges }: IdFacts): IdMaps {
  return { uids: [[0, uid, 1], ...following(ranges.uids)], gids: [[0, gid, 1], ...following(ranges.gids)] }
}

/** What needs no program and nobody's leave: root inside is the user, and there is nobody else. */
export function singleMaps({ uid, gid }: Pick<IdFacts, 'uid' | 'gid'>): IdMaps {
  return { uids: [[0, uid, 1]], gids: [[0, gid, 1]] }
}

function following(ranges: readonly SubIdRange[]): IdMapLine[] {
  let next = 1
  return ranges.map(({ first, count }) => {
    const line = [next, first, count] as const
    next += count
    return line
  })
}

/** Why the user can have no more than one id, with the remedy; undefined when he can. */
export function rangeObstacle({ noRanges, newuidmap, newgidmap }: IdFacts): string | undefined {
  if (noRanges !== undefined) return noRanges
  const missing = [newuidmap === undefined ? ['newuidmap'] : [], newgidmap === undefined ? ['newgidmap'] : []].flat()
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} can't be found; install Debian's package uidmap`
}

/** Lines of uid_map or gid_map of proc(5) as they are read. */
export function parseIdMap(text: string): IdMapLine[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, outside, count]) =>
      inside === undefined || outside === undefined || count === undefined ? [] : [[inside, outside, count] as const],
    )
}

/** How many ids a map has. */
export function countIds(map: readonly IdMapLine[]): number {
  return map.reduce((sum, [, , count]) => sum + count, 0)
}

/** How newuidmap or newgidmap refused. */
export interface MapRefusal {
  /** What it said. */
  readonly said: string
  /** Its exit code, or the signal that killed it. */
  readonly code: string
  /** Whether it has the setuid bit of root. File capabilities do as well, which its words alone tell. */
  readonly setuid: boolean
}

/** Why newuidmap or newgidmap refused, in words with a remedy. */
export function mapProgramError(program: string, refusal: MapRefusal, path: string): PodlingError {
  const { said, code, setuid } = refusal
  const file = program === 'newuidmap' ? '/etc/subuid' : '/etc/subgid'
  const why = !said.includes('Operation not permitted')
    ? `${said === '' ? `it ended with ${code}` : said}; look into ${file}: what it gives to this user must be no other's`
    : setuid
      ? `${said}: its setuid bit has no effect, as this process has no_new_privs or the mount of it is nosuid; start this process without`
      : `${said}: it has neither its setuid bit nor file capabilities; ` +
        `as root: chmod u+s ${path}, or install Debian's package uidmap anew`
  return new PodlingError('PERMISSION_DENIED', `map the ids of containers by ${path}: ${why}`, { path })
}
