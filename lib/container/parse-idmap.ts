/**
 * The id maps of a mount, as podman-run(1) writes them: `idmap=uids=0-1000-1#1-2001-10;gids=0-1000-1`, with `@` before ranges whose
 * seen ids are the container's, or `idmap` alone. Pure.
 */
import { show } from '../schema/faults.js'
import type { SpecIdMapping, SpecMount } from '../launch/oci-spec.js'
import type { IdMapOption, IdMapRange } from './options.js'
import type { MountExtras } from './mount-request.js'
import type { Report } from './mount-words.js'

export function parseIdMapWord(word: string, report: Report): 'container' | IdMapOption | undefined {
  if (word === 'idmap') return 'container'
  const maps = new Map<string, IdMapRange[]>()
  const relative = new Set<boolean>()
  for (const part of word.replace(/^idmap=/, '').split(';')) {
    const match = /^(uids|gids)=(@?)(\d+-\d+-\d+(?:#\d+-\d+-\d+)*)$/.exec(part)
    const [, kind = '', sign = '', ranges = ''] = match ?? []
    if (match === null || maps.has(kind)) {
      report(shapeFault(word))
      return undefined
    }
    relative.add(sign === '@')
    maps.set(
      kind,
      ranges.split('#').map((range) => {
        const [files = 0, seen = 0, size = 0] = range.split('-').map(Number)
        return { files, seen, size }
      }),
    )
  }
  const [uids, gids] = [maps.get('uids'), maps.get('gids')]
  const fault = uids === undefined || gids === undefined ? undefined : idMapFault({ uids, gids })
  if (uids !== undefined && gids !== undefined && fault === undefined && relative.size === 1)
    return { uids, gids, ...(relative.has(true) ? { relative: true } : {}) }
  if (relative.size === 2) report(`idmap must have '@' before the ranges of both or of none, got ${show(word)}`)
  else report(fault === undefined ? shapeFault(word) : `idmap ${fault}, got ${show(word)}`)
  return undefined
}

function shapeFault(word: string): string {
  return `idmap must be alone, or such as 'idmap=uids=0-1000-1;gids=0-1000-1' (files-seen-size, more with '#'), got ${show(word)}`
}

/** What is wrong with it beyond its shape. */
export function idMapFault({ uids, gids }: IdMapOption): string | undefined {
  for (const ranges of [uids, gids]) {
    if (ranges.length === 0 || ranges.length > 340) return 'must have 1 to 340 ranges (user_namespaces(7))'
    for (const side of ['files', 'seen'] as const) {
      const sorted = [...ranges].sort((a, b) => a[side] - b[side])
      if (sorted.some((range, i) => i > 0 && range[side] < sorted[i - 1]![side] + sorted[i - 1]!.size))
        return 'has ranges that overlap'
    }
    if (ranges.some(({ files, seen, size }) => size < 1 || Math.max(files, seen) + size > 2 ** 32 - 1))
      return 'has a range without ids, or beyond the last'
  }
  return undefined
}

/** As the OCI spec has them, and what it can't say before the ids of the container are known. */
export function idMappings(
  ids: 'container' | IdMapOption | undefined,
): Pick<SpecMount, 'uidMappings' | 'gidMappings'> & { readonly idmap?: MountExtras['idmap'] } {
  if (ids === undefined) return {}
  if (ids === 'container') return { idmap: 'container' }
  const map = (ranges: readonly IdMapRange[]): SpecIdMapping[] =>
    ranges.map(({ files, seen, size }) => ({ containerID: files, hostID: seen, size }))
  return {
    uidMappings: map(ids.uids),
    gidMappings: map(ids.gids),
    ...(ids.relative === true ? { idmap: 'relative' as const } : {}),
  }
}
