/** Effects on cgroup directories: making, listing and removing them, and reading who is inside. */
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemError } from '../sys/libc.js'
import type { PodlingError } from '../errors.js'

/** The errno name of a failed call of node:fs. */
export function errnoOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code ?? 'EIO'
}

/** ENODEV is how a file of a cgroup answers when the cgroup was removed while the file was open. */
export function isGone(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENODEV'
}

export function failure(syscall: string, what: string, path: string, error: unknown): PodlingError {
  return systemError(syscall, errnoOf(error), `${what} (${path})`, path)
}

/** @returns whether the directory is new. */
export async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, 0o755)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Write a value to a file that the kernel made. */
export async function writeValue(path: string, value: string): Promise<void> {
  // No O_CREAT and no O_TRUNC: where the file is missing the errno should say so, and not that cgroupfs has no create.
  await writeFile(path, value, { flag: 'r+' })
}

export async function childDirectories(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Process ids in a cgroup and those below it. */
export async function processesBelow(directory: string): Promise<number[]> {
  const pids: number[] = []
  try {
    const text = await readFile(join(directory, 'cgroup.procs'), 'utf8')
    // 0 stands for a process of an outer pid namespace, which can't be named from here.
    pids.push(
      ...text
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 0),
    )
  } catch (error) {
    if (!isGone(error)) throw error
  }
  for (const name of await childDirectories(directory)) pids.push(...(await processesBelow(join(directory, name))))
  return pids
}

const REMOVE_ATTEMPTS = 12

/** Remove one directory; a missing one is success. EBUSY passes when the last process has finished dying, so it waits. */
export async function removeDirectory(path: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await rmdir(path)
      return
    } catch (error) {
      if (isGone(error)) return
      if (errnoOf(error) !== 'EBUSY' || attempt === REMOVE_ATTEMPTS) throw error
    }
    await sleep(Math.min(2 ** attempt, 200)) // 1.1 s in all
  }
}

/** Remove a cgroup and all below it, children first. rm -r can't: the kernel's files in it can't be unlinked. */
export async function removeTree(path: string): Promise<void> {
  for (const name of await childDirectories(path)) await removeTree(join(path, name))
  await removeDirectory(path)
}
