/**
 * Removing the few small files of a container right here, since each trip to the thread pool costs more than all these
 * calls; what is more than that goes there.
 */
import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { isErrno } from '../storage/file-error.js'

/** Bytes of a file beyond which freeing it may keep the event loop waiting for the disk. */
const most = 64 * 1024

/** Remove a file, or whatever it is. 'Already gone' is success. */
export async function removeSmallFile(path: string): Promise<void> {
  try {
    const status = lstatSync(path)
    if (!status.isDirectory() && status.size <= most) {
      unlinkSync(path)
      return
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
  }
  await rm(path, { recursive: true, force: true })
}

/** Remove a directory with all that is in it. 'Already gone' is success. */
export async function removeSmallDirectory(path: string): Promise<void> {
  try {
    for (const name of readdirSync(path)) await removeSmallFile(`${path}/${name}`)
    rmdirSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    await rm(path, { recursive: true, force: true })
  }
}
