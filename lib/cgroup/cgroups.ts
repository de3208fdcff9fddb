/** What the rest of Podling sees of cgroups: one interface, whatever the machine's layout. */
import type { CgroupMode } from './layout.js'
import type { LinuxResources } from './resources.js'
import type { CgroupStats } from './stats.js'

/** Where a process is accounted and limited, as the launch plan carries it. Paths are of the host. */
export interface CgroupPlan {
  /** Directories to make before those, which others are in as well: whoever ends last removes them. */
  readonly shared?: readonly string[]
  /** Directories to make, parents first; all of them are this container's own, and are removed when it is gone. */
  readonly directories: readonly string[]
  /** Values to write after the directories exist: limits. A write is checked whole. */
  readonly writes: readonly { readonly path: string; readonly value: string; readonly optional?: boolean }[]
  /** A cgroup2 directory to be born in (CLONE_INTO_CGROUP). */
  readonly into?: string
  /** `cgroup.procs` files of v1 hierarchies that the process must be in before it runs. */
  readonly attach: readonly string[]
  /** The cgroup2 directory whose cgroup.kill and cgroup.events end and watch everything in it. */
  readonly unified?: string
  /** v1: the freezer directory, used for a race-free kill where there is no cgroup2. */
  readonly freezer?: string
  /** Files that tell of an OOM kill: `memory.events` (v2) or `memory.oom_control` (v1). */
  readonly oomEvents?: string
  /** A device filter (BPF_PROG_TYPE_CGROUP_DEVICE, `struct bpf_insn[]`) attached to `unified`. */
  readonly deviceProgram?: Uint8Array
}

export interface Cgroups {
  readonly mode: CgroupMode
  /** Names of the controllers whose limits can be set, in v1's words where v1 has them. */
  readonly controllers: readonly string[]
  /** Why containers have no cgroups here, with the remedy; undefined where they have. */
  readonly obstacle?: string
  /**
   * The cgroups of a container: pure, nothing is made. `POD/ID` stands below the cgroup of a pod, as all these ids may.
   * @param pod limits of the pod's own cgroup; whoever holds the pod sets them
   * @throws INVALID_OPTION for an id that is no single path component and for limits that contradict each other;
   * CGROUP_CONTROLLER_MISSING when something is asked that this machine can't carry out.
   */
  plan(id: string, resources: LinuxResources, pod?: LinuxResources): CgroupPlan
  /** Read at once. @throws CGROUP_NOT_FOUND when the container has no cgroup, so isn't running. */
  stats(id: string): CgroupStats
  /** Nobody will ask for them again: what is open for them is closed. */
  forgetStats(id: string): void
  /**
   * Set what `resources` names and leave the rest as it is. Devices can't be changed.
   * @returns what sets them to what they were
   * @throws CGROUP_NOT_FOUND, LIMIT_REFUSED when the kernel doesn't take a value, and then the old ones stand; and what
   * plan() throws.
   */
  update(id: string, resources: LinuxResources): Promise<() => Promise<void>>
  exists(id: string): boolean
  /** The pids of all processes of the container, nested cgroups and all, as the host counts. */
  processes(id: string): Promise<number[]>
  /**
   * Kill every process of the container, forks and all, and wait until none is left. Nothing there is success.
   * @throws SYSTEM_CALL_FAILED when processes are still there after `timeout` milliseconds (default 10000): such ones
   * hang in the kernel.
   */
  kill(id: string, options?: { readonly timeout?: number }): Promise<void>
  /** Remove the container's cgroups and those made inside them. Idempotent; all failures are in the one error. */
  remove(id: string): Promise<void>
  /** Ids that have a cgroup in any hierarchy, without the launcher's warm slots (`warm-*`); those in a pod, `POD/ID`. */
  list(pod?: string): Promise<string[]>
  /** Make the parent directories again where another runtime's close() has removed them. Cheap when they are there. */
  prepare(): Promise<void>
  /** Remove the parent directories where they are empty. */
  close(): Promise<void>
}
