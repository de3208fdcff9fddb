/**
 * The files of one log, as native/log_file.c writes them: `ctr.log` is written to, `ctr.log.7` was full before it, and
 * `ctr.log.6` before that. The one that is open here is locked (flock(2)), so that the monitor removes neither it nor those
 * after it.
 */
import { constants } from 'node:fs'
import { open, readdir, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { tryLock } from '../../sys/file-calls.js'
import { isErrno } from '../../storage/file-error.js'

export interface LogFile {
  readonly handle: FileHandle
  readonly inode: number
  /** The number behind its name; `undefined`: it is written to, as far as is known. 0: it was removed. */
  readonly number: number | undefined
}

/** The numbers that there are, in their order. */
async function numbers(path: string): Promise<number[]> {
  const prefix = `${basename(path)}.`
  const names = await readdir(dirname(path)).catch(() => [])
  return names
    .filter((name) => name.startsWith(prefix) && /^[1-9]\d{0,14}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b)
}

/** @returns undefined where it is not there (any more) */
async function openLog(path: string, number: number | undefined): Promise<LogFile | undefined> {
  const name = number === undefined ? path : `${path}.${String(number)}`
  let handle
  try {
    // Never to wait for the other end of a FIFO.
    handle = await open(name, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const locked = tryLock(handle.fd, 'shared')
    const status = await handle.stat()
    // What is no file, such as /dev/full, may have no end.
    if (locked && status.nlink > 0 && status.isFile()) return { handle, inode: status.ino, number }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}

/** The file that lines are read from first. @returns undefined where there is no log */
export async function openOldest(path: string, rotates: boolean): Promise<LogFile | undefined> {
  return rotates ? (await openNext(path, 0))?.file : openLog(path, undefined)
}

/** The file that is written to. */
export function openCurrent(path: string): Promise<LogFile | undefined> {
  return openLog(path, undefined)
}

/**
 * The file after a full one.
 * @returns undefined where there is none yet; with `gap` where files between them were removed
 */
export async function openNext(path: string, after: number): Promise<{ file: LogFile; gap: boolean } | undefined> {
  for (;;) {
    const [next] = (await numbers(path)).filter((number) => number > after)
    const file = await openLog(path, next)
    if (next !== undefined) {
      if (file !== undefined) return { file, gap: next !== after + 1 }
      continue
    }
    if (file === undefined) return undefined
    // Was it full before it was opened? Then it isn't the next one.
    if (!(await numbers(path)).some((number) => number > after)) return { file, gap: false }
    await file.handle.close()
  }
}

/** The full file before another one, or before the one that is written to. */
export async function openPrevious(path: string, before: LogFile): Promise<LogFile | undefined> {
  for (;;) {
    const own = before.number ?? (await numberOf(path, before)) ?? Infinity
    const last = (await numbers(path)).filter((number) => number < own).at(-1)
    if (last === undefined) return undefined
    const file = await openLog(path, last)
    if (file !== undefined) return file
  }
}

/** The number that a file has got since it was opened; 0: it was removed. @returns undefined: it is still written to */
export async function numberOf(path: string, { handle, inode }: LogFile): Promise<number | undefined> {
  if ((await inodeOf(path)) === inode) return undefined
  for (const number of (await numbers(path)).reverse()) {
    if ((await inodeOf(`${path}.${String(number)}`)) === inode) return number
  }
  return (await handle.stat()).nlink === 0 ? 0 : undefined
}

async function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  )
}
