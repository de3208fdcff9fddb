/** Whom a file of a layer belongs to, where there are not as many users as layers may name. Pure. */
import type { RootAttributes } from './layer-types.js'

/** How many users and groups containers have, from 0 on. */
export interface IdCounts {
  readonly uids: number
  readonly gids: number
}

type Owner = Pick<RootAttributes, 'uid' | 'gid'>

/**
 * Where there is one user alone, who is root, all is his: most programs run so, and an image that has a single file of
 * another's could not be had at all otherwise. Where there are more, one that is not among them is a mistake of the range.
 * @returns why it can't be, where it can't
 */
export function ownerAmong({ uid, gid }: Owner, { uids, gids }: IdCounts): Owner | string {
  if (uids > 1 && uid >= uids) return beyond('user', uid, uids, '/etc/subuid')
  if (gids > 1 && gid >= gids) return beyond('group', gid, gids, '/etc/subgid')
  return { uid: uids === 1 ? 0 : uid, gid: gids === 1 ? 0 : gid }
}

function beyond(kind: string, id: number, count: number, file: string): string {
  return (
    `it is of ${kind} ${String(id)}, and containers of this user have ids below ${String(count)}; ` +
    `give a larger range in ${file}, and end all of this user's containers, so that it counts`
  )
}
