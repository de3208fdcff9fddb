/** What the files of a cgroup tell about a container's use. The parsers are pure. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Places } from './places.js'

export interface CgroupStats {
  /** Times in microseconds, since the start. */
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
    /** Absent: no limit. */
    readonly limit?: number
    readonly oomKills: number
  }
  readonly pids?: { readonly current: number; readonly limit?: number }
  /** One entry for each block device; absent where no io controller counts for this container. */
  readonly io?: readonly IoStats[]
}

export interface IoStats {
  /** `major:minor`. */
  readonly device: string
  readonly readBytes: number
  readonly writeBytes: number
  readonly reads: number
  readonly writes: number
}

/** Read a file of `key value` lines. */
export function parseKeyed(text: string): Map<string, number> {
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [key, value] = line.split(' ')
    if (key !== undefined && value !== undefined) values.set(key, Number(value))
  }
  return values
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

async function read(directory: string | undefined, file: string): Promise<string | undefined> {
  if (directory === undefined) return undefined
  try {
    return await readFile(join(directory, file), 'utf8')
  } catch {
    return undefined // not entered, or not in this kernel: what it would tell is left out
  }
}

/** Read all that there is about one container. */
export async function readStats(places: Places, id: string): Promise<CgroupStats> {
  const v1 = (controller: string): string | undefined => {
    const parent = places.v1.get(controller)
    return parent === undefined ? undefined : join(parent, id)
  }
  const v2 = places.unified === undefined ? undefined : join(places.unified, id)
  const [cpu, memory, pids, io] = await Promise.all([
    v1('cpuacct') === undefined ? cpuV2(v2) : cpuV1(v1('cpuacct'), v1('cpu')),
    v1('memory') === undefined ? memoryV2(v2) : memoryV1(v1('memory')),
    pidsStats(v1('pids') ?? v2),
    v1('blkio') === undefined ? ioV2(v2) : ioV1(v1('blkio')),
  ])
  return {
    cpu,
    ...(memory === undefined ? {} : { memory }),
    ...(pids === undefined ? {} : { pids }),
    ...(io === undefined ? {} : { io }),
  }
}

async function cpuV2(directory: string | undefined): Promise<CgroupStats['cpu']> {
  const values = parseKeyed((await read(directory, 'cpu.stat')) ?? '')
  const value = (key: string): number => values.get(key) ?? 0
  return {
    usage: value('usage_usec'),
    user: value('user_usec'),
    system: value('system_usec'),
    periods: value('nr_periods'),
    throttledPeriods: value('nr_throttled'),
    throttledTime: value('throttled_usec'),
  }
}

async function cpuV1(account: string | undefined, cpu: string | undefined): Promise<CgroupStats['cpu']> {
  const [usage, user, system, stat] = await Promise.all([
    read(account, 'cpuacct.usage'),
    read(account, 'cpuacct.usage_user'),
    read(account, 'cpuacct.usage_sys'),
    read(cpu, 'cpu.stat'),
  ])
  const microseconds = (nanoseconds: string | number | undefined): number => Math.round(Number(nanoseconds ?? 0) / 1000)
  const values = parseKeyed(stat ?? '')
  return {
    usage: microseconds(usage),
    user: microseconds(user),
    system: microseconds(system),
    periods: values.get('nr_periods') ?? 0,
    throttledPeriods: values.get('nr_throttled') ?? 0,
    throttledTime: microseconds(values.get('throttled_time')),
  }
}

async function memoryV2(directory: string | undefined): Promise<CgroupStats['memory']> {
  const [current, stat, swap, peak, max, events] = await Promise.all(
    ['memory.current', 'memory.stat', 'memory.swap.current', 'memory.peak', 'memory.max', 'memory.events'].map((file) =>
      read(directory, file),
    ),
  )
  if (current === undefined) return undefined
  const values = parseKeyed(stat ?? '')
  const usage = Number(current)
  return {
    usage,
    cache: values.get('file') ?? 0,
    workingSet: Math.max(0, usage - (values.get('inactive_file') ?? 0)),
    ...optional('swap', swap),
    ...optional('peak', peak),
    ...limitOf(max),
    oomKills: parseKeyed(events ?? '').get('oom_kill') ?? 0,
  }
}

async function memoryV1(directory: string | undefined): Promise<CgroupStats['memory']> {
  const [current, stat, peak, max, oom] = await Promise.all(
    [
      'memory.usage_in_bytes',
      'memory.stat',
      'memory.max_usage_in_bytes',
      'memory.limit_in_bytes',
      'memory.oom_control',
    ].map((file) => read(directory, file)),
  )
  if (current === undefined) return undefined
  const values = parseKeyed(stat ?? '')
  const usage = Number(current)
  const swap = values.get('total_swap') ?? values.get('swap')
  return {
    usage,
    cache: values.get('total_cache') ?? values.get('cache') ?? 0,
    workingSet: Math.max(0, usage - (values.get('total_inactive_file') ?? 0)),
    ...(swap === undefined ? {} : { swap }),
    ...optional('peak', peak),
    ...limitOf(max),
    oomKills: parseKeyed(oom ?? '').get('oom_kill') ?? 0,
  }
}

async function pidsStats(directory: string | undefined): Promise<CgroupStats['pids']> {
  const [current, max] = await Promise.all([read(directory, 'pids.current'), read(directory, 'pids.max')])
  return current === undefined ? undefined : { current: Number(current), ...limitOf(max) }
}

async function ioV2(directory: string | undefined): Promise<readonly IoStats[] | undefined> {
  const stat = await read(directory, 'io.stat')
  return stat === undefined ? undefined : parseIoStat(stat)
}

async function ioV1(directory: string | undefined): Promise<readonly IoStats[] | undefined> {
  const [bytes, operations] = await Promise.all([
    read(directory, 'blkio.throttle.io_service_bytes_recursive'),
    read(directory, 'blkio.throttle.io_serviced_recursive'),
  ])
  return bytes === undefined ? undefined : parseBlkio(bytes, operations ?? '')
}
