/** The user namespace that the containers of a runtime are in, where that is not the machine's first. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { PodlingError } from '../errors.js'
import type { Confinement } from '../container/confine-spec.js'
import { countIds, parseIdMap, rangeObstacle, type IdFacts } from '../launch/rootless/id-maps.js'
import { Namespaces } from '../launch/rootless/namespaces.js'
import { isErrno } from '../storage/file-error.js'
import type { FindProgram } from '../storage/volumes/encrypter.js'
import { readSubIds } from '../sys/read-sub-ids.js'
import { userNamespaceObstacle, userNamespaceSuspect, type HostFacts } from '../sys/kernel.js'
import type { UserNamespaceInfo } from './info.js'
import type { RuntimePaths } from './paths.js'

/** The namespaces of an ordinary user, and what is known of his ids. */
export interface UserNamespaces {
  readonly namespaces: Namespaces
  readonly idFacts: () => IdFacts
}

export function enterNamespaces(paths: RuntimePaths, facts: HostFacts, findProgram: FindProgram): UserNamespaces {
  const idFacts = (): IdFacts => readIdFacts(findProgram)
  return {
    namespaces: new Namespaces({
      runRoot: paths.runRoot,
      monitorSockets: () => monitorSockets(paths.runRoot),
      idFacts,
      obstacle: userNamespaceObstacle(facts),
      suspect: userNamespaceSuspect(facts),
    }),
    idFacts,
  }
}

export function userNamespaceInfo(confinement: Confinement, facts: IdFacts | undefined): UserNamespaceInfo {
  const { uids, gids } = confinement
  return { uids, gids, warnings: idWarnings(confinement, facts) }
}

/** Those of most images' users and of `nobody`, which is 65534: what useradd(8) gives, and the user himself. */
const usualIds = 65_536

function fewIds(uids: number, gids: number): string {
  return (
    `containers have ${String(uids)} users and ${String(gids)} groups: images with files of others are refused; ` +
    `give a range of ${String(usualIds)} in /etc/subuid and /etc/subgid`
  )
}

/** What can't work for want of ids. */
function idWarnings({ uids, gids }: Confinement, facts: IdFacts | undefined): string[] {
  if (uids > 1 && gids > 1) return Math.min(uids, gids) >= usualIds ? [] : [fewIds(uids, gids)]
  const lost =
    "containers have one user and one group, root: files of others in images are root's, and no program can be another's"
  if (facts === undefined) return [lost]
  const obstacle = rangeObstacle(facts)
  return [
    obstacle === undefined
      ? `${lost}; what this user has been given since counts when all of his containers have ended`
      : `${lost}: ${obstacle}`,
  ]
}

/**
 * Of the namespace that a process is in.
 * @param caller whether it is that of the user of this process
 */
export function lookAround(pid: number, caller: boolean): Confinement {
  const read = (name: string): string => readFileSync(`/proc/${String(pid)}/${name}`, 'latin1')
  return {
    uids: countIds(parseIdMap(read('uid_map'))),
    gids: countIds(parseIdMap(read('gid_map'))),
    setsGroups: read('setgroups').trim() === 'allow',
    mqueue: existsSync('/dev/mqueue'),
    ...(caller ? { caller: { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 } } : {}),
  }
}

function readIdFacts(findProgram: FindProgram): IdFacts {
  const uid = process.geteuid?.() ?? 0
  return {
    uid,
    gid: process.getegid?.() ?? 0,
    ...rangesOf(uid),
    newuidmap: findProgram('newuidmap'),
    newgidmap: findProgram('newgidmap'),
  }
}

/** @throws PodlingError `SUBIDS_INVALID`: what somebody meant to give must not silently be nothing */
function rangesOf(uid: number): Pick<IdFacts, 'ranges' | 'noRanges'> {
  const name = nameOf()
  try {
    return { ranges: readSubIds({ uid, ...(name === undefined ? {} : { name }) }) }
  } catch (error) {
    if (!(error instanceof PodlingError && error.code === 'SUBIDS_NOT_FOUND')) throw error
    return { ranges: { uids: [], gids: [] }, noRanges: error.message }
  }
}

/** A user need not be known by name. */
function nameOf(): string | undefined {
  try {
    return userInfo().username
  } catch {
    return undefined
  }
}

/** Of the containers that may run. */
export function monitorSockets(runRoot: string): string[] {
  try {
    return readdirSync(`${runRoot}/c`).map((name) => `${runRoot}/c/${name}/monitor.sock`)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}
