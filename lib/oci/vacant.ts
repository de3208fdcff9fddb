/** What others have left in the cgroups of a container that is to be made. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CgroupPlan } from '../cgroup/cgroups.js'
import { processesBelow } from '../cgroup/directories.js'
import { OciError } from './oci-error.js'

/**
 * In one that is frozen its process would never begin. One with processes is shared with them, as runc has it, and ended with
 * them.
 * @throws OciError
 */
export async function checkVacant({ directories }: CgroupPlan, warn: (message: string) => void): Promise<void> {
  const frozen = directories.find(isFrozen)
  if (frozen !== undefined) {
    throw new OciError(`container's cgroup unexpectedly frozen: ${frozen}; thaw it or choose another linux.cgroupsPath`)
  }
  const pids = new Set((await Promise.all(directories.map(processesBelow))).flat())
  if (pids.size === 0) return
  warn(`container's cgroup is not empty: ${String(pids.size)} process(es) found, which end with this container`)
}

function isFrozen(directory: string): boolean {
  return (
    read(join(directory, 'freezer.state')).trim() === 'FROZEN' || read(join(directory, 'cgroup.freeze')).trim() === '1'
  )
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // There is none.
  }
}
