/** Why the state database can't be used, or a commit to it failed. */
import { statfsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { codeForErrno } from '../sys/libc.js'

export function invalidState(path: string, why: string, cause?: unknown): PodlingError {
  return new PodlingError(
    'STATE_INVALID',
    `the state database ${path} ${why}. Move it away to start anew: images and containers it knows of are lost`,
    { path, ...(cause === undefined ? {} : { cause }) },
  )
}

/** Why a commit failed comes later, by a promise on lmdb's error; or never, when lmdb had told it to stderr before. */
export async function commitFailure(error: unknown): Promise<unknown> {
  const later = error instanceof Error && 'commitError' in error ? error.commitError : undefined
  if (!(later instanceof Promise)) return error
  return Promise.race([later.then(() => error).catch((why: unknown) => why), sleep(100, error)])
}

export function commitError(error: unknown, path: string, directory: string): PodlingError {
  if (error instanceof PodlingError) return error
  const message = error instanceof Error ? error.message : String(error)
  // lmdb passes the C library's message on, not the number.
  const full = /no space left/i.test(message) || isFull(directory)
  const errno = full ? 'ENOSPC' : /quota/i.test(message) ? 'EDQUOT' : 'EIO'
  return new PodlingError(
    codeForErrno(errno),
    `commit to the state database ${path}: ${message}${full ? '; free space on its disk' : ''}`,
    { cause: error, path, errno },
  )
}

function isFull(directory: string): boolean {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize < 64 * 1024
}
