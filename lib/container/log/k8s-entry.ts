/**
 * The k8s-file format (the CRI log format, Podman's default):
 *
 *     2026-11-24T14:21:39.123456789+00:00 stdout F text of the line
 *
 * `F` ends a line, `P` is a piece of one that goes on in the next entry of the same stream. Pure.
 */
import type { EntryReader, LogEntry } from './line.js'

const SPACE = 0x20

/**
 * Reads entries, each without its newline. Lines that were read together have the same time, so that of the last one is
 * kept: reading it is most of the work.
 */
export class K8sEntryReader implements EntryReader {
  #stamp: Buffer = Buffer.alloc(0)
  #timestamp = ''
  #time = new Date(NaN)

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
