/** Which ids a container gets: decided before it is made, and given when its record is written. */
import { PodlingError } from '../../errors.js'
import { isAtLeast, parseKernelRelease } from '../../sys/kernel.js'
import { readSubIds, type OwnSubIds } from '../../sys/read-sub-ids.js'
import type { SubIdRange } from '../../sys/sub-ids.js'
import type { Table } from '../../storage/database.js'
import type { Confinement } from '../confine-spec.js'
import type { ContainerContext, Image } from '../context.js'
import type { NetworkMode } from '../../network/mode.js'
import type { HolderRecord } from '../find-pod.js'
import { otherContainer } from '../join-network.js'
import type { NormalizedOptions } from '../normalized-options.js'
import type { ContainerRecord } from '../record.js'
import { allot } from './allot.js'
import type { KeptUser, UserNamespaceChoice } from './choice.js'
import { mapFault, type IdMapping, type UserIdMaps } from './id-maps.js'
import { countImageIds, mostIds } from './image-ids.js'
import { idMapsOf, withIdMaps } from './in-spec.js'
import { beyondFault, keptIdMap, nobodysIdMap } from './rootless-maps.js'

/** What its record is to be given. */
export interface UserNamespaceWish {
  /** Inside of the transaction that takes its name. @throws PodlingError `SUBIDS_TOO_FEW` */
  readonly take: (others: Table<UserIdMaps>) => UserIdMaps
  /** Whether nobody else is to have them. */
  readonly exclusive: boolean
}

export interface SettledUsers {
  /** In the place of what was asked for. */
  readonly userns?: UserNamespaceChoice
  /** Absent: it has no user namespace of its own. */
  readonly wish?: UserNamespaceWish
  /** Who the user of this process is in it, where he is somebody: its user, unless it has another. */
  readonly kept?: KeptUser
  /** The id of the container whose user namespace it is. */
  readonly of?: string
}

/**
 * @param needed how many ids it needs, where nobody says
 * @throws PodlingError `INVALID_OPTION`, `KERNEL_UNSUPPORTED`, `SUBIDS_NOT_FOUND`, `SUBIDS_INVALID`, `SUBIDS_TOO_FEW`
 */
export function settleUserNamespace(
  context: ContainerContext,
  { userns, network }: Pick<NormalizedOptions, 'userns' | 'network'>,
  needed: () => number,
): SettledUsers {
  const settled = settle(context, userns, needed)
  if (settled.userns !== undefined) refuseSlirp4netns(network)
  return settled
}

/** It would make its socket as root of the user namespace, who may write to no directory of the host. */
function refuseSlirp4netns(network: NetworkMode): void {
  if (typeof network !== 'object' || network.kind !== 'user' || network.program !== 'slirp4netns') return
  throw new PodlingError(
    'INVALID_OPTION',
    "network: slirp4netns can't enter the user namespace that userns makes; use 'pasta', or userns: 'host'",
  )
}

function settle(
  context: ContainerContext,
  userns: UserNamespaceChoice | undefined,
  needed: () => number,
): SettledUsers {
  if (userns === undefined || userns.mode === 'pod') return {}
  const { host } = context
  const { confinement } = host
  const { caller } = confinement ?? {}
  if (userns.mode === 'container') return usersOf(context, userns)
  // As Podman has it for root, who is himself in every container.
  if (userns.mode === 'keep-id' && caller === undefined) return { kept: { uid: userns.uid ?? 0, gid: userns.gid ?? 0 } }
  if (userns.mode === 'nomap' && caller === undefined) {
    throw new PodlingError(
      'INVALID_OPTION',
      "userns: 'nomap' is about the ids of an ordinary user, and this is root; use 'auto', or uidMap and gidMap",
    )
  }
  if (confinement === undefined) requireMappedMounts(host.kernel)
  else if (confinement.uids < 2 || confinement.gids < 2) throw singleId(userns.mode)
  switch (userns.mode) {
    case 'private': {
      const { uids, gids } = userns
      if (confinement !== undefined) checkBeyond({ uids, gids }, confinement)
      return { userns, wish: { exclusive: true, take: () => ({ uids, gids }) } }
    }
    case 'auto':
      return { userns, wish: { exclusive: true, take: autoMaps(context, userns, needed) } }
    case 'keep-id': {
      const { uids = 0, gids = 0 } = confinement ?? {}
      const kept = { uid: userns.uid ?? caller?.uid ?? 0, gid: userns.gid ?? caller?.gid ?? 0 }
      const maps = { uids: keptIdMap(kept.uid, uids, userns.size), gids: keptIdMap(kept.gid, gids, userns.size) }
      return { userns, wish: { exclusive: false, take: () => maps }, kept }
    }
    case 'nomap': {
      const { uids = 0, gids = 0 } = confinement ?? {}
      const maps = { uids: nobodysIdMap(uids), gids: nobodysIdMap(gids) }
      return { userns, wish: { exclusive: false, take: () => maps } }
    }
  }
}

/** What a container has of its pod: the pod's ids are nobody else's for as long as there is the pod. */
export function usersOfPod({ spec, holds: { kept } }: HolderRecord): SettledUsers {
  const maps = idMapsOf(spec)
  return {
    ...(kept === undefined ? {} : { kept }),
    ...(maps === undefined ? {} : { userns: { mode: 'pod' }, wish: { exclusive: false, take: () => maps } }),
  }
}

/** How many ids a container of an image needs. */
export function idsOfImage({ driver, layers }: ContainerContext, image: Image, user: string | undefined): () => number {
  return () =>
    // Layers that are no directories aren't looked into.
    driver.name === 'erofs'
      ? mostIds
      : countImageIds(image.chainId === undefined ? [] : layers.lower(image.chainId), user ?? image.config.user)
}

/** Its ids are nobody else's for as long as one of both has them. Of one that has the host's there is nothing to join. */
function usersOf(context: ContainerContext, userns: Extract<UserNamespaceChoice, { mode: 'container' }>): SettledUsers {
  const other = otherContainer(context, userns.container, 'user namespace')
  const maps = idMapsOf(other.spec)
  return maps === undefined ? {} : { userns, wish: { exclusive: true, take: () => maps }, of: other.id }
}

/**
 * The record with the ids that it gets, within the transaction that writes it.
 * @throws PodlingError `SUBIDS_TOO_FEW`
 */
export function withUserIds<R extends ContainerRecord>(
  { userIds }: ContainerContext,
  record: R,
  wish: UserNamespaceWish | undefined,
): R {
  if (wish === undefined) return record
  const maps = wish.take(userIds)
  if (wish.exclusive) void userIds.put(record.id, maps)
  return { ...record, spec: withIdMaps(record.spec, maps, record.mounts) }
}

function requireMappedMounts(kernel = 'unknown'): void {
  const release = parseKernelRelease(kernel)
  if (release !== undefined && isAtLeast(release, 5, 19)) return
  throw new PodlingError(
    'KERNEL_UNSUPPORTED',
    `userns: needs id-mapped layers, which Linux has since 5.19, and this is ${kernel}`,
  )
}

function singleId(mode: string): PodlingError {
  return new PodlingError(
    'SUBIDS_NOT_FOUND',
    `userns: '${mode}' needs further ids, and this user's containers have but his own; ` +
      `info().userNamespace.warnings says why, and what to do`,
  )
}

/** @throws PodlingError `INVALID_OPTION` */
function checkBeyond({ uids, gids }: UserIdMaps, { uids: users, gids: groups }: Confinement): void {
  const faults = [
    { path: 'uidMap', fault: beyondFault(uids, users) },
    { path: 'gidMap', fault: beyondFault(gids, groups) },
  ].flatMap(({ path, fault }) => (fault === undefined ? [] : [`${path} ${fault}`]))
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', `userns: ${faults.join('; ')}`)
}

/** Those of an ordinary user are what he has beside his own; of root, what a user of the machine has been given. */
function autoMaps(
  { subIds, host: { confinement } }: ContainerContext,
  { size: asked, uidMapping, gidMapping }: Extract<UserNamespaceChoice, { mode: 'auto' }>,
  needed: () => number,
): UserNamespaceWish['take'] {
  const size = asked ?? needed()
  const ranges: OwnSubIds =
    confinement === undefined
      ? readSubIds({ name: subIds.owner }, 1, subIds)
      : {
          uids: [{ first: 1, count: confinement.uids - 1 }],
          gids: [{ first: 1, count: confinement.gids - 1 }],
        }
  const source = confinement === undefined ? subIds : ownFiles
  return (others) => {
    const taken = [...others.entries()].map(([, maps]) => maps)
    const map = (kind: keyof OwnSubIds, given: readonly IdMapping[]): readonly IdMapping[] =>
      allotted({ kind, size, given, ranges: ranges[kind], others: taken, subIds: source })
    return { uids: map('uids', uidMapping), gids: map('gids', gidMapping) }
  }
}

/** Where an ordinary user's ids come from, in words. */
const ownFiles = { owner: 'this user', subuid: '/etc/subuid', subgid: '/etc/subgid' } as const

interface Allotting {
  readonly kind: keyof OwnSubIds
  readonly size: number
  readonly given: readonly IdMapping[]
  readonly ranges: readonly SubIdRange[]
  readonly others: readonly UserIdMaps[]
  readonly subIds: ContainerContext['subIds']
}

function allotted({ kind, size, given, ranges, others, subIds }: Allotting): readonly IdMapping[] {
  const taken = others.flatMap((maps) => maps[kind].map(({ hostId, size: count }) => ({ first: hostId, count })))
  const map = allot({ ranges, taken, size, given })
  if (map === undefined) {
    const file = kind === 'uids' ? subIds.subuid : subIds.subgid
    throw new PodlingError(
      'SUBIDS_TOO_FEW',
      `userns: 'auto' needs ${String(size)} ${kind} that no other container or pod has, and ${file} gives ${subIds.owner} too few; ` +
        `add a range there, remove some of these, or ask for a smaller size`,
      { path: file },
    )
  }
  const fault = mapFault(map)
  if (fault === undefined) return map
  throw new PodlingError('INVALID_OPTION', `userns: the ${kind} of 'auto' ${fault}`)
}
