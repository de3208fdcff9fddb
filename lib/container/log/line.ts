/** One line of a log, and the entries that it is put together of. Pure. */

/** One line of a container's output. */
export interface LogLine {
  readonly stream: 'stdout' | 'stderr'
  /** The text without its newline, decoded as UTF-8: each byte that is none becomes U+FFFD. */
  readonly text: string
  /** With `bytes: true`: the line as it was written, which `'json-file'` can keep only as far as it is UTF-8. */
  readonly bytes?: Uint8Array
  /** When the monitor read it. */
  readonly time: Date
  /** Set where the line doesn't end here: it is too long to give at once (over 1 MiB), or the output stopped within it. */
  readonly partial?: true
  /** Set where lines before this one are missing: the files that held them were removed before they were read. */
  readonly gap?: true
}

/** A line or a piece of one as the log has it; the content is not decoded yet, for pieces may split a character. */
export interface LogEntry {
  readonly stream: 'stdout' | 'stderr'
  readonly timestamp: string
  readonly time: Date
  readonly partial: boolean
  readonly content: Buffer
  /** The first one after some that are missing. */
  readonly gap?: true
}

/** Reads what one line of a log file says. */
export interface EntryReader {
  /** @returns `undefined` for a line that is no entry, such as one cut off by a full disk */
  read(line: Buffer): LogEntry | undefined
}

/** The longest line that is given whole. Beyond it pieces are given as they come, so that no line can fill the memory. */
export const LONGEST_LINE = 1024 * 1024

/** Joins the pieces of long lines, each stream by itself. */
export class LineJoiner {
  readonly #pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  readonly #bytes = { stdout: 0, stderr: 0 }
  readonly #keepsBytes: boolean
  #gap = false

  /** @param keepBytes give lines their bytes */
  constructor(keepBytes = false) {
    this.#keepsBytes = keepBytes
  }

  /** Take an entry; gives back the line that it completes. */
  add(entry: LogEntry): LogLine | undefined {
    const { stream, time, partial, content } = entry
    const pieces = this.#pieces[stream]
    if (entry.gap) this.#gap = true
    if (!partial && pieces.length === 0) return this.#line(stream, content, time, false)
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
    const content = Buffer.concat(this.#pieces[stream])
    this.#pieces[stream] = []
    this.#bytes[stream] = 0
    return this.#line(stream, content, time, partial)
  }

  #line(stream: 'stdout' | 'stderr', content: Buffer, time: Date, partial: boolean): LogLine {
    const line = { stream, text: content.toString('utf8'), time }
    if (!partial && !this.#gap && !this.#keepsBytes) return line
    const gap = this.#gap
    this.#gap = false
    return {
      ...line,
      ...(partial ? { partial } : {}),
      ...(gap ? { gap } : {}),
      ...(this.#keepsBytes ? { bytes: new Uint8Array(content) } : {}),
    }
  }
}
