import { watch } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'
import { EntryReader, LineJoiner, type LogEntry, type LogLine } from './line.js'
import { tailOffset } from './tail.js'

/** Which lines of a log to give. */
export interface LogOptions {
  /** Go on with new lines until the container ends. @default false */
  readonly follow?: boolean
  /** Begin with the last so many lines. @default all */
  readonly tail?: number
  /** Leave out lines older than this. */
  readonly since?: Date
  /** Leave out lines from this on. */
  readonly until?: Date
  /** Put the time in front of each text, as `podman logs --timestamps`. @default false */
  readonly timestamps?: boolean
  /** Only this stream. @default both */
  readonly stream?: 'stdout' | 'stderr'
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal
}

const CHUNK = 256 * 1024
const NEWLINE = 0x0a

/**
 * The lines of a log file. The file is the buffer: a slow reader costs no memory, and nothing is lost or reordered within a
 * stream.
 *
 * @param ended settles when nothing more will be written; what is in the file by then is still given.
 */
export async function* readLog(path: string, options: LogOptions, ended: Promise<unknown>): AsyncGenerator<LogLine> {
  checkLogOptions(options)
  const file = await openIfThere(path)
  if (file === undefined) return
  const growth = options.follow ? new Growth(path, ended, options.signal) : undefined
  try {
    const accepts = entryFilter(options)
    const joiner = new LineJoiner()
    let last = new Date(0)
    for await (const batch of batches(file, await firstOffset(file, options, accepts), growth, options.signal)) {
      for (const entry of batch) {
        if (!accepts(entry)) continue
        last = entry.time
        const line = joiner.add(entry)
        if (line !== undefined) yield options.timestamps ? withTimestamp(line, entry.timestamp) : line
      }
    }
    if (!options.signal?.aborted) yield* joiner.rest(last)
  } finally {
    growth?.close()
    await file.close()
  }
}

/** @throws PodlingError `INVALID_OPTION` */
function checkLogOptions(options: LogOptions): void {
  const what = 'read the log of a container'
  checkKnown(what, options, {
    follow: true,
    tail: true,
    since: true,
    until: true,
    timestamps: true,
    stream: true,
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

function withTimestamp(line: LogLine, timestamp: string): LogLine {
  return { ...line, text: `${timestamp} ${line.text}` }
}

function entryFilter({ since, until, stream }: LogOptions): (entry: LogEntry) => boolean {
  const from = since?.getTime() ?? -Infinity
  const to = until?.getTime() ?? Infinity
  return (entry) => {
    const time = entry.time.getTime()
    return (stream === undefined || entry.stream === stream) && time >= from && time < to
  }
}

async function firstOffset(
  file: FileHandle,
  { tail }: LogOptions,
  accepts: (entry: LogEntry) => boolean,
): Promise<number> {
  return tail === undefined ? 0 : tailOffset(file, (await file.stat()).size, tail, accepts)
}

/** The entries from an offset on, as many at a time as one read gives: a step of an async generator costs more than a line. */
async function* batches(
  file: FileHandle,
  offset: number,
  growth: Growth | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry[]> {
  const reader = new EntryReader()
  let position = offset
  let rest: Buffer = Buffer.alloc(0)
  while (!signal?.aborted) {
    // Asked before the read: what was written before the end is then surely seen by it.
    const last = growth?.ended ?? true
    const chunk = Buffer.allocUnsafe(CHUNK)
    const { bytesRead } = await file.read(chunk, 0, CHUNK, position)
    position += bytesRead
    if (bytesRead === 0) {
      if (last) return
      await growth?.wait()
      continue
    }
    const read = chunk.subarray(0, bytesRead)
    const text = rest.length === 0 ? read : Buffer.concat([rest, read])
    const entries: LogEntry[] = []
    let begin = 0
    for (let newline = text.indexOf(NEWLINE); newline >= 0; newline = text.indexOf(NEWLINE, begin)) {
      const entry = reader.read(text.subarray(begin, newline))
      begin = newline + 1
      if (entry !== undefined) entries.push(entry)
    }
    rest = text.subarray(begin)
    if (entries.length > 0) yield entries
  }
}

/** Tells when a file may have grown (inotify(7)), and whether that is over. */
class Growth {
  ended = false
  #changed = false
  #wake: (() => void) | undefined
  readonly #watcher
  readonly #signal
  readonly #onAbort = () => {
    this.#notify()
  }

  constructor(path: string, ended: Promise<unknown>, signal: AbortSignal | undefined) {
    this.#watcher = watch(path, () => {
      this.#notify()
    })
    this.#watcher.on('error', () => {
      this.#notify()
    })
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort)
    const finish = () => {
      this.ended = true
      this.#notify()
    }
    ended.then(finish, finish)
  }

  #notify(): void {
    this.#changed = true
    this.#wake?.()
  }

  async wait(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    this.#changed = false
  }

  close(): void {
    this.#watcher.close()
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
