/**
 * Advisory locks between processes, on flock(2): the kernel gives them back however the holder ends. They are taken
 * without ever blocking the event loop, so waiting is asking again.
 *
 * A lock file may be removed or renamed by its holder while it is locked (a partial download becomes a blob). Whoever
 * waited then holds a lock on a file that has no name any more, so after each success the name is looked up again.
 */
import { constants, closeSync, fstatSync, openSync, statSync, unlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { tryLock } from '../sys/file-calls.js'
import { fileError } from './file-error.js'

/** Milliseconds between two tries for a lock that another holds: long work is done under these locks. */
const retryDelay = 20

/** A lock that is held, with the descriptor of its file, open for reading and writing. */
export interface FileLock {
  readonly fd: number
  readonly path: string
  /** Let go. With `unlink` the file goes too; safe, since waiting processes look its name up again. */
  release(options?: { readonly unlink?: boolean }): void
}

/**
 * Try to lock the file at `path`, made when missing.
 * @returns undefined when another holder has it.
 */
export function tryLockFile(path: string): FileLock | undefined {
  for (;;) {
    const fd = open(path)
    let held = false
    try {
      if (!tryLock(fd, 'exclusive')) return undefined
      held = isStillNamed(fd, path)
    } finally {
      if (!held) closeSync(fd)
    }
    if (held) return heldLock(fd, path)
  }
}

/** Lock the file at `path`, made when missing; waits for other holders, of this process and of others. */
export async function lockFile(path: string, signal?: AbortSignal): Promise<FileLock> {
  for (;;) {
    if (signal?.aborted) throw aborted(signal)
    const lock = tryLockFile(path)
    if (lock !== undefined) return lock
    await sleep(retryDelay)
  }
}

/** The error of an operation that its caller's signal ended. */
export function aborted(signal: AbortSignal): PodlingError {
  return new PodlingError('ABORTED', 'the operation was aborted by its signal', { cause: signal.reason })
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    throw fileError(error, `open ${path}`)
  }
}

function heldLock(fd: number, path: string): FileLock {
  let released = false
  return {
    fd,
    path,
    release({ unlink = false } = {}) {
      if (released) return
      released = true
      try {
        // Before the lock is given back, or a second holder's file would be removed.
        if (unlink && isStillNamed(fd, path)) unlinkSync(path)
      } finally {
        closeSync(fd)
      }
    },
  }
}

function isStillNamed(fd: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false, bigint: true })
  const opened = fstatSync(fd, { bigint: true })
  return named !== undefined && named.ino === opened.ino && named.dev === opened.dev
}
