import { totalmem } from 'node:os'
import type { CgroupStats } from '../../cgroup/stats.js'
import type { Pressure } from '../../cgroup/pressure.js'
import type { InterfaceStats } from './interfaces.js'

/** What a container uses, at one moment. What this machine doesn't count is absent, never zero. */
export interface ContainerStats {
  readonly id: string
  readonly name: string
  readonly time: Date
  readonly cpu: CgroupStats['cpu'] & {
    /**
     * Percent of one processor: 200 for two that were busy all the time. In a stream since the sample before, else since
     * the container started.
     */
    readonly percent: number
  }
  readonly memory?: NonNullable<CgroupStats['memory']> & {
    /** `usage` in percent of the limit; without one, of the host's memory. */
    readonly percent: number
  }
  /** Bytes from and to disks, and of each disk where the kernel tells them apart for this container. */
  readonly io?: CgroupStats['io']
  /** The links of its network namespace, loopback among them. Absent with `network: 'host'`: they are the host's. */
  readonly network?: readonly InterfaceStats[]
  /** Processes and threads. */
  readonly pids?: { readonly current: number; readonly limit?: number }
  /** How much its processes had to wait (psi(7)). */
  readonly pressure?: Pressure
}

/** When processor time was counted, and how much it was. Both in nanoseconds, from the same beginning. */
export interface CpuMark {
  readonly at: number
  readonly usage: number
}

export interface Sample {
  readonly id: string
  readonly name: string
  readonly counts: CgroupStats
  readonly network: readonly InterfaceStats[] | undefined
  /** Since when `percent` counts. */
  readonly since: CpuMark
  readonly now: CpuMark
  readonly time: Date
}

/** To ask for it is to read /proc/meminfo. */
const hostMemory = totalmem()

/** Counts as people want them. Pure, but for the size of the host's memory. */
export function containerStats({ id, name, counts, network, since, now, time }: Sample): ContainerStats {
  const { cpu, memory, io, pids, pressure } = counts
  const elapsed = now.at - since.at
  const percent = elapsed > 0 ? Math.max(0, ((now.usage - since.usage) / elapsed) * 100) : 0
  return {
    id,
    name,
    time,
    cpu: { percent, ...cpu },
    ...(memory === undefined
      ? {}
      : { memory: { percent: (memory.usage / Math.min(memory.limit ?? Infinity, hostMemory)) * 100, ...memory } }),
    ...(io === undefined ? {} : { io }),
    ...(network === undefined ? {} : { network }),
    ...(pids === undefined ? {} : { pids }),
    ...(pressure === undefined ? {} : { pressure }),
  }
}
