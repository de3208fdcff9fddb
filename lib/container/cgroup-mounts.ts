import { basename } from 'node:path'
import type { Cgroups, CgroupPlan } from '../cgroup/cgroups.js'

/**
 * What stands below /sys/fs/cgroup in a container: its own cgroup of each hierarchy, under the hierarchy's name; in a pure
 * v2 layout the one cgroup in its place. Pure.
 *
 * @param path where the container's cgroup is in each hierarchy, `/podling/<id>`
 */
export function cgroupMounts(
  mode: Cgroups['mode'],
  plan: CgroupPlan,
  path: string,
): { name: string; source: string }[] {
  return plan.directories
    .filter((directory) => directory.endsWith(path))
    .map((source) => ({ name: mode === 'v2' ? '' : basename(source.slice(0, -path.length)), source }))
}
