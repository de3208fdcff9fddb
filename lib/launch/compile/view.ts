/** A root that is looked into without a program in it → launch plan. Pure. */
import type { SpecMount } from '../oci-spec.js'
import { enterUser } from '../outside.js'
import type { Operation } from '../operation.js'
import type { Plan, PlanMonitor } from '../plan.js'
import type { LaunchInput } from './input.js'
import { fillOperations, idMaps, mountOperations } from './mounts.js'

/** What a view of a root needs. */
export interface ViewInput extends Pick<LaunchInput, 'root' | 'mountSources'> {
  readonly monitor: PlanMonitor
  /** Only what is bound into it is mounted; all else would be empty. */
  readonly mounts?: readonly SpecMount[]
  readonly readOnly: boolean
  /** The user namespace that it is to be seen from, as the spec has its maps. @default that of the runtime */
  readonly users?: Pick<SpecMount, 'uidMappings' | 'gidMappings'>
}

/**
 * The plan of a process that holds a root as a container sees it, and stands at the barrier until its monitor is closed.
 */
export function compileView({ mounts = [], root, monitor, mountSources = [], readOnly, users }: ViewInput): Plan {
  const sources = new Map(mountSources.map((source) => [source.destination, source]))
  const binds = mounts.filter(({ type }) => type === 'bind').flatMap((mount) => mountOperations(mount, [], sources))
  const before: Operation[] = [
    { op: 'propagation', mode: 'private' },
    ...mountSources.flatMap(({ prepare = [] }) => prepare),
    ...root,
    ...fillOperations(mountSources),
  ]
  return {
    create: users === undefined ? ['mount'] : ['user', 'mount'],
    join: [],
    ...(users === undefined ? {} : idMaps(users)),
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    monitor,
    operations: [
      ...(users === undefined ? [...before, ...binds] : enterUser(before, binds)),
      { op: 'pivot-root' },
      ...(readOnly ? [{ op: 'mount-read-only', path: '/' } as const] : []),
      { op: 'barrier' },
      { op: 'exit' },
    ],
  }
}
