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
  /** Set where the line doesn't end here: it is too long to give at once (over 1 MiB), or the output stopped within it. */
  readonly partial?: true
}

/** A line as it stands in the file; the content is not decoded yet, for pieces may split a character. */
export interface LogEntry {
  readonly stream: 'stdout' | 'stderr'
  readonly timestamp: string
  readonly time: Date
  readonly partial: boolean
  readonly content: Buffer
}

const SPACE = 0x20

/**
 * Reads entries, each without its newline. Lines that were read together have the same time, so that of the last one is
 * kept: reading it is most of the work.
 */
export class EntryReader {
  #stamp: Buffer = Buffer.alloc(0)
  #timestamp = ''
  #time = new Date(NaN)

  /** `undefined` for a line that is no entry, such as one cut off by a full disk. */
  read(line: Buffer): LogEntry | undefined {
    const afterTime = line.indexOf(SPACE)
    // `stdout F ` or `stderr F `, told apart by its fourth letter once it is seen to be one of them.
    if (
      afterTime < 0 ||
      line.length < afterTime + 10 ||
      line[afterTime + 7] !== SPACE ||
      line[afterTime + 9] !== SPACE
    ) {
      return undefined
    }
    const stream = streams[line.toString('latin1', afterTime + 1, afterTime + 7)]
    const tag = line[afterTime + 8]
    if (stream === undefined || (tag !== FULL && tag !== PARTIAL)) return undefined
    const stamp = line.subarray(0, afterTime)
    if (!stamp.equals(this.#stamp)) {
      const timestamp = stamp.toString('latin1')
      const time = new Date(timestamp)
      if (Number.isNaN(time.getTime())) return undefined
      this.#stamp = stamp
      this.#timestamp = timestamp
      this.#time = time
    }
    const content = line.subarray(afterTime + 10)
    return { stream, timestamp: this.#timestamp, time: this.#time, partial: tag === PARTIAL, content }
  }
}

const FULL = 0x46
const PARTIAL = 0x50
const streams: Readonly<Record<string, 'stdout' | 'stderr' | undefined>> = Object.freeze({
  stdout: 'stdout',
  stderr: 'stderr',
} as const)

/** The longest line that is given whole. Beyond it pieces are given as they come, so that no line can fill the memory. */
export const LONGEST_LINE = 1024 * 1024

/** Joins the pieces of long lines, each stream by itself. */
export class LineJoiner {
  readonly #pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  readonly #bytes = { stdout: 0, stderr: 0 }

  /** Take an entry; gives back the line that it completes. */
  add(entry: LogEntry): LogLine | undefined {
    const { stream, time, partial, content } = entry
    const pieces = this.#pieces[stream]
    if (!partial && pieces.length === 0) return { stream, text: content.toString('utf8'), time }
    pieces.push(content)
    this.#bytes[stream] += content.length
    if (partial && this.#bytes[stream] < LONGEST_LINE) return undefined
    return this.#take(stream, time, partial)
  }

  /** What has come of lines that were never ended, such as a prompt. @param time when the last of it came */
  rest(time: Date): LogLine[] {
    return (['stdout', 'stderr'] as const)
      .filter((stream) => this.#pieces[stream].length > 0)
      .map((stream) => this.#take(stream, time, true))
  }

  #take(stream: 'stdout' | 'stderr', time: Date, partial: boolean): LogLine {
    const text = Buffer.concat(this.#pieces[stream]).toString('utf8')
    this.#pieces[stream] = []
    this.#bytes[stream] = 0
    return partial ? { stream, text, time, partial } : { stream, text, time }
  }
}
