/** The end of a container's cgroups. Those who come too late find nothing, which is success. */
import { killFrozen, killUnified } from '../cgroup/kill.js'
import { processesBelow, removeTree } from '../cgroup/directories.js'
import { settleAll } from '../teardown.js'
import type { CgroupDirectories } from './record.js'

const PATIENCE = 10_000

/** Kill every process in them, forks and all, and wait until none is left. */
export async function killAll({ unified, freezer, directories }: CgroupDirectories): Promise<void> {
  if (unified !== undefined) await killUnified(unified, PATIENCE)
  else if (directories[0] !== undefined) await killFrozen(freezer ?? directories[0], freezer, PATIENCE)
}

/** Whatever is in them still is killed first. */
export async function removeCgroups(cgroup: CgroupDirectories): Promise<void> {
  await killAll(cgroup)
  await settleAll('remove the cgroups', cgroup.directories.map(removeTree))
}

export async function processesOf({ unified, freezer, directories }: CgroupDirectories): Promise<number[]> {
  const directory = unified ?? freezer ?? directories[0]
  return directory === undefined ? [] : processesBelow(directory)
}
