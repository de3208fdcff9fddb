/** What the files of a cgroup tell about a container's use. The parsers are pure. */
import type { Pressure } from './pressure.js'

export interface CgroupStats {
  /** Times in nanoseconds, since the start. */
  readonly cpu: {
    readonly usage: number
    readonly user: number
    readonly system: number
    /** Periods of the quota that went by, and in how many of them, for how long, the container had to wait. */
    readonly periods: number
    readonly throttledPeriods: number
    readonly throttledTime: number
  }
  /** Bytes. */
  readonly memory?: {
    /** All that is charged, the file cache included. This is what the limit is compared with. */
    readonly usage: number
    /** The part of `usage` that is file cache. */
    readonly cache: number
    /** `usage` without the cache that wasn't used lately: what the container would miss. */
    readonly workingSet: number
    readonly swap?: number
    readonly peak?: number
    /** The lowest of its own limit and of those above it. Absent: no limit. */
    readonly limit?: number
    readonly oomKills: number
  }
  readonly pids?: { readonly current: number; readonly limit?: number }
  /** Bytes from and to disks. Each disk is told apart where a controller counts for this container. */
  readonly io?: { readonly readBytes: number; readonly writeBytes: number; readonly devices?: readonly IoStats[] }
  /** How much its processes had to wait; absent where the kernel doesn't measure that. */
  readonly pressure?: Pressure
}

export interface IoStats {
  /** `major:minor`. */
  readonly device: string
  readonly readBytes: number
  readonly writeBytes: number
  readonly reads: number
  readonly writes: number
}

/** One value of a file of `key value` lines; only what is asked for is looked at, as memory.stat has fifty of them. */
export function valueOf(text: string, key: string): number | undefined {
  const found = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1
  if (found === 0 && !text.startsWith(`${key} `)) return undefined
  const end = text.indexOf('\n', found)
  return Number(text.slice(found + key.length + 1, end < 0 ? undefined : end))
}

/** Read io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`. */
export function parseIoStat(text: string): IoStats[] {
  return text
    .split('\n')
    .filter((line) => line.includes('='))
    .map((line) => {
      const [device = '', ...pairs] = line.trim().split(' ')
      const values = new Map(pairs.map((pair) => pair.split('=') as [string, string]))
      const value = (key: string): number => Number(values.get(key) ?? 0)
      return {
        device,
        readBytes: value('rbytes'),
        writeBytes: value('wbytes'),
        reads: value('rios'),
        writes: value('wios'),
      }
    })
}

/** Read v1's blkio.throttle files: `8:0 Read 4096` lines, one file for bytes and one for operations. */
export function parseBlkio(bytes: string, operations: string): IoStats[] {
  const devices = new Map<string, { readBytes: number; writeBytes: number; reads: number; writes: number }>()
  const add = (text: string, read: 'readBytes' | 'reads', write: 'writeBytes' | 'writes'): void => {
    for (const [, device, kind, value] of text.matchAll(/^(\d+:\d+) (Read|Write) (\d+)$/gm)) {
      if (device === undefined) continue
      const entry = devices.get(device) ?? { readBytes: 0, writeBytes: 0, reads: 0, writes: 0 }
      entry[kind === 'Read' ? read : write] = Number(value)
      devices.set(device, entry)
    }
  }
  add(bytes, 'readBytes', 'writeBytes')
  add(operations, 'reads', 'writes')
  return [...devices].map(([device, entry]) => ({ device, ...entry }))
}

/** v1 spells 'no limit' as the largest multiple of the page size below 2^63. */
const V1_UNLIMITED = 2 ** 62

export function limitOf(text: string | undefined): { limit?: number } {
  if (text === undefined || text.trim() === 'max') return {}
  const limit = Number(text)
  return limit >= V1_UNLIMITED ? {} : { limit }
}

export function optional<K extends string>(key: K, text: string | undefined): Partial<Record<K, number>> {
  return (text === undefined ? {} : { [key]: Number(text) }) as Partial<Record<K, number>>
}

export function sumOf(devices: readonly IoStats[]): CgroupStats['io'] {
  let [readBytes, writeBytes] = [0, 0]
  for (const device of devices) {
    readBytes += device.readBytes
    writeBytes += device.writeBytes
  }
  return { readBytes, writeBytes, devices }
}

/** cpu.stat of cgroup2; it counts in microseconds. */
export function cpuTimes(text: string): CgroupStats['cpu'] {
  const nanoseconds = (key: string): number => (valueOf(text, key) ?? 0) * 1000
  return {
    usage: nanoseconds('usage_usec'),
    user: nanoseconds('user_usec'),
    system: nanoseconds('system_usec'),
    periods: valueOf(text, 'nr_periods') ?? 0,
    throttledPeriods: valueOf(text, 'nr_throttled') ?? 0,
    throttledTime: nanoseconds('throttled_usec'),
  }
}
