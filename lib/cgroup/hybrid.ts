/**
 * Hybrid: limits and counts are the v1 hierarchies', while a directory in the cgroup2 tree, which mostly has no
 * controllers at all, tracks the processes: births, kill and the device program work there as in pure v2. So the v1
 * devices and freezer hierarchies aren't needed.
 */
import { V2Cgroups } from './v2.js'

export class HybridCgroups extends V2Cgroups {
  protected override readonly always: readonly string[] = ['memory', 'cpu', 'cpuacct', 'pids']
}
