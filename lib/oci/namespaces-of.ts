/** The namespaces of a container that runs, as its pid 1 has them. */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs'
import type { Spec, SpecNamespaceType } from '../launch/oci-spec.js'
import type { Plan } from '../launch/plan.js'
import { OciError } from './oci-error.js'
import { isAlive } from './process-of.js'
import type { ContainerRecord } from './record.js'

/** The directory of its pid 1 below /proc: what is found by it is this process's, or nothing's. @throws OciError */
export function openProcessDirectory(record: ContainerRecord): number {
  let directory
  try {
    directory = openSync(`/proc/${String(record.pid)}`, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    throw new OciError('cannot exec in a stopped container')
  }
  // One that is ending has no namespaces any more, be it that it waits for others still (pid_namespaces(7)).
  if (isAlive(record) && hasNamespaces(directory)) return directory
  closeSync(directory)
  throw new OciError('cannot exec in a stopped container')
}

function hasNamespaces(directory: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${String(directory)}/ns/mnt`) !== ''
  } catch {
    return false
  }
}

/** What a plan joins, by the directory that its helper has as descriptor 4. Pure. */
export function namespacesOf({ linux }: Spec): Plan['join'] {
  return (linux?.namespaces ?? []).map(({ type }) => ({ type, path: `/proc/self/fd/4/ns/${names[type]}` }))
}

const names: Readonly<Record<SpecNamespaceType, string>> = {
  mount: 'mnt',
  pid: 'pid',
  network: 'net',
  ipc: 'ipc',
  uts: 'uts',
  user: 'user',
  cgroup: 'cgroup',
  time: 'time',
}
