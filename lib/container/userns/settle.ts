/** Which ids a container gets: decided before it is made, and given when its record is written. */
import { PodlingError } from '../../errors.js'
import { isAtLeast, parseKernelRelease } from '../../sys/kernel.js'
import { readSubIds, type OwnSubIds } from '../../sys/read-sub-ids.js'
import type { SubIdRange } from '../../sys/sub-ids.js'
import type { Table } from '../../storage/database.js'
import type { ContainerContext, Image } from '../context.js'
import type { NormalizedOptions } from '../normalized-options.js'
import { allot } from './allot.js'
import type { UserNamespaceChoice } from './choice.js'
import { mapFault, type IdMapping, type UserIdMaps } from './id-maps.js'
import { countImageIds, mostIds } from './image-ids.js'

/** What its record is to be given. */
export interface UserNamespaceWish {
  readonly mode: UserNamespaceChoice['mode']
  /** Inside of the transaction that takes its name. @throws PodlingError `SUBIDS_TOO_FEW` */
  readonly take: (others: Table<UserIdMaps>) => UserIdMaps
}

/**
 * @throws PodlingError `INVALID_OPTION`, `KERNEL_UNSUPPORTED`, `SUBIDS_NOT_FOUND`, `SUBIDS_INVALID`
 */
export function settleUserNamespace(
  context: ContainerContext,
  { userns, user }: NormalizedOptions,
  image: Image,
): UserNamespaceWish | undefined {
  if (userns === undefined) return undefined
  const { host, driver, layers } = context
  if (host.confinement !== undefined) {
    throw new PodlingError(
      'INVALID_OPTION',
      `userns: all containers of an ordinary user are in one user namespace in this version; leave it out, or run as root`,
    )
  }
  const release = parseKernelRelease(host.kernel ?? '')
  if (release === undefined || !isAtLeast(release, 5, 19)) {
    throw new PodlingError(
      'KERNEL_UNSUPPORTED',
      `userns: needs id-mapped layers, which Linux has since 5.19, and this is ${host.kernel ?? 'unknown'}`,
    )
  }
  switch (userns.mode) {
    case 'private': {
      const { uids, gids } = userns
      return { mode: 'private', take: () => ({ uids, gids }) }
    }
    case 'auto': {
      const size =
        userns.size ??
        // Layers that are no directories aren't looked into.
        (driver.name === 'erofs'
          ? mostIds
          : countImageIds(image.chainId === undefined ? [] : layers.lower(image.chainId), user ?? image.config.user))
      const { subIds } = context
      const { uidMapping, gidMapping } = userns
      const ranges = readSubIds({ name: subIds.owner }, 1, subIds)
      const take = (others: Table<UserIdMaps>): UserIdMaps => {
        const taken = [...others.entries()].map(([, maps]) => maps)
        const map = (kind: keyof OwnSubIds, given: readonly IdMapping[]): readonly IdMapping[] =>
          allotted({ kind, size, given, ranges: ranges[kind], others: taken, subIds })
        return { uids: map('uids', uidMapping), gids: map('gids', gidMapping) }
      }
      return { mode: 'auto', take }
    }
    case 'keep-id':
    case 'nomap':
      throw new PodlingError(
        'INVALID_OPTION',
        `userns: '${userns.mode}' is about the ids of an ordinary user, and this is root; use 'auto', or uidMap and gidMap`,
      )
  }
}

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
      `userns: 'auto' needs ${String(size)} ${kind} that no other container has, and ${file} gives ${subIds.owner} too few; ` +
        `add a range there, remove containers, or ask for a smaller size`,
      { path: file },
    )
  }
  const fault = mapFault(map)
  if (fault === undefined) return map
  throw new PodlingError('INVALID_OPTION', `userns: the ${kind} of 'auto' ${fault}`)
}
