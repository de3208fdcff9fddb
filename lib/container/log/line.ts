/**
 * One line of a log, and the k8s-file format that monitors write it in (the CRI log format, Podman's default):
 *
 *     2026-11-24T14:21:39.123456789+00:00 stdout F text of the line
 *
 * `F` ends a line, `P` is a piece of one that goes on in the next entry of the same stream. Pure.
 */

/** One line of a container's output. */
export interface LogLine {
  readonly stream: 'stdout' | 'stderr'
  /** The text without its newline, decoded as UTF-8. */
  readonly text: string
  /** When the monitor read it. */
  readonly time: Date
  /** Set on a piece of a line that was too long to give at once (over 1 MiB): the next entry of the stream goes on with it. */
  readonly partial?: true
}

/** A line as it stands in the file; the content is not decoded yet, for pieces may split a character. */
export interface LogEntry {
  readonly stream: 'stdout' | 'stderr'
  readonly timestamp: string
  readonly partial: boolean
  readonly content: Buffer
}

const SPACE = 0x20

/** Read one entry, without its newline. `undefined` for a line that isn't one, such as one cut off by a full disk. */
export function parseEntry(line: Buffer): LogEntry | undefined {
  const afterTime = line.indexOf(SPACE)
  if (afterTime < 0) return undefined
  const afterStream = line.indexOf(SPACE, afterTime + 1)
  if (afterStream < 0) return undefined
  const stream = line.toString('latin1', afterTime + 1, afterStream)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  const tag = line[afterStream + 1]
  if ((tag !== 0x46 && tag !== 0x50) || line[afterStream + 2] !== SPACE) return undefined
  const timestamp = line.toString('latin1', 0, afterTime)
  if (Number.isNaN(Date.parse(timestamp))) return undefined
  return { stream, timestamp, partial: tag === 0x50, content: line.subarray(afterStream + 3) }
}

/** The longest line that is given whole. Beyond it pieces are given as they come, so that no line can fill the memory. */
export const LONGEST_LINE = 1024 * 1024

/** Joins the pieces of long lines, each stream by itself. */
export class LineJoiner {
  readonly #pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  readonly #bytes = { stdout: 0, stderr: 0 }

  /** Take an entry; gives back the line that it completes. */
  add(entry: LogEntry): LogLine | undefined {
    const pieces = this.#pieces[entry.stream]
    pieces.push(entry.content)
    this.#bytes[entry.stream] += entry.content.length
    if (entry.partial && this.#bytes[entry.stream] < LONGEST_LINE) return undefined
    const content = pieces.length === 1 ? entry.content : Buffer.concat(pieces)
    this.#pieces[entry.stream] = []
    this.#bytes[entry.stream] = 0
    const line = { stream: entry.stream, text: content.toString('utf8'), time: new Date(entry.timestamp) }
    return entry.partial ? { ...line, partial: true } : line
  }
}
