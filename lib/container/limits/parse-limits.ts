/** {@link LimitOptions} in one form, and what of them doesn't go together. Pure. */
import type { Fault } from '../../schema/faults.js'
import { parseSize } from '../../schema/quantities.js'
import type { LimitOptions } from './options.js'
import { splitRate } from './schema.js'

/** A number for one disk: bytes or operations a second, or a weight. */
export interface DeviceRate {
  readonly path: string
  readonly rate: number
}

/** {@link LimitOptions} in numbers: bytes, and -1 for no limit. What isn't given is absent, but for those of old. */
export interface NormalizedLimits {
  readonly memory: number | undefined
  readonly cpus: number | undefined
  readonly cpuset: string | undefined
  /** -1: no limit. */
  readonly pidsLimit: number | undefined
  readonly memorySwap?: number
  readonly memoryReservation?: number
  readonly memoryHigh?: number
  readonly memorySwappiness?: number
  readonly oomKillDisable?: boolean
  readonly cpuQuota?: number
  readonly cpuPeriod?: number
  readonly cpuShares?: number
  readonly cpuWeight?: number
  readonly cpusetMems?: string
  readonly blkioWeight?: number
  readonly blkioWeightDevice?: readonly DeviceRate[]
  readonly deviceReadBps?: readonly DeviceRate[]
  readonly deviceWriteBps?: readonly DeviceRate[]
  readonly deviceReadIops?: readonly DeviceRate[]
  readonly deviceWriteIops?: readonly DeviceRate[]
  readonly hugetlb?: readonly { readonly pageSize: string; readonly limit: number }[]
  readonly cgroupConf?: Readonly<Record<string, string>>
}

const sizes = ['memorySwap', 'memoryReservation', 'memoryHigh'] as const
const rates = ['blkioWeightDevice', 'deviceReadBps', 'deviceWriteBps', 'deviceReadIops', 'deviceWriteIops'] as const
const plain = [
  ...['memorySwappiness', 'oomKillDisable', 'cpuQuota', 'cpuPeriod', 'cpuShares', 'cpuWeight', 'cpusetMems'],
  ...['blkioWeight', 'cgroupConf'],
] as readonly (keyof LimitOptions)[]

/** @param options of the right shape */
export function normalizeLimits(options: LimitOptions): NormalizedLimits {
  const given: Record<string, unknown> = {}
  for (const name of sizes) if (options[name] !== undefined) given[name] = bytes(options[name])
  for (const name of plain) if (options[name] !== undefined) given[name] = options[name]
  for (const name of rates) if (options[name] !== undefined) given[name] = options[name].map(deviceRate)
  if (options.hugetlb !== undefined) {
    given['hugetlb'] = Object.entries(options.hugetlb).map(([pageSize, size]) => ({ pageSize, limit: bytes(size) }))
  }
  return {
    memory: options.memory === undefined ? undefined : bytes(options.memory),
    cpus: options.cpus,
    cpuset: options.cpuset,
    pidsLimit: options.pidsLimit === 0 ? -1 : options.pidsLimit,
    ...given,
  }
}

function bytes(size: number | string): number {
  return String(size) === '-1' ? -1 : (parseSize(size) ?? 0)
}

function deviceRate(text: string): DeviceRate {
  const { path, rate } = splitRate(text)
  return { path, rate: parseSize(rate) ?? 0 }
}

/** @param limits as they shall be in all, `options` and those in force together */
export function limitContradictions(options: LimitOptions, limits: NormalizedLimits): Fault[] {
  const faults: Fault[] = []
  const { memory, memorySwap: swap, memoryReservation: reservation } = limits
  for (const other of ['cpuQuota', 'cpuPeriod'] as const) {
    if (options.cpus === undefined || options[other] === undefined) continue
    faults.push({ path: other, message: 'says the same as cpus; leave one of them out' })
  }
  if (options.cpuShares !== undefined && options.cpuWeight !== undefined) {
    faults.push({ path: 'cpuWeight', message: 'says the same as cpuShares; leave one of them out' })
  }
  if (swap !== undefined && swap >= 0) {
    if (memory === undefined) {
      faults.push({ path: 'memorySwap', message: 'counts memory and swap together, so give memory too' })
    } else if (swap < memory) {
      faults.push({
        path: 'memorySwap',
        message: `counts memory and swap together, so it must be at least ${String(memory)}, got ${String(swap)}`,
      })
    }
  }
  if (reservation !== undefined && memory !== undefined && reservation > memory) {
    faults.push({
      path: 'memoryReservation',
      message: `must be at most memory, ${String(memory)}, got ${String(reservation)}`,
    })
  }
  return faults
}
