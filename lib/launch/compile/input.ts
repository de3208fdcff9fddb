/** What a plan is compiled from. */
import type { Spec } from '../oci-spec.js'
import type { Operation, PlanAccount } from '../operation.js'
import type { PlanCgroup, PlanListener, PlanMonitor, PlanNetwork, PlanStdio } from '../plan.js'

/** What a launch needs beside the spec: what the host has made for it. */
export interface LaunchInput {
  readonly spec: Spec
  /** How the root is mounted: by the storage driver's word, or the bundle's directory bound onto itself. */
  readonly root: readonly Extract<Operation, { op: 'root-overlay' | 'root-bind' | 'mount' | 'adopt' | 'map-ids' }>[]
  /** What the spec can't say of its mounts. @default nothing */
  readonly mountSources?: readonly MountSource[]
  readonly cgroup: PlanCgroup
  /** What stands below /sys/fs/cgroup in the container: host directories by name; `''` alone is a pure v2 tree. */
  readonly cgroupMounts: readonly { readonly name: string; readonly source: string }[]
  readonly stdio: PlanStdio
  /** Links to networks: what the monitor does, and what the new process does. */
  readonly network?: PlanNetwork & { readonly operations: readonly Operation[] }
  /** Absent: none keeps it. */
  readonly monitor?: PlanMonitor
  /** Stay as pid 1 and reap (`init: true`). */
  readonly init: boolean
  /** Stop before the exec until told to go on; or earlier, while the host's files are in sight still. */
  readonly barrier?: boolean | 'before-pivot'
  /** Programs that are run in its namespaces, before the pivot and as its own program. */
  readonly hooks?: readonly Extract<Operation, { op: 'hook' }>[]
  /** It is in a user namespace that is not the machine's first, where there are no new devices. @default false */
  readonly confined?: boolean
  /** It lives on without its maker, and its program begins when it is told to, or at once. */
  readonly parts?: 'until-start' | 'at-once'
  /** Give it no session keyring of its own, so that it has that of its maker. @default false */
  readonly keepsKeyring?: boolean
  /**
   * Flags of a recursive bind are about its top alone unless they have an `r` in front (`rro`), as the specification says
   * (config.md, "Linux mount options"). @default false: about all that is mounted below, which no caller is to overlook
   */
  readonly flagsOfTop?: boolean
  /** Whom the root's databases of users are to know. @default those whom the image knows */
  readonly account?: PlanAccount
  /** The process is this helper itself, which keeps the namespaces of a pod. */
  readonly hold?: boolean
  /** The mount namespace that a source is prepared from. */
  readonly peer?: string
  /** Who decides calls that its seccomp profile leaves open. */
  readonly listener?: PlanListener
}

/** What the spec can't say of a mount. */
export interface MountSource {
  /** Which of the spec's mounts it is. */
  readonly destination: string
  /** Where it comes from, in the place of the spec's `source`. */
  readonly source?: string
  /** A path in it. */
  readonly subpath?: string
  /** What makes the source, in the container's own mount namespace. */
  readonly prepare?: readonly Operation[]
  /** It begins with what the root has at the destination. */
  readonly fill?: Omit<Extract<Operation, { op: 'fill' }>, 'op' | 'target'>
  /** The slot that `prepare` keeps it in. */
  readonly taken?: number
  /** Who gets all of it. */
  readonly owner?: string
  /** What SELinux is to call all of it. */
  readonly relabel?: { readonly label: string; readonly kept: readonly string[] }
}
