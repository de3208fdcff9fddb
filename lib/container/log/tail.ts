import type { FileHandle } from 'node:fs/promises'
import { EntryReader, type LogEntry } from './line.js'

const BLOCK = 64 * 1024
const NEWLINE = 0x0a

/**
 * The offset where the last `count` lines begin that `accepts` lets through, found from the end of the file backwards,
 * so that a long log costs no more than its tail.
 */
export async function tailOffset(
  file: FileHandle,
  size: number,
  count: number,
  accepts: (entry: LogEntry) => boolean,
): Promise<number> {
  if (count === 0) return size
  const reader = new EntryReader()
  let found = 0
  let begin = size
  let rest = Buffer.alloc(0)
  let answer = 0
  // An entry counts when it ends a line; the line begins after the previous counted entry, so one more must be seen.
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
      const entry = reader.read(text.subarray(newline + 1, text[end - 1] === NEWLINE ? end - 1 : end))
      if (entry !== undefined && accepts(entry)) {
        if (!entry.partial && ++found > count) return answer
        answer = begin + newline + 1
      }
      end = newline + 1
    }
    rest = text.subarray(0, end)
  }
  const first = reader.read(rest.subarray(0, rest.length - 1))
  if (first !== undefined && accepts(first) && !first.partial && found === count) return answer
  return 0
}

async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<void> {
  let done = 0
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done)
    if (bytesRead === 0) return
    done += bytesRead
  }
}
