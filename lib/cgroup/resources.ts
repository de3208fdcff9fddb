/**
 * The `linux.resources` object of the OCI runtime spec 1.2 (config-linux.md, "Control groups"), as far as cgroups carry
 * it out. The launch stage's type of the whole spec is assignable to this one.
 */

/** One entry of the device allow list; later entries win. `-1` or absent numbers mean every number. */
export interface DeviceRule {
  readonly allow: boolean
  /** `a`: both kinds, and every number. Default `a`. */
  readonly type?: 'a' | 'c' | 'b' | 'u' | 'p'
  readonly major?: number
  readonly minor?: number
  /** Any of `r`ead, `w`rite, `m`knod. Default all. */
  readonly access?: string
}

export interface MemoryResources {
  /** Bytes; -1: no limit; 0: as if absent. */
  readonly limit?: number
  /** Bytes that should stay with the container when memory is short. */
  readonly reservation?: number
  /** Bytes of memory and swap together; -1: no limit of swap; 0: as if absent. */
  readonly swap?: number
  readonly kernel?: number
  readonly kernelTCP?: number
  /** 0..100; v1 only. */
  readonly swappiness?: number
  /** v1 only. */
  readonly disableOOMKiller?: boolean
  readonly useHierarchy?: boolean
  /** An update fails instead of reclaiming when more than the new limit is in use. */
  readonly checkBeforeUpdate?: boolean
}

export interface CpuResources {
  /** 2..262144, 1024 is the usual share. */
  readonly shares?: number
  /** Microseconds of CPU time in a period; 0 or less: no limit. */
  readonly quota?: number
  readonly burst?: number
  /** Microseconds; 0 or absent: 100000. */
  readonly period?: number
  readonly realtimeRuntime?: number
  readonly realtimePeriod?: number
  /** List format, `0-3,7`. */
  readonly cpus?: string
  readonly mems?: string
  readonly idle?: number
}

export interface ThrottleDevice {
  readonly major: number
  readonly minor: number
  /** Bytes or operations a second; 0: no limit. */
  readonly rate: number
}

export interface WeightDevice {
  readonly major: number
  readonly minor: number
  readonly weight?: number
  readonly leafWeight?: number
}

export interface BlockIOResources {
  /** 10..1000. */
  readonly weight?: number
  readonly leafWeight?: number
  readonly weightDevice?: readonly WeightDevice[]
  readonly throttleReadBpsDevice?: readonly ThrottleDevice[]
  readonly throttleWriteBpsDevice?: readonly ThrottleDevice[]
  readonly throttleReadIOPSDevice?: readonly ThrottleDevice[]
  readonly throttleWriteIOPSDevice?: readonly ThrottleDevice[]
}

export interface LinuxResources {
  readonly devices?: readonly DeviceRule[]
  readonly memory?: MemoryResources
  readonly cpu?: CpuResources
  /** 0 or less: no limit. */
  readonly pids?: { readonly limit?: number }
  readonly blockIO?: BlockIOResources
  /** `pageSize` as the kernel's files name it, `2MB`. */
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: number }[]
  readonly network?: {
    readonly classID?: number
    readonly priorities?: readonly { readonly name: string; readonly priority: number }[]
  }
  readonly rdma?: Readonly<Record<string, { readonly hcaHandles?: number; readonly hcaObjects?: number }>>
  /** Files of the cgroup2 directory and what to write to them, after all else. */
  readonly unified?: Readonly<Record<string, string>>
}
