/**
 * What stat(2) tells of a file, so that one that has changed since it was verified shows without being read: writing to it,
 * replacing it and cutting it off change its times, and nobody can set its change time but by the clock of the machine.
 *
 * What it can't tell: bytes that a failing disk gives back other than they were written, and a change within the grain of the
 * clock, some milliseconds before Linux 6.13. `runtime.check` reads everything.
 */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { isErrno } from './file-error.js'

/** `inode size mtime ctime`, times in nanoseconds. Without the device: btrfs and NFS number theirs anew at each mount. */
export type Stamp = string

/** @returns undefined when there is no such file */
// Not by promises of node:fs: a trip to the thread pool costs ten times as much as the call.
export function stampOf(path: string): Stamp | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined
    ? undefined
    : `${String(found.ino)} ${String(found.size)} ${String(found.mtimeNs)} ${String(found.ctimeNs)}`
}

/** @param size bytes from the beginning that count. @default all @returns undefined when there is no such file */
export async function digestOfFile(path: string, size = Infinity): Promise<string | undefined> {
  try {
    const file = await open(path)
    const hash = createHash('sha256')
    try {
      const end = size - 1
      const stream = file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024, end })
      if (size > 0) for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk)
    } finally {
      await file.close()
    }
    return `sha256:${hash.digest('hex')}`
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
