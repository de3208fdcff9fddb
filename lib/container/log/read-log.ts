import type { Lifecycle } from '../lifecycle.js'
import { LineJoiner, type LogEntry, type LogLine } from './line.js'
import { checkLogOptions, entryFilter, type LogOptions } from './log-options.js'
import { logPath } from './plan-log.js'
import { readFiles, type LogFilesSource } from './read-files.js'
import { readJournal } from './read-journal.js'

/** Where a log is read from. */
export type LogSource =
  LogFilesSource | { readonly driver: 'journald'; readonly id: string } | { readonly driver: 'none' }

/** Where the log of a container is read from; what was passed through is nowhere. */
export function logSource({ record, paths }: Pick<Lifecycle, 'record' | 'paths'>): LogSource {
  const { driver, maxSize } = record.options.log
  switch (driver) {
    case 'k8s-file':
    case 'json-file':
      return { driver, path: logPath(record, paths), rotates: maxSize !== undefined }
    case 'journald':
      return { driver, id: record.id }
    case 'none':
    case 'passthrough':
      return { driver: 'none' }
  }
}

/**
 * The lines of a log.
 * @param ended settles when nothing more will be written; what is there by then is still given
 * @throws PodlingError `INVALID_OPTION`, `LOG_UNREADABLE`
 */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  ended: Promise<unknown>,
): AsyncGenerator<LogLine> {
  checkLogOptions(options)
  const accepts = entryFilter(options)
  const joiner = new LineJoiner(options.bytes)
  const limit = new TimeLimit(options)
  let last = new Date(0)
  try {
    for await (const batch of entries(source, options, Promise.race([ended, limit.reached]))) {
      for (const entry of batch) {
        if (!accepts(entry)) continue
        last = entry.time
        const line = joiner.add(entry)
        if (line !== undefined) yield options.timestamps ? withTimestamp(line, entry.timestamp) : line
      }
    }
    if (!options.signal?.aborted) yield* joiner.rest(last)
  } finally {
    limit.close()
  }
}

function entries(source: LogSource, options: LogOptions, ended: Promise<unknown>): AsyncIterable<LogEntry[]> {
  switch (source.driver) {
    case 'k8s-file':
    case 'json-file':
      return readFiles(source, options, ended)
    case 'journald':
      return readJournal(source.id, options, ended)
    case 'none':
      return nothing()
  }
}

async function* nothing(): AsyncGenerator<LogEntry[]> {
  yield []
}

function withTimestamp(line: LogLine, timestamp: string): LogLine {
  return { ...line, text: `${timestamp} ${line.text}` }
}

/** The longest that a timer of Node waits. */
const LONGEST_WAIT = 2 ** 31 - 1

/** Ends a follow when its `until` has come. */
class TimeLimit {
  readonly reached: Promise<void>
  #timer: NodeJS.Timeout | undefined

  constructor({ follow, until }: LogOptions) {
    this.reached = new Promise((resolve) => {
      if (follow && until !== undefined) this.#await(until, resolve)
    })
  }

  /** A timer may fire before the wall clock shows its time, clocks are set, and none waits longer than that. */
  #await(until: Date, reached: () => void): void {
    const left = until.getTime() - Date.now()
    const look = (): void => {
      this.#await(until, reached)
    }
    if (left > 0) this.#timer = setTimeout(look, Math.min(left, LONGEST_WAIT))
    else reached()
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}
