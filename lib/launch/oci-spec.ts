/**
 * The OCI runtime specification 1.2, Linux: the types of config.json.
 * https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md and config-linux.md
 *
 * Sizes are bytes, modes are numbers (420 is 0644). Where the specification says uint64, a number stands here; values
 * at and above 2^53 that must be exact (arguments of seccomp rules) may be bigints.
 */

import type { LinuxResources } from '../cgroup/resources.js'
import type { LandlockRules } from '../security/landlock.js'
import type { LinuxSeccomp } from '../security/linux-seccomp.js'
import type {
  memoryPolicyFlags,
  memoryPolicyModes,
  personalities,
  schedulerFlags,
  schedulerPolicies,
} from './scheduling-numbers.js'

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md */
export interface Spec {
  /** Version of the specification that this follows, SemVer. */
  readonly ociVersion: string
  readonly root?: SpecRoot
  readonly process?: SpecProcess
  readonly hostname?: string
  readonly domainname?: string
  /** Mounted in this order. */
  readonly mounts?: readonly SpecMount[]
  readonly hooks?: SpecHooks
  readonly annotations?: Readonly<Record<string, string>>
  readonly linux?: SpecLinux
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#root */
export interface SpecRoot {
  /** Absolute, or relative to the bundle. */
  readonly path: string
  /** @default false */
  readonly readonly?: boolean
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#mounts */
export interface SpecMount {
  /** Path inside the container; a relative one (deprecated) counts from `/`. */
  readonly destination: string
  readonly type?: string
  readonly source?: string
  readonly options?: readonly string[]
  readonly uidMappings?: readonly SpecIdMapping[]
  readonly gidMappings?: readonly SpecIdMapping[]
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#process */
export interface SpecProcess {
  /** @default false */
  readonly terminal?: boolean
  /** Characters; ignored without `terminal`. */
  readonly consoleSize?: { readonly height: number; readonly width: number }
  /** Absolute. */
  readonly cwd: string
  /** `NAME=value`. */
  readonly env?: readonly string[]
  readonly args?: readonly string[]
  readonly rlimits?: readonly SpecRlimit[]
  readonly apparmorProfile?: string
  readonly selinuxLabel?: string
  /** Podling's own: the specification has no word for it yet. */
  readonly landlock?: LandlockRules
  readonly capabilities?: SpecCapabilities
  /** @default false */
  readonly noNewPrivileges?: boolean
  /** -1000..1000, proc_pid_oom_score_adj(5). */
  readonly oomScoreAdj?: number
  readonly scheduler?: SpecScheduler
  readonly ioPriority?: { readonly class: IoPriorityClass; readonly priority?: number }
  readonly execCPUAffinity?: { readonly initial?: string; readonly final?: string }
  readonly user: SpecUser
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#user */
export interface SpecUser {
  readonly uid: number
  readonly gid: number
  readonly umask?: number
  readonly additionalGids?: readonly number[]
  /**
   * A user, or `user:group`, that is still to be looked up in the container's own /etc/passwd and /etc/group. The
   * specification has this field for Windows; Podling uses it until the start has found the numbers.
   */
  readonly username?: string
}

/** Names of getrlimit(2), `RLIMIT_NOFILE`. Values at and above 2^63 are no limit. */
export interface SpecRlimit {
  readonly type: string
  readonly soft: number
  readonly hard: number
}

/** Names of capabilities(7), `CAP_CHOWN`. */
export interface SpecCapabilities {
  readonly bounding?: readonly string[]
  readonly effective?: readonly string[]
  readonly inheritable?: readonly string[]
  readonly permitted?: readonly string[]
  readonly ambient?: readonly string[]
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#linux-process */
export interface SpecScheduler {
  readonly policy: keyof typeof schedulerPolicies
  readonly nice?: number
  readonly priority?: number
  readonly flags?: readonly (keyof typeof schedulerFlags)[]
  /** Nanoseconds. */
  readonly runtime?: number
  readonly deadline?: number
  readonly period?: number
}

export type RootfsPropagation = 'shared' | 'slave' | 'private' | 'unbindable'

export type IoPriorityClass = 'IOPRIO_CLASS_RT' | 'IOPRIO_CLASS_BE' | 'IOPRIO_CLASS_IDLE'

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#posix-platform-hooks */
export interface SpecHooks {
  /** @deprecated by the specification; use the three below. */
  readonly prestart?: readonly SpecHook[]
  readonly createRuntime?: readonly SpecHook[]
  readonly createContainer?: readonly SpecHook[]
  readonly startContainer?: readonly SpecHook[]
  readonly poststart?: readonly SpecHook[]
  readonly poststop?: readonly SpecHook[]
}

export interface SpecHook {
  /** Absolute. */
  readonly path: string
  readonly args?: readonly string[]
  readonly env?: readonly string[]
  /** Seconds. */
  readonly timeout?: number
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md */
export interface SpecLinux {
  readonly namespaces?: readonly SpecNamespace[]
  readonly uidMappings?: readonly SpecIdMapping[]
  readonly gidMappings?: readonly SpecIdMapping[]
  readonly timeOffsets?: Readonly<Record<string, { readonly secs?: number; readonly nanosecs?: number }>>
  readonly devices?: readonly SpecDevice[]
  readonly netDevices?: Readonly<Record<string, { readonly name?: string }>>
  /** Absolute: from the root of the cgroup file system. Relative: from a place that the runtime chooses. */
  readonly cgroupsPath?: string
  /** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md#control-groups */
  readonly resources?: LinuxResources
  readonly intelRdt?: Readonly<Record<string, unknown>>
  readonly memoryPolicy?: {
    readonly mode: keyof typeof memoryPolicyModes
    readonly nodes?: string
    readonly flags?: readonly (keyof typeof memoryPolicyFlags)[]
  }
  readonly sysctl?: Readonly<Record<string, string>>
  readonly seccomp?: LinuxSeccomp
  /** runc and crun know them with an `r` in front, too, and so do we: it is of all mounts in any case. */
  readonly rootfsPropagation?: RootfsPropagation | `r${RootfsPropagation}`
  readonly maskedPaths?: readonly string[]
  readonly readonlyPaths?: readonly string[]
  readonly mountLabel?: string
  readonly personality?: { readonly domain: keyof typeof personalities; readonly flags?: readonly string[] }
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md#namespaces */
export interface SpecNamespace {
  readonly type: SpecNamespaceType
  /** Absolute path of the namespace to join; absent: a new one. */
  readonly path?: string
}

export type SpecNamespaceType = 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'user' | 'cgroup' | 'time'

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md#user-namespace-mappings */
export interface SpecIdMapping {
  readonly containerID: number
  readonly hostID: number
  readonly size: number
}

/** @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md#devices */
export interface SpecDevice {
  /** `c` and `u` are character devices, `b` block devices, `p` a FIFO (mknod(1)). */
  readonly type: 'c' | 'b' | 'u' | 'p'
  readonly path: string
  readonly major?: number
  readonly minor?: number
  readonly fileMode?: number
  readonly uid?: number
  readonly gid?: number
}
