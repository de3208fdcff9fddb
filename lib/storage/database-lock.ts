/** Who may write to the state database, among all processes. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLockFile, type FileLock } from './lock.js'

/** Milliseconds between two tries; other processes hold it for one commit. */
const retryDelay = 1

/**
 * The write lock. Who waits for it holds the turn lock, so that a process with much to write comes after one that has been
 * waiting.
 */
export async function lockForWrites(directory: string): Promise<FileLock> {
  const turn = await take(directory, 'turn.lock')
  try {
    return await lockForLook(directory)
  } finally {
    turn.release()
  }
}

/** The same without a turn, for who only looks that the file is whole. */
export function lockForLook(directory: string): Promise<FileLock> {
  return take(directory, 'write.lock')
}

async function take(directory: string, name: string): Promise<FileLock> {
  for (;;) {
    const lock = tryLockFile(join(directory, name))
    if (lock !== undefined) return lock
    await sleep(retryDelay)
  }
}
