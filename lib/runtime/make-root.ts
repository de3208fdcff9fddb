import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PodlingError } from '../errors.js'
import { fileError, isErrno } from '../storage/file-error.js'

/**
 * Make a directory of the runtime, with what is missing above it. Not by `mkdir({ recursive: true })`: that one never
 * returns where the kernel says ENOENT to a mkdir(2) whose parent is there, as /proc does.
 * @throws PodlingError `INVALID_OPTION` when it can't be a directory, `PERMISSION_DENIED`, `DISK_FULL`
 */
export async function makeRoot(option: 'root' | 'runRoot', path: string): Promise<void> {
  try {
    await makeBelow(path)
  } catch (error) {
    const why = explain(error)
    if (why === undefined) throw fileError(error, `open the runtime: make its ${option} ${path}`)
    throw new PodlingError('INVALID_OPTION', `${option}: ${path} ${why}; choose another directory`, {
      cause: error,
      path,
    })
  }
}

async function makeBelow(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700)
    return
  } catch (error) {
    if (isErrno(error, 'EEXIST')) {
      // A link that leads to nothing exists for mkdir(2) and for nobody else.
      if ((await stat(path)).isDirectory()) return
      throw error
    }
    const parent = dirname(path)
    if (!isErrno(error, 'ENOENT') || parent === path) throw error
    await makeBelow(parent)
  }
  try {
    await mkdir(path, 0o700)
  } catch (error) {
    // Another process has made it meanwhile.
    if (!isErrno(error, 'EEXIST')) throw error
  }
}

function explain(error: unknown): string | undefined {
  if (isErrno(error, 'EEXIST')) return 'is there, and is no directory'
  if (isErrno(error, 'ENOTDIR')) return 'lies below something that is no directory'
  if (isErrno(error, 'ENOENT')) return 'lies where no directory can be made'
  if (isErrno(error, 'ENAMETOOLONG')) return 'has a name that is too long'
  if (isErrno(error, 'ELOOP')) return 'leads through symbolic links in a circle'
  return undefined
}
