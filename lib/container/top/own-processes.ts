/** Which processes are a container's: those of its cgroup, and where it has none, those of its pid namespace. */
import { readdirSync, readlinkSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { isInCgroup, type ProcessDirectory } from '../../sys/process-directory.js'
import { requireCgroups } from '../../cgroup/none.js'
import type { Lifecycle } from '../lifecycle.js'
import { cgroupOf } from '../pod-place.js'

export interface OwnProcesses {
  /** As the host counts; some may have ended, and their pids be those of others. */
  readonly pids: readonly number[]
  readonly belongs: (process: ProcessDirectory) => boolean
}

/** @param pidOne as the host counts */
export async function ownProcesses({ context, record }: Lifecycle, pidOne: number): Promise<OwnProcesses> {
  const { cgroups } = context
  if (cgroups.obstacle === undefined) {
    return { pids: await cgroups.processes(cgroupOf(record)), belongs: isInCgroup(record.id) }
  }
  // Which of the host's are a container's that shares these, a cgroup alone can tell.
  if (!record.spec.linux?.namespaces?.some(({ type, path }) => type === 'pid' && path === undefined)) {
    requireCgroups(cgroups, `look at the processes of container ${record.name}, which shares its pid namespace`)
  }
  const space = namespaceOf(pidOne)
  if (space === undefined) {
    throw new PodlingError('INVALID_STATE', `look at the processes of container ${record.name}: it has just ended`)
  }
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return { pids: pids.map(Number), belongs: (process) => process.link('ns/pid') === space }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${String(pid)}/ns/pid`)
  } catch {
    return undefined
  }
}
