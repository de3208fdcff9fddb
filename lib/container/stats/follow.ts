/** Samples of one container or of many, once or again and again. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'
import type { Lifecycle } from '../lifecycle.js'
import { cgroupOf } from '../pod-place.js'
import { durationWords, parseDuration, type Duration } from '../../schema/quantities.js'
import { requireStatus } from '../status.js'
import type { Sampled, Sampler } from './sampler.js'
import type { ContainerStats, CpuMark } from './stats.js'

/** How a container's use is followed. */
export interface StatsStreamOptions {
  readonly stream: true
  /** From one sample to the next (`podman stats --interval`). @default '5s' */
  readonly interval?: Duration
  /** Ends the stream. */
  readonly signal?: AbortSignal
}

/** In between the event loop gets its turn: one container takes a tenth of a millisecond. */
const AT_ONCE = 8
const DEFAULT_INTERVAL = 5000

/** In milliseconds. @throws PodlingError `INVALID_OPTION` */
export function checkStatsOptions(options: Partial<StatsStreamOptions>): number {
  checkKnown('stats', options, { stream: true, interval: true, signal: true })
  const interval = options.interval === undefined ? DEFAULT_INTERVAL : parseDuration(options.interval)
  if (interval !== undefined && interval > 0) return interval
  throw new PodlingError(
    'INVALID_OPTION',
    `stats: interval: must be ${durationWords}, more than 0, got ${show(options.interval)}`,
  )
}

/** @throws PodlingError `INVALID_STATE` when it doesn't run */
export function sampled(container: Lifecycle): Sampled {
  const { status, record } = container
  requireStatus('stats', status, record.name)
  return {
    id: record.id,
    name: record.name,
    cgroup: cgroupOf(record),
    monitor: container.requireMonitor('count what is used by'),
    onHostNetwork: record.options.network === 'host',
  }
}

/** The samples of one container, the first one at once, until it ends. */
export async function* followOne(container: Lifecycle, options: StatsStreamOptions): AsyncGenerator<ContainerStats> {
  const interval = checkStatsOptions(options)
  const { sampler } = container.context
  const { monitor, ended } = container
  let mark: CpuMark | undefined
  while (!options.signal?.aborted && (mark === undefined || container.monitor === monitor)) {
    let taken
    try {
      taken = sampler.sample(sampled(container), mark)
    } catch (error) {
      // It ended since the last one, as every stream ends.
      if (mark !== undefined && hasEnded(error)) return
      throw error
    }
    mark = taken.mark
    yield taken.stats
    await pause(interval, options.signal, ended)
  }
}

/** One sample of each that runs, in the order given; those that end meanwhile are left out. */
export async function sampleAll(
  sampler: Sampler,
  containers: readonly Lifecycle[],
  marks = new Map<string, CpuMark>(),
): Promise<ContainerStats[]> {
  const samples: ContainerStats[] = []
  for (const container of containers) {
    if (container.monitor === undefined) continue
    if (samples.length % AT_ONCE === AT_ONCE - 1) await nextTurn()
    try {
      const { stats, mark } = sampler.sample(sampled(container), marks.get(container.record.id))
      samples.push(stats)
      marks.set(container.record.id, mark)
    } catch (error) {
      if (!hasEnded(error)) throw error
    }
  }
  return samples
}

/** The samples of all that run at that moment, again and again. */
export async function* followAll(
  sampler: Sampler,
  list: () => Promise<readonly Lifecycle[]>,
  options: StatsStreamOptions,
): AsyncGenerator<ContainerStats[]> {
  const interval = checkStatsOptions(options)
  let marks = new Map<string, CpuMark>()
  while (!options.signal?.aborted) {
    const samples = await sampleAll(sampler, await list(), marks)
    marks = new Map([...marks].filter(([id]) => samples.some((sample) => sample.id === id)))
    yield samples
    await pause(interval, options.signal)
  }
}

function hasEnded(error: unknown): boolean {
  return error instanceof PodlingError && error.code === 'INVALID_STATE'
}

/** Until the interval is over, or something happens for which nobody need wait longer. */
function pause(interval: number, signal: AbortSignal | undefined, ended?: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, interval)
    signal?.addEventListener('abort', done)
    ended?.then(done, done)
    // A signal tells nobody who listens after it.
    if (signal?.aborted) done()
  })
}
