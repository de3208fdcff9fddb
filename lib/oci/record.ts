/** What is kept of a container between commands. */
import type { CgroupPlan } from '../cgroup/cgroups.js'
import type { CgroupPlace } from './cgroup-place.js'

/** state.json, in a directory of its own below the root. */
export interface ContainerRecord {
  readonly ociVersion: string
  readonly id: string
  /** Absolute. */
  readonly bundle: string
  readonly rootfs: string
  /** RFC 3339. */
  readonly created: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly place: CgroupPlace
  readonly cgroup: CgroupDirectories
  /** Pid 1, in the caller's pid namespace; absent before there is one. */
  readonly pid?: number
  /** When it began, in clock ticks since the boot: what tells it from a later process of this number. */
  readonly startTime?: string
  /** What its standard streams were as it began, as proc_pid_fd(5) shows them. */
  readonly streams?: readonly string[]
}

/** Its cgroups, by host paths. */
export type CgroupDirectories = Pick<CgroupPlan, 'directories' | 'attach' | 'into' | 'unified' | 'freezer'>

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped'

/** runc's rule for ids, which become names of directories. */
export function isContainerId(id: string): boolean {
  return /^[\w+.-]+$/.test(id) && id !== '.' && id !== '..' && id.length <= 255
}
