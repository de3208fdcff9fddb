/** An OCI layout as a directory. */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import { throwIfAborted } from './progress.js'
import { destinationError } from './save-file.js'
import type { SavedMember } from './save-types.js'
import { syncPath } from '../sys/sync-path.js'

/**
 * That there is nothing at the destination but, perhaps, what a save that was killed has left: a layout without an index.
 * @throws {PodlingError} INVALID_OPTION
 */
export async function checkLayoutDestination(directory: string, what: string): Promise<void> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw destinationError(what, error, directory)
  }
  const strange = names.find((name) => !leftovers.has(name))
  if (strange === undefined) return
  throw new PodlingError(
    'INVALID_OPTION',
    `${what}: the directory is not empty (${strange} is in it); give another, or remove it first`,
    { path: directory },
  )
}

const leftovers: ReadonlySet<string> = new Set(['blobs', 'oci-layout', 'index.json.partial'])

export async function writeLayoutDirectory(
  directory: string,
  members: AsyncIterable<SavedMember>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  let made: string | undefined
  try {
    made = await mkdir(directory, { recursive: true })
    for (const name of leftovers) await rm(join(directory, name), { recursive: true, force: true })
    await mkdir(join(directory, 'blobs/sha256'), { recursive: true })
    for await (const member of members) await writeMember(directory, member, what, signal)
    await syncPath(join(directory, 'blobs/sha256'))
    // From here on it is a layout.
    await rename(join(directory, 'index.json.partial'), join(directory, 'index.json'))
    await syncPath(directory)
  } catch (error) {
    for (const name of [...leftovers, 'index.json']) {
      await rm(join(directory, name), { recursive: true, force: true }).catch(() => undefined)
    }
    if (made !== undefined) await rm(made, { recursive: true, force: true }).catch(() => undefined)
    throw destinationError(what, error, directory)
  }
}

async function writeMember(
  directory: string,
  { name, body }: SavedMember,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = join(directory, name === 'index.json' ? 'index.json.partial' : name)
  const file = await open(path, 'wx', 0o644)
  try {
    for await (const chunk of body) {
      throwIfAborted(what, signal)
      await file.writeFile(chunk)
    }
    await file.datasync()
  } finally {
    await file.close()
  }
}
