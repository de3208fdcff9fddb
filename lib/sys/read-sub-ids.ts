/** The subordinate ids of an owner, as this machine has them. */
import { readFileSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import { countSubIds, parseSubIds, type SubIdOwner, type SubIdRange } from './sub-ids.js'

export interface OwnSubIds {
  readonly uids: readonly SubIdRange[]
  readonly gids: readonly SubIdRange[]
}

export interface SubIdFiles {
  /** @default '/etc/subuid' */
  readonly subuid?: string
  /** @default '/etc/subgid' */
  readonly subgid?: string
}

/**
 * @param least how many there must be of each kind
 * @throws PodlingError `SUBIDS_INVALID` for a line of the owner's that is wrong (all of them are told, each with its file
 * and line), `SUBIDS_NOT_FOUND` where the owner has none, `SUBIDS_TOO_FEW`
 */
export function readSubIds(owner: SubIdOwner, least = 1, files: SubIdFiles = {}): OwnSubIds {
  const { subuid = '/etc/subuid', subgid = '/etc/subgid' } = files
  const read = [subuid, subgid].map((file) => ({ file, ...parseSubIds(textOf(file), file, owner) }))
  const faults = read.flatMap((one) => one.faults)
  const who = owner.name ?? `uid ${String(owner.uid)}`
  if (faults.length > 0) {
    const [first] = faults
    throw new PodlingError('SUBIDS_INVALID', `ids for ${who}: ${faults.map(({ message }) => message).join('\n')}`, {
      path: first!.file,
    })
  }
  for (const { file, ranges } of read) {
    const count = countSubIds(ranges)
    if (count >= least && count > 0) continue
    const remedy = `as root: echo '${who.replace(/^uid /, '')}:100000:${String(Math.max(least, 65_536))}' >> ${file}, with a first id that is nobody else's`
    throw count === 0
      ? new PodlingError('SUBIDS_NOT_FOUND', `ids for ${who}: ${file} gives none; ${remedy}`, { path: file })
      : new PodlingError(
          'SUBIDS_TOO_FEW',
          `ids for ${who}: ${file} gives ${String(count)}, and ${String(least)} are needed; ${remedy}`,
          { path: file },
        )
  }
  const [uids, gids] = read
  return { uids: uids!.ranges, gids: gids!.ranges }
}

/** A file that isn't there gives nothing to anybody. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new PodlingError('PERMISSION_DENIED', `read ${file}: ${(error as Error).message}`, {
      cause: error,
      path: file,
    })
  }
}
