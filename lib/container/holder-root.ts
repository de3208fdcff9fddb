/** The root of the process that holds a pod: empty, in memory, and in its own mount namespace. Pure. */
import type { LaunchInput } from '../launch/compile/input.js'
import type { ContainerPaths } from './record.js'

export function holderRoot({ runDirectory }: ContainerPaths): LaunchInput['root'] {
  return [
    {
      op: 'mount',
      fstype: 'tmpfs',
      source: 'pod',
      // A directory that is there, and that nobody else sees this on.
      target: runDirectory,
      attributes: { noSuid: true, noDev: true, noExec: true },
      options: ['size=64k', 'mode=700'],
    },
    { op: 'root-bind', source: runDirectory },
  ]
}
