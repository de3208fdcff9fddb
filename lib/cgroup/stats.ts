/** What the files of a cgroup tell about a container's use. The parsers are pure. */
import { existsSync } from 'node:fs'
import { KernelFiles } from '../sys/kernel-files.js'
import type { Places } from './places.js'
import { processIo } from './process-io.js'
import { parsePressure, type Pressure } from './pressure.js'

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

function limitOf(text: string | undefined): { limit?: number } {
  if (text === undefined || text.trim() === 'max') return {}
  const limit = Number(text)
  return limit >= V1_UNLIMITED ? {} : { limit }
}

function optional<K extends string>(key: K, text: string | undefined): Partial<Record<K, number>> {
  return (text === undefined ? {} : { [key]: Number(text) }) as Partial<Record<K, number>>
}

/** Reads what there is about containers, one at a time and at once. */
export class StatsReader {
  readonly #files = new KernelFiles()
  readonly #places: Places

  constructor(places: Places) {
    this.#places = places
  }

  /** @returns undefined for a container that has no cgroup */
  read(id: string): CgroupStats | undefined {
    const { memory, pids, io, pressure } = this.#others(id)
    // Last: a cgroup that is there now was there when the others were read.
    const cpu = this.#cpu(id)
    if (cpu === undefined) return undefined
    return {
      cpu,
      ...(memory === undefined ? {} : { memory }),
      ...(pids === undefined ? {} : { pids }),
      ...(io === undefined ? {} : { io }),
      ...(pressure === undefined ? {} : { pressure }),
    }
  }

  #others(id: string): Omit<CgroupStats, 'cpu'> {
    const v2 = this.#v2(id)
    const memory = this.#v1('memory', id)
    return {
      memory: memory === undefined ? this.#memoryV2(v2) : this.#memoryV1(memory),
      pids: this.#pids(this.#v1('pids', id) ?? v2),
      io: this.#io(id),
      pressure: this.#pressure(v2),
    } as Omit<CgroupStats, 'cpu'>
  }

  #v1(controller: string, id: string): string | undefined {
    const parent = this.#places.v1.get(controller)
    return parent === undefined ? undefined : `${parent}/${id}`
  }

  #v2(id: string): string | undefined {
    return this.#places.unified === undefined ? undefined : `${this.#places.unified}/${id}`
  }

  #read(directory: string | undefined, file: string): string | undefined {
    return directory === undefined ? undefined : this.#files.read(`${directory}/${file}`)
  }

  /** The cgroup2 tree counts the time of processes without any controller; of waiting for a quota tells who has that. */
  #cpu(id: string): CgroupStats['cpu'] | undefined {
    const own = this.#read(this.#v2(id), 'cpu.stat')
    const v1 = this.#v1('cpu', id)
    const waited = this.#read(v1, 'cpu.stat')
    const times = own === undefined ? this.#cpuV1(id) : cpuTimes(own)
    if (times === undefined) return undefined
    const { usage, user, system, ...rest } = times
    if (waited === undefined) return { usage, user, system, ...rest }
    return {
      usage,
      user,
      system,
      periods: valueOf(waited, 'nr_periods') ?? 0,
      throttledPeriods: valueOf(waited, 'nr_throttled') ?? 0,
      throttledTime: valueOf(waited, 'throttled_time') ?? 0,
    }
  }

  #cpuV1(id: string): CgroupStats['cpu'] | undefined {
    const account = this.#v1('cpuacct', id)
    const usage = this.#read(account, 'cpuacct.usage')
    if (usage === undefined) return undefined
    return {
      usage: Number(usage),
      user: Number(this.#read(account, 'cpuacct.usage_user') ?? 0),
      system: Number(this.#read(account, 'cpuacct.usage_sys') ?? 0),
      periods: 0,
      throttledPeriods: 0,
      throttledTime: 0,
    }
  }

  #memoryV2(directory: string | undefined): CgroupStats['memory'] {
    const current = this.#read(directory, 'memory.current')
    if (current === undefined) return undefined
    const stat = this.#read(directory, 'memory.stat') ?? ''
    const usage = Number(current)
    return {
      usage,
      cache: valueOf(stat, 'file') ?? 0,
      workingSet: Math.max(0, usage - (valueOf(stat, 'inactive_file') ?? 0)),
      ...optional('swap', this.#read(directory, 'memory.swap.current')),
      ...optional('peak', this.#read(directory, 'memory.peak')),
      ...limitOf(this.#read(directory, 'memory.max')),
      oomKills: valueOf(this.#read(directory, 'memory.events') ?? '', 'oom_kill') ?? 0,
    }
  }

  #memoryV1(directory: string): CgroupStats['memory'] {
    const current = this.#read(directory, 'memory.usage_in_bytes')
    if (current === undefined) return undefined
    const stat = this.#read(directory, 'memory.stat') ?? ''
    const usage = Number(current)
    const swap = valueOf(stat, 'total_swap') ?? valueOf(stat, 'swap')
    return {
      usage,
      cache: valueOf(stat, 'total_cache') ?? valueOf(stat, 'cache') ?? 0,
      workingSet: Math.max(0, usage - (valueOf(stat, 'total_inactive_file') ?? 0)),
      ...(swap === undefined ? {} : { swap }),
      ...optional('peak', this.#read(directory, 'memory.max_usage_in_bytes')),
      ...limitOf(String(valueOf(stat, 'hierarchical_memory_limit') ?? 'max')),
      oomKills: valueOf(this.#read(directory, 'memory.oom_control') ?? '', 'oom_kill') ?? 0,
    }
  }

  #pids(directory: string | undefined): CgroupStats['pids'] {
    const current = this.#read(directory, 'pids.current')
    if (current === undefined) return undefined
    return { current: Number(current), ...limitOf(this.#read(directory, 'pids.max')) }
  }

  #io(id: string): CgroupStats['io'] {
    const v2 = this.#v2(id)
    if (this.#places.v2.get('io') === true) {
      const stat = this.#read(v2, 'io.stat')
      if (stat !== undefined) return sumOf(parseIoStat(stat))
    }
    const blkio = this.#v1('blkio', id)
    // Only some containers are in there; to look is cheaper than to fail.
    if (blkio !== undefined && existsSync(blkio)) {
      const bytes = this.#read(blkio, 'blkio.throttle.io_service_bytes_recursive')
      const devices = parseBlkio(bytes ?? '', this.#read(blkio, 'blkio.throttle.io_serviced_recursive') ?? '')
      if (devices.length > 0) return sumOf(devices)
    }
    const directory = v2 ?? this.#v1('pids', id) ?? this.#v1('memory', id)
    return directory === undefined ? undefined : processIo(this.#files, directory)
  }

  /** Of the cgroup2 tree, in hybrid layouts too: it follows the processes, not the controllers. */
  #pressure(directory: string | undefined): Pressure | undefined {
    const [cpu, memory, io] = (['cpu', 'memory', 'io'] as const).map((resource) => {
      const text = this.#read(directory, `${resource}.pressure`)
      return text === undefined ? undefined : parsePressure(text)
    })
    return cpu === undefined || memory === undefined || io === undefined ? undefined : { cpu, memory, io }
  }
}

function sumOf(devices: readonly IoStats[]): CgroupStats['io'] {
  let [readBytes, writeBytes] = [0, 0]
  for (const device of devices) {
    readBytes += device.readBytes
    writeBytes += device.writeBytes
  }
  return { readBytes, writeBytes, devices }
}

/** cpu.stat of cgroup2; it counts in microseconds. */
function cpuTimes(text: string): CgroupStats['cpu'] {
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
