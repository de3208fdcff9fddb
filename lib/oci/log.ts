/** How podling-oci tells of what went wrong, as runc does: lines of text or JSON, on standard error or in a file. */
import { appendFileSync, writeSync } from 'node:fs'

export interface LogOptions {
  /** Path of a file that is appended to. @default standard error */
  readonly file?: string | undefined
  /** @default 'text' */
  readonly format?: 'text' | 'json'
  /** Lines of the level `debug` too. @default false */
  readonly debug?: boolean
}

export type LogLevel = 'debug' | 'warning' | 'error'

export class Log {
  readonly #options: LogOptions

  constructor(options: LogOptions = {}) {
    this.#options = options
  }

  /** @param message made only where it is wanted */
  debug(message: () => string): void {
    if (this.#options.debug === true) this.#write('debug', message())
  }

  warn(message: string): void {
    this.#write('warning', message)
  }

  /** What ends the command: whoever reads its standard error is to know it too, where the log is a file. */
  fatal(message: string): void {
    this.#write('error', message)
    if (this.#options.file !== undefined) say(message)
  }

  #write(level: LogLevel, message: string): void {
    const line = `${formatLine(this.#options.format ?? 'text', level, message, new Date())}\n`
    const { file } = this.#options
    if (file === undefined) say(line.trimEnd())
    else appendFileSync(file, line, { mode: 0o644 })
  }
}

export function formatLine(format: 'text' | 'json', level: LogLevel, msg: string, date: Date): string {
  const time = date.toISOString().replace(/\.\d+Z$/, 'Z')
  if (format === 'json') return JSON.stringify({ level, msg, time })
  return `time="${time}" level=${level} msg=${JSON.stringify(msg)}`
}

/**
 * By descriptor: Node's own streams would set what is open there to non-blocking, for the container too, which has the same
 * open files.
 */
function say(line: string): void {
  try {
    writeSync(2, `${line}\n`)
  } catch {
    // Nobody listens.
  }
}
