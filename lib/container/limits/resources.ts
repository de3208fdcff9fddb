/** Limits as the OCI spec has them. */
import type { CpuResources, LinuxResources, MemoryResources, ThrottleDevice } from '../../cgroup/resources.js'
import { PodlingError } from '../../errors.js'
import { findDevice } from '../../sys/device-numbers.js'
import type { DeviceRate, NormalizedLimits } from './parse-limits.js'

const PERIOD = 100_000

/**
 * What these limits ask of the kernel; of the rest, nothing.
 * @throws PodlingError `DEVICE_NOT_FOUND` for a disk that isn't there
 */
export function limitResources(limits: NormalizedLimits): LinuxResources {
  const { pidsLimit, hugetlb, memoryHigh, cpuWeight, cgroupConf } = limits
  const memory = memoryResources(limits)
  const cpu = cpuResources(limits)
  const blockIO = blockResources(limits)
  const unified = {
    ...(memoryHigh === undefined ? {} : { 'memory.high': String(memoryHigh) }),
    ...(cpuWeight === undefined ? {} : { 'cpu.weight': String(cpuWeight) }),
    ...cgroupConf,
  }
  return {
    ...(isEmpty(memory) ? {} : { memory }),
    ...(isEmpty(cpu) ? {} : { cpu }),
    ...(pidsLimit === undefined ? {} : { pids: { limit: pidsLimit } }),
    ...(isEmpty(blockIO) ? {} : { blockIO }),
    ...(hugetlb === undefined ? {} : { hugepageLimits: hugetlb }),
    ...(isEmpty(unified) ? {} : { unified }),
  }
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0
}

/** Without a word of swap there is as much of it as of memory, as podman-run(1) has it. */
function memoryResources(limits: NormalizedLimits): MemoryResources {
  const { memory, memorySwap, memoryReservation, memorySwappiness, oomKillDisable } = limits
  const swap = memorySwap ?? (memory === undefined ? undefined : memory * 2)
  return {
    ...(memory === undefined ? {} : { limit: memory }),
    ...(swap === undefined ? {} : { swap }),
    ...(memoryReservation === undefined ? {} : { reservation: memoryReservation }),
    ...(memorySwappiness === undefined ? {} : { swappiness: memorySwappiness }),
    ...(oomKillDisable === undefined ? {} : { disableOOMKiller: oomKillDisable }),
  }
}

function cpuResources({ cpus, cpuQuota, cpuPeriod, cpuShares, cpuset, cpusetMems }: NormalizedLimits): CpuResources {
  return {
    ...(cpus === undefined ? {} : { quota: Math.round(cpus * PERIOD), period: PERIOD }),
    ...(cpuQuota === undefined ? {} : { quota: cpuQuota }),
    ...(cpuPeriod === undefined ? {} : { period: cpuPeriod }),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuset === undefined ? {} : { cpus: cpuset }),
    ...(cpusetMems === undefined ? {} : { mems: cpusetMems }),
  }
}

function blockResources(limits: NormalizedLimits): NonNullable<LinuxResources['blockIO']> {
  const { blkioWeight, blkioWeightDevice, deviceReadBps, deviceWriteBps, deviceReadIops, deviceWriteIops } = limits
  const throttle = (option: string, rates: readonly DeviceRate[]): ThrottleDevice[] =>
    rates.map(({ path, rate }) => ({ ...disk(option, path), rate }))
  return {
    ...(blkioWeight === undefined ? {} : { weight: blkioWeight }),
    ...(blkioWeightDevice === undefined
      ? {}
      : {
          weightDevice: blkioWeightDevice.map(({ path, rate }) => ({
            ...disk('blkioWeightDevice', path),
            weight: rate,
          })),
        }),
    ...(deviceReadBps === undefined ? {} : { throttleReadBpsDevice: throttle('deviceReadBps', deviceReadBps) }),
    ...(deviceWriteBps === undefined ? {} : { throttleWriteBpsDevice: throttle('deviceWriteBps', deviceWriteBps) }),
    ...(deviceReadIops === undefined ? {} : { throttleReadIOPSDevice: throttle('deviceReadIops', deviceReadIops) }),
    ...(deviceWriteIops === undefined ? {} : { throttleWriteIOPSDevice: throttle('deviceWriteIops', deviceWriteIops) }),
  }
}

function disk(option: string, path: string): { major: number; minor: number } {
  const { type, major, minor } = findDevice(path, option)
  if (type === 'b') return { major, minor }
  throw new PodlingError('DEVICE_NOT_FOUND', `${option}: ${path} is no disk, but a character device`, { path })
}

/** Those in force with others on top of them. */
export function mergeResources(base: LinuxResources, on: LinuxResources): LinuxResources {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(on) as [string, unknown][]) {
    const before = merged[key]
    merged[key] = mergeParts(before, value)
  }
  return merged
}

function mergeParts(before: unknown, value: unknown): unknown {
  if (isPlain(before) && isPlain(value)) {
    const parts = Object.entries(value).map(
      ([key, part]) => [key, mergeParts((before as Record<string, unknown>)[key], part)] as const,
    )
    return { ...before, ...Object.fromEntries(parts) }
  }
  // Lists tell of disks or sizes of pages, each by itself.
  if (!Array.isArray(before) || !Array.isArray(value)) return value
  const keyOf = ({ major, minor, pageSize }: Readonly<Record<string, unknown>>): string =>
    `${String(major)}:${String(minor)} ${String(pageSize)}`
  const items = [...(before as unknown[]), ...(value as unknown[])] as Record<string, unknown>[]
  return [...new Map(items.map((item) => [keyOf(item), item])).values()]
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
