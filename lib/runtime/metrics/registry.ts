import type * as PromClient from 'prom-client'
import type { StartTimes } from '../../container/start-times.js'
import { late } from '../../late.js'
import { families, type Family } from './families.js'
import { takeSnapshot, type Snapshot, type Watched } from './snapshot.js'

const promClient = late('prom-client') as () => typeof PromClient

/** Seconds. A start belongs below 5 ms; one that waits for its health takes longer. */
const START_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]

/** A registry that reads all anew each time that it is asked. */
export function metricsRegistry(watched: Watched, startTimes: StartTimes): PromClient.Registry {
  // Only who asks for metrics pays for loading it.
  const { Counter, Gauge, Histogram, Registry } = promClient()
  const registry = new Registry()
  const registers = [registry]
  const snapshots = new SharedSnapshot(watched)
  for (const { type, name, help, labels, values } of families) {
    const read = async (): Promise<ReturnType<Family['values']>> => values(await snapshots.get())
    const labelNames = [...labels]
    if (type === 'gauge') {
      new Gauge({
        name, help, labelNames, registers,
        async collect() {
          const now = await read()
          this.reset()
          for (const { labels, value } of now) this.set(labels, value)
        },
      }) // prettier-ignore
    } else {
      new Counter({
        name, help, labelNames, registers,
        async collect() {
          const now = await read()
          // The kernel counts; here it is only passed on.
          this.reset()
          for (const { labels, value } of now) this.inc(labels, value)
        },
      }) // prettier-ignore
    }
  }
  new Histogram({
    name: 'podling_container_start_seconds',
    help: 'How long this process took to start a container, in seconds.',
    buckets: START_BUCKETS,
    registers,
    collect() {
      for (const seconds of startTimes.take()) this.observe(seconds)
    },
  })
  return registry
}

/** One snapshot for all metrics of one scrape, which ask for it in the same turn. */
class SharedSnapshot {
  readonly #watched: Watched
  #taking: Promise<Snapshot> | undefined

  constructor(watched: Watched) {
    this.#watched = watched
  }

  get(): Promise<Snapshot> {
    this.#taking ??= takeSnapshot(this.#watched).finally(() => {
      this.#taking = undefined
    })
    return this.#taking
  }
}
