import { watch } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { LineJoiner, parseEntry, type LogEntry, type LogLine } from './line.js'
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

const CHUNK = 64 * 1024
const NEWLINE = 0x0a

/**
 * The lines of a log file. The file is the buffer: a slow reader costs no memory, and nothing is lost or reordered within a
 * stream.
 *
 * @param ended settles when nothing more will be written; what is in the file by then is still given.
 */
export async function* readLog(path: string, options: LogOptions, ended: Promise<unknown>): AsyncGenerator<LogLine> {
  const file = await openIfThere(path)
  if (file === undefined) return
  try {
    const accepts = entryFilter(options)
    const joiner = new LineJoiner()
    for await (const entry of entries(file, path, options, accepts, ended)) {
      if (!accepts(entry)) continue
      const line = joiner.add(entry)
      if (line === undefined) continue
      yield options.timestamps ? { ...line, text: `${entry.timestamp} ${line.text}` } : line
    }
  } finally {
    await file.close()
  }
}

function entryFilter({ since, until, stream }: LogOptions): (entry: LogEntry) => boolean {
  return (entry) => {
    if (stream !== undefined && entry.stream !== stream) return false
    if (since === undefined && until === undefined) return true
    const time = Date.parse(entry.timestamp)
    return (since === undefined || time >= since.getTime()) && (until === undefined || time < until.getTime())
  }
}

async function* entries(
  file: FileHandle,
  path: string,
  options: LogOptions,
  accepts: (entry: LogEntry) => boolean,
  ended: Promise<unknown>,
): AsyncGenerator<LogEntry> {
  let position = 0
  if (options.tail !== undefined) {
    const { size } = await file.stat()
    position = await tailOffset(file, size, options.tail, accepts)
  }
  const growth = options.follow ? new Growth(path, ended, options.signal) : undefined
  try {
    let rest = Buffer.alloc(0)
    for (;;) {
      if (options.signal?.aborted) return
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
      const text =
        rest.length === 0 ? chunk.subarray(0, bytesRead) : Buffer.concat([rest, chunk.subarray(0, bytesRead)])
      let begin = 0
      for (;;) {
        const newline = text.indexOf(NEWLINE, begin)
        if (newline < 0) break
        const entry = parseEntry(text.subarray(begin, newline))
        begin = newline + 1
        if (entry !== undefined) yield entry
      }
      rest = text.subarray(begin)
    }
  } finally {
    growth?.close()
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
