/** Where a checkpoint is made, and how it comes to stand where it shall: whole, or not at all. */
import { randomBytes } from 'node:crypto'
import { lstat, readdir, rename } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { packCheckpoint } from './archive.js'
import { syncPath } from '../../sys/sync-path.js'

/** Is a checkpoint at this path an archive? Else it is a directory. */
export function isArchive(path: string): boolean {
  return path.endsWith('.tar')
}

/**
 * Where a checkpoint is to be, and a path beside it where it can be made and from where it can be renamed; nothing is made yet.
 * @throws PodlingError `INVALID_OPTION` for a path that is none, or where something is
 */
export async function planPlace(what: string, given: string): Promise<{ path: string; staging: string }> {
  const wanted: unknown = given
  if (typeof wanted !== 'string' || wanted === '' || wanted.includes('\0')) {
    throw new PodlingError('INVALID_OPTION', `${what}: path: must be a path, got ${show(wanted)}`)
  }
  const path = resolve(wanted)
  const there = await lstat(path).catch(() => undefined)
  if (there !== undefined) {
    throw new PodlingError('INVALID_OPTION', `${what}: path: something is at ${path} already; name another place`)
  }
  return { path, staging: join(dirname(path), `.${basename(path)}-${randomBytes(6).toString('hex')}`) }
}

/** Put what was made in `staging` at its place: durable, and whole or not at all. */
export async function placeCheckpoint(staging: string, path: string): Promise<void> {
  if (isArchive(path)) {
    const archive = join(staging, 'archive')
    await packCheckpoint(staging, archive)
    await syncPath(archive)
    await rename(archive, path)
  } else {
    const files = await readdir(staging, { recursive: true })
    for (const name of ['.', ...files]) await syncPath(join(staging, name))
    await rename(staging, path)
  }
  await syncPath(dirname(path))
}
