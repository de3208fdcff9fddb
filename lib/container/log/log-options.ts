import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'
import type { LogEntry } from './line.js'

/** Which lines of a log to give. */
export interface LogOptions {
  /** Go on with new lines until the container ends, or until `until`. @default false */
  readonly follow?: boolean
  /** Begin with the last so many lines. @default all */
  readonly tail?: number
  /** Leave out lines older than this. Each line is asked by itself, for a clock may be set back. */
  readonly since?: Date
  /** Leave out lines from this on. */
  readonly until?: Date
  /** Put the time in front of each text, as `podman logs --timestamps`. @default false */
  readonly timestamps?: boolean
  /** Only this stream. @default both */
  readonly stream?: 'stdout' | 'stderr'
  /** Give `bytes` with each line: what it was before it was decoded. @default false */
  readonly bytes?: boolean
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal
}

/** @throws PodlingError `INVALID_OPTION` */
export function checkLogOptions(options: LogOptions): void {
  const what = 'read the log of a container'
  checkKnown(what, options, {
    follow: true,
    tail: true,
    since: true,
    until: true,
    timestamps: true,
    stream: true,
    bytes: true,
    signal: true,
  })
  const { tail, stream } = options as Record<keyof LogOptions, unknown>
  const wrong = (name: keyof LogOptions, must: string): PodlingError =>
    new PodlingError('INVALID_OPTION', `${what}: ${name}: must be ${must}, got ${show(options[name])}`)
  if (tail !== undefined && !(Number.isInteger(tail) && (tail as number) >= 0)) throw wrong('tail', 'a number of lines')
  for (const name of ['since', 'until'] as const) {
    const time: unknown = options[name]
    if (time !== undefined && !(time instanceof Date && !Number.isNaN(time.getTime()))) throw wrong(name, 'a Date')
  }
  if (stream !== undefined && stream !== 'stdout' && stream !== 'stderr') throw wrong('stream', "'stdout' or 'stderr'")
}

export type EntryFilter = (entry: LogEntry) => boolean

export function entryFilter({ since, until, stream }: LogOptions): EntryFilter {
  const from = since?.getTime() ?? -Infinity
  const to = until?.getTime() ?? Infinity
  return (entry) => {
    const time = entry.time.getTime()
    return (stream === undefined || entry.stream === stream) && time >= from && time < to
  }
}
