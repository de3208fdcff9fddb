/**
 * Docker's json-file format:
 *
 *     {"log":"text of the line\n","stream":"stdout","time":"2026-11-24T14:21:39.123456789Z"}
 *
 * A `log` without a newline at its end is a piece of a line that goes on in the next entry of the same stream. Pure.
 */
import type { EntryReader, LogEntry } from './line.js'

export class JsonEntryReader implements EntryReader {
  read(line: Buffer): LogEntry | undefined {
    const { log, stream, time: timestamp } = parse(line)
    if (typeof log !== 'string' || (stream !== 'stdout' && stream !== 'stderr') || typeof timestamp !== 'string') {
      return undefined
    }
    const time = new Date(timestamp)
    if (Number.isNaN(time.getTime())) return undefined
    const partial = !log.endsWith('\n')
    return { stream, timestamp, time, partial, content: Buffer.from(partial ? log : log.slice(0, -1)) }
  }
}

function parse(line: Buffer): { readonly log?: unknown; readonly stream?: unknown; readonly time?: unknown } {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
