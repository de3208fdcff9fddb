/**
 * What every container has mounted over: the directories and files that must be there as mount points. They stand in one
 * small layer beneath all others, so that an image that lacks them doesn't get them made in each container's writable
 * layer, on disk, at each start; and so that they don't show as changes of the container.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../file-error.js'

const directories = ['dev', 'etc', 'proc', 'sys'] as const
const files = ['etc/hosts', 'etc/hostname', 'etc/resolv.conf'] as const

/** Make it where it is missing. @returns its directory, the lowest of every root. */
export function makeSkeleton(directory: string): string {
  try {
    for (const name of ['', ...directories]) mkdirSync(join(directory, name), { recursive: true, mode: 0o755 })
    for (const name of files) writeFileSync(join(directory, name), '', { flag: 'a', mode: 0o644 })
    return directory
  } catch (error) {
    throw fileError(error, `make the mount points of containers in ${directory}`)
  }
}
