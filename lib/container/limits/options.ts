import type { Size } from '../../schema/quantities.js'

/** Limits of what a container uses: the words of podman-run(1). {@link Container.update} changes them while it runs. */
export interface LimitOptions {
  /** Most memory, at least 512k (`--memory`). @default no limit */
  readonly memory?: Size
  /** Most memory and swap together, needs `memory`; -1: no limit of swap (`--memory-swap`). @default twice `memory` */
  readonly memorySwap?: Size
  /** What it should keep when memory is short on the host (`--memory-reservation`). @default nothing */
  readonly memoryReservation?: Size
  /** Above this it is slowed down and its memory is taken back, before `memory` ends it. Cgroup v2 only. @default no limit */
  readonly memoryHigh?: Size
  /** How readily its memory is swapped, 0 to 100 (`--memory-swappiness`). Cgroup v1 only. @default the host's */
  readonly memorySwappiness?: number
  /** Let it wait for memory, and don't kill it (`--oom-kill-disable`). Cgroup v1 only. @default false */
  readonly oomKillDisable?: boolean
  /** Most processor time, in processors; 0.5 is half of one (`--cpus`). At least 0.01. @default no limit */
  readonly cpus?: number
  /** The same in microseconds of each period, not together with `cpus`; -1: no limit (`--cpu-quota`). @default no limit */
  readonly cpuQuota?: number
  /** Microseconds of such a period, 1000 to 1000000 (`--cpu-period`). @default 100000 */
  readonly cpuPeriod?: number
  /** Its part of the processors when they are short, 2 to 262144 (`--cpu-shares`). @default 1024 */
  readonly cpuShares?: number
  /** The same by the kernel's own measure, 1 to 10000, not together with `cpuShares`. Cgroup v2 only. @default 100 */
  readonly cpuWeight?: number
  /** Processors to run on, `'0-3,7'` (`--cpuset-cpus`). @default all */
  readonly cpuset?: string
  /** Nodes of memory to use, `'0-1'` (`--cpuset-mems`). @default all */
  readonly cpusetMems?: string
  /** Most processes and threads; -1: no limit (`--pids-limit`). @default 2048 */
  readonly pidsLimit?: number
  /** Its part of the disks when they are busy, 10 to 1000; needs the scheduler bfq or iocost (`--blkio-weight`). */
  readonly blkioWeight?: number
  /** The same for single disks, `['/dev/sda:200']` (`--blkio-weight-device`). */
  readonly blkioWeightDevice?: readonly string[]
  /** Most bytes a second from disks, `['/dev/sda:1m']` (`--device-read-bps`). */
  readonly deviceReadBps?: readonly string[]
  /** Most bytes a second to disks (`--device-write-bps`). */
  readonly deviceWriteBps?: readonly string[]
  /** Most reads a second of disks, `['/dev/sda:1000']` (`--device-read-iops`). */
  readonly deviceReadIops?: readonly string[]
  /** Most writes a second (`--device-write-iops`). */
  readonly deviceWriteIops?: readonly string[]
  /** Most memory in huge pages, by their size: `{ '2MB': '64m' }`. @default no limit */
  readonly hugetlb?: Readonly<Record<string, Size>>
  /** Files of its cgroup and what to write to them, `{ 'memory.oom.group': '1' }` (`--cgroup-conf`). Cgroup v2 only. */
  readonly cgroupConf?: Readonly<Record<string, string>>
}
