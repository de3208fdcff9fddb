/** Conversions between the v1 words of the OCI spec and the units of cgroup v2. Pure. */
import { PodlingError } from '../errors.js'

/**
 * cpu.shares (2..262144, usually 1024) as cpu.weight (1..10000, usually 100).
 *
 * The straight line between the end points, which runtimes used for years, turns the usual 1024 into 39, so a container
 * got less than half of what a plain service beside it had. crun 1.23 and runc 1.3.2 changed to the curve through
 * (2, 1), (1024, 100) and (262144, 10000), a parabola in the logarithms; this is that curve.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1
  if (shares >= 262144) return 10000
  const log = Math.log2(shares)
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))
}

/** blkio weight (10..1000) as io.weight (1..10000), where the BFQ scheduler's own file is not there. */
export function ioWeight(weight: number): number {
  return Math.floor(1 + ((Math.min(Math.max(weight, 10), 1000) - 10) * 9999) / 990)
}

/**
 * Memory and swap together, as the OCI spec and v1 count, into the swap alone that v2 counts.
 * @returns undefined when nothing is to be set; -1 for no limit.
 * @throws INVALID_OPTION for a swap below the limit, or a swap without a limit that it could contain.
 */
export function swapAlone(limit: number | undefined, swap: number | undefined): number | undefined {
  checkSwap(limit, swap)
  if (swap === undefined || swap === 0) return undefined
  return swap < 0 ? -1 : swap - (limit ?? 0)
}

/** The rules between the two that hold in every layout. */
export function checkSwap(limit: number | undefined, swap: number | undefined): void {
  if (swap === undefined || swap <= 0) return
  if (limit === undefined || limit <= 0) {
    throw new PodlingError(
      'INVALID_OPTION',
      `memory.swap: ${String(swap)} counts memory and swap together, so memory.limit has to be given too`,
    )
  }
  if (swap < limit) {
    throw new PodlingError(
      'INVALID_OPTION',
      `memory.swap: must be at least memory.limit (${String(limit)}), since it counts memory and swap together, got ${String(swap)}`,
    )
  }
}

/** A number for a v2 file, where no limit is spelled `max`. */
export function orMax(value: number): string {
  return value < 0 ? 'max' : String(value)
}

/** The kernel's name of a huge page size (`hugepages-2048kB` → `2MB`), as cgroup files use it. */
export function hugepageName(directory: string): string | undefined {
  const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(directory)?.[1])
  if (Number.isNaN(kilobytes)) return undefined
  if (kilobytes >= 1 << 20) return `${String(kilobytes >> 20)}GB`
  return kilobytes >= 1 << 10 ? `${String(kilobytes >> 10)}MB` : `${String(kilobytes)}KB`
}
