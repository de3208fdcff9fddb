import { Growth } from './growth.js'
import { JsonEntryReader } from './json-entry.js'
import { K8sEntryReader } from './k8s-entry.js'
import type { EntryReader, LogEntry } from './line.js'
import { numberOf, openNext, openOldest, type LogFile } from './log-files.js'
import { entryFilter, type LogOptions } from './log-options.js'
import { openTail } from './tail.js'

const CHUNK = 256 * 1024
const NEWLINE = 0x0a

const formats: Readonly<Record<'k8s-file' | 'json-file', new () => EntryReader>> = {
  'k8s-file': K8sEntryReader,
  'json-file': JsonEntryReader,
}

/** A log in files. */
export interface LogFilesSource {
  readonly driver: keyof typeof formats
  /** The file that is written to. */
  readonly path: string
  /** Full files may stand before it, see log-files.ts. */
  readonly rotates: boolean
}

/**
 * The entries of a log in files, as many at a time as one read gives: a step of an async generator costs more than a line.
 * The files are the buffer: a slow reader costs no memory, and nothing is lost or reordered within a stream.
 */
export async function* readFiles(
  source: LogFilesSource,
  options: LogOptions,
  ended: Promise<unknown>,
): AsyncGenerator<LogEntry[]> {
  const reader = new formats[source.driver]()
  const start = await openStart(source, options, reader)
  if (start === undefined) return
  const place = new Place(source, start.file, start.offset)
  let growth: Growth | undefined
  try {
    growth = options.follow ? new Growth(source.path, ended, options.signal) : undefined
    while (!options.signal?.aborted) {
      // Asked before the read: what was written before the end is then surely seen by it.
      const last = growth?.ended ?? true
      const text = await place.read()
      if (text === undefined) {
        if (await place.advance()) continue
        if (last) return
        await growth?.wait()
        continue
      }
      const entries = place.split(text, reader)
      if (entries.length > 0) yield entries
    }
  } finally {
    growth?.close()
    await place.close()
  }
}

async function openStart(
  { path, rotates }: LogFilesSource,
  options: LogOptions,
  reader: EntryReader,
): Promise<{ file: LogFile; offset: number } | undefined> {
  if (options.tail !== undefined) return openTail(path, rotates, options.tail, entryFilter(options), reader)
  const file = await openOldest(path, rotates)
  return file === undefined ? undefined : { file, offset: 0 }
}

/** Where in its files a log has been read to. */
class Place {
  readonly #source: LogFilesSource
  #file: LogFile
  #position: number
  /** The begin of a line whose rest is not there yet. */
  #rest: Buffer = Buffer.alloc(0)
  #gap = false

  constructor(source: LogFilesSource, file: LogFile, position: number) {
    this.#source = source
    this.#file = file
    this.#position = position
  }

  /** What comes next in this file. @returns undefined where there is no more of it now */
  async read(): Promise<Buffer | undefined> {
    const chunk = Buffer.allocUnsafe(CHUNK)
    const { bytesRead } = await this.#file.handle.read(chunk, 0, CHUNK, this.#position)
    if (bytesRead === 0) return undefined
    this.#position += bytesRead
    return chunk.subarray(0, bytesRead)
  }

  split(read: Buffer, reader: EntryReader): LogEntry[] {
    const text = this.#rest.length === 0 ? read : Buffer.concat([this.#rest, read])
    const entries: LogEntry[] = []
    let begin = 0
    for (let newline = text.indexOf(NEWLINE); newline >= 0; newline = text.indexOf(NEWLINE, begin)) {
      const entry = reader.read(text.subarray(begin, newline))
      begin = newline + 1
      if (entry === undefined) continue
      entries.push(this.#gap ? { ...entry, gap: true } : entry)
      this.#gap = false
    }
    this.#rest = text.subarray(begin)
    return entries
  }

  /** At the end of a file: go to where there may be more. @returns false where there is nothing more now */
  async advance(): Promise<boolean> {
    const { number, handle } = this.#file
    if (number === undefined) {
      // Somebody emptied it (`copytruncate` of logrotate(8)); what is written from now on stands at its begin.
      if ((await handle.stat()).size < this.#position) {
        this.#begin()
        return true
      }
      if (!this.#source.rotates) return false
      const got = await numberOf(this.#source.path, this.#file)
      if (got === undefined) return false
      // Nothing more will be written to it, and what was written before that is there by now.
      this.#file = { ...this.#file, number: got }
      return true
    }
    const next = await openNext(this.#source.path, number)
    if (next === undefined) return false
    await handle.close()
    this.#file = next.file
    if (next.gap) this.#gap = true
    this.#begin()
    return true
  }

  #begin(): void {
    this.#position = 0
    this.#rest = Buffer.alloc(0)
  }

  close(): Promise<void> {
    return this.#file.handle.close()
  }
}
