/** The root of the process that holds a pod: empty, in memory, and in its own mount namespace. Pure. */
import type { LaunchInput } from '../launch/compile/input.js'
import type { HolderRecord } from './find-pod.js'
import type { ContainerPaths } from './record.js'
import { hostIdOf } from './userns/id-maps.js'
import { idMapsOf } from './userns/in-spec.js'

export function holderRoot(
  { runDirectory }: Pick<ContainerPaths, 'runDirectory'>,
  { spec }: Pick<HolderRecord, 'spec'>,
): LaunchInput['root'] {
  return [
    {
      op: 'mount',
      fstype: 'tmpfs',
      source: 'pod',
      // A directory that is there, and that nobody else sees this on.
      target: runDirectory,
      attributes: { noSuid: true, noDev: true, noExec: true },
      options: ['size=64k', 'mode=700', ...ownerOptions(spec)],
    },
    { op: 'root-bind', source: runDirectory },
  ]
}

/** Who makes directories in it is root of its user namespace alone. */
function ownerOptions(spec: HolderRecord['spec']): string[] {
  const maps = idMapsOf(spec)
  if (maps === undefined) return []
  const [uid, gid] = [hostIdOf(maps.uids, 0), hostIdOf(maps.gids, 0)]
  return [...(uid === undefined ? [] : [`uid=${String(uid)}`]), ...(gid === undefined ? [] : [`gid=${String(gid)}`])]
}
