/** The directory of a container that holds what does not outlive its run: socket, lock, exit record. */
import { readdir, rm, rmdir } from 'node:fs/promises'
import { isErrno } from '../storage/file-error.js'

/**
 * Remove it, the lock last: a directory without a lock is one that has just been made, or has nothing in it any more.
 * Several may do so at once.
 */
export async function removeRunDirectory(directory: string): Promise<void> {
  const names = (await namesIn(directory)).filter((name) => name !== 'lock')
  await Promise.all(names.map((name) => rm(`${directory}/${name}`, { recursive: true, force: true })))
  await rm(`${directory}/lock`, { force: true })
  await removeIfEmpty(directory)
}

export async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error
  }
}

/** @returns nothing where there is no such directory */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}
