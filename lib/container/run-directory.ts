/** The directory of a container that holds what does not outlive its run: socket, lock, exit record. */
import { readdirSync, rmdirSync } from 'node:fs'
import { isErrno } from '../storage/file-error.js'
import { removeSmallFile } from './remove-small.js'

/**
 * Remove it, the lock last: a directory without a lock is one that has just been made, or has nothing in it any more.
 * Several may do so at once.
 */
export async function removeRunDirectory(directory: string): Promise<void> {
  const names = namesIn(directory).filter((name) => name !== 'lock')
  await Promise.all(names.map((name) => removeSmallFile(`${directory}/${name}`)))
  await removeSmallFile(`${directory}/lock`)
  removeIfEmpty(directory)
}

export function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error
  }
}

/** @returns nothing where there is no such directory */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}
