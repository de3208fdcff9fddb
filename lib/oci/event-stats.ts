/** The use of a container in the shape of runc's events (types/events.go), which go-runc and others read. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CgroupStats, IoStats } from '../cgroup/stats.js'

export interface EventStats {
  readonly data: unknown
  readonly oomKills: number
}

/** @param directories of its cgroups, whose memory.stat is told as it is */
export function eventStats({ cpu, memory, pids, io }: CgroupStats, directories: readonly string[]): EventStats {
  const devices = io?.devices ?? []
  return {
    oomKills: memory?.oomKills ?? 0,
    data: {
      cpu: {
        usage: { total: cpu.usage, kernel: cpu.system, user: cpu.user },
        throttling: { periods: cpu.periods, throttledPeriods: cpu.throttledPeriods, throttledTime: cpu.throttledTime },
      },
      cpuset: {},
      memory:
        memory === undefined
          ? {}
          : {
              cache: memory.cache,
              usage: entry(memory.limit, memory.usage, memory.peak),
              swap: entry(undefined, memory.usage + (memory.swap ?? 0)),
              kernel: { limit: NO_LIMIT, failcnt: 0 },
              kernelTCP: { limit: NO_LIMIT, failcnt: 0 },
              raw: memoryStat(directories),
            },
      pids:
        pids === undefined ? {} : { current: pids.current, ...(pids.limit === undefined ? {} : { limit: pids.limit }) },
      blkio:
        devices.length === 0
          ? {}
          : {
              ioServiceBytesRecursive: perDevice(devices, ({ readBytes, writeBytes }) => [readBytes, writeBytes]),
              ioServicedRecursive: perDevice(devices, ({ reads, writes }) => [reads, writes]),
            },
      hugetlb: {},
      intel_rdt: {},
      network_interfaces: null,
    },
  }
}

/** What v1 shows where there is none: 2^63 by whole pages, which a number of JavaScript holds. */
const NO_LIMIT = 2 ** 63 - 4096

function entry(limit: number | undefined, usage: number, max?: number) {
  return { limit: limit ?? NO_LIMIT, usage, ...(max === undefined ? {} : { max }), failcnt: 0 }
}

function perDevice(devices: readonly IoStats[], of: (device: IoStats) => readonly [number, number]) {
  return devices.flatMap((device) => {
    const [major, minor] = device.device.split(':').map(Number)
    return of(device).map((value, at) => ({ major, minor, op: at === 0 ? 'Read' : 'Write', value }))
  })
}

function memoryStat(directories: readonly string[]): Record<string, number> {
  for (const directory of directories) {
    try {
      const text = readFileSync(join(directory, 'memory.stat'), 'utf8')
      return Object.fromEntries(
        text.split('\n').flatMap((line) => {
          const [name = '', value] = line.split(' ')
          return value === undefined ? [] : [[name, Number(value)]]
        }),
      )
    } catch {
      continue // another controller's
    }
  }
  return {}
}
