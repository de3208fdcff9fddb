import type { FileHandle } from 'node:fs/promises'
import type { EntryReader } from './line.js'
import { openCurrent, openPrevious, type LogFile } from './log-files.js'
import type { EntryFilter } from './log-options.js'

const BLOCK = 64 * 1024
const NEWLINE = 0x0a

/**
 * Where the last `count` lines begin that `accepts` lets through, found from the end of the log backwards, so that a long
 * log costs no more than its tail.
 * @param rotates there may be full files before the one that is written to
 */
export async function openTail(
  path: string,
  rotates: boolean,
  count: number,
  accepts: EntryFilter,
  reader: EntryReader,
): Promise<{ file: LogFile; offset: number } | undefined> {
  const current = await openCurrent(path)
  if (current === undefined) return undefined
  let file: LogFile = current
  const search = new TailSearch(count, accepts, reader)
  for (;;) {
    const offset = await search.begin(file.handle)
    if (offset !== undefined) return { file, offset }
    const before: LogFile | undefined = rotates ? await openPrevious(path, file) : undefined
    if (before === undefined) return { file, offset: 0 }
    await file.handle.close()
    file = before
  }
}

/** Goes back through one file after the other, the newest first. */
class TailSearch {
  readonly #count: number
  readonly #accepts: EntryFilter
  readonly #reader: EntryReader
  #found = 0

  constructor(count: number, accepts: EntryFilter, reader: EntryReader) {
    this.#count = count
    this.#accepts = accepts
    this.#reader = reader
  }

  /** @returns the offset in this file; undefined: it begins in one before */
  async begin(file: FileHandle): Promise<number | undefined> {
    const { size } = await file.stat()
    if (this.#count === 0) return size
    let begin = size
    let rest = Buffer.alloc(0)
    let answer = size
    // An entry counts when it ends a line; the line begins after the previous counted entry, so one more must be seen.
    const look = (line: Buffer, offset: number): boolean => {
      const entry = this.#reader.read(line)
      if (entry === undefined || !this.#accepts(entry)) return false
      if (!entry.partial && ++this.#found > this.#count) return true
      answer = offset
      return false
    }
    while (begin > 0) {
      const length = Math.min(BLOCK, begin)
      begin -= length
      const block = Buffer.alloc(length)
      await readFully(file, block, begin)
      const text = Buffer.concat([block, rest])
      let end = text.length
      for (;;) {
        // (lastIndexOf takes a negative offset as counted from the end.)
        const newline = end < 2 ? -1 : text.lastIndexOf(NEWLINE, end - 2)
        if (newline < 0) break
        const line = text.subarray(newline + 1, text[end - 1] === NEWLINE ? end - 1 : end)
        if (look(line, begin + newline + 1)) return answer
        end = newline + 1
      }
      rest = text.subarray(0, end)
    }
    return look(rest.subarray(0, rest.length - 1), 0) ? answer : undefined
  }
}

async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<void> {
  let done = 0
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) return
    done += bytesRead
  }
}
