/** The options of a container as if its present limits had been given at its creation. Pure. */
import type { GivenOptions } from '../record.js'
import type { LimitOptions } from './options.js'

/** Two words for one limit: the one that was given last is the one that holds. */
const others: readonly (readonly [keyof LimitOptions, readonly (keyof LimitOptions)[]])[] = [
  ['cpus', ['cpuQuota', 'cpuPeriod']],
  ['cpuQuota', ['cpus']],
  ['cpuPeriod', ['cpus']],
  ['cpuShares', ['cpuWeight']],
  ['cpuWeight', ['cpuShares']],
]

export function givenAnew(given: GivenOptions, limits: LimitOptions): GivenOptions {
  const gone = new Set(others.flatMap(([name, out]) => (limits[name] === undefined ? [] : out)))
  const kept = Object.entries(given).filter(([name]) => !gone.has(name as keyof LimitOptions))
  const fresh = Object.entries(limits).filter(([, value]) => value !== undefined)
  return Object.fromEntries([...kept, ...fresh])
}
