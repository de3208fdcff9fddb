/** A checkpoint as a restore finds it: where it is, what it says of itself, and whether this root made it. */
import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { fileError, isErrno } from '../../storage/file-error.js'
import type { ContainerContext } from '../context.js'
import { unpackCheckpoint } from './archive.js'
import { parseDescription, type CheckpointDescription } from './description.js'
import { FILES } from './files.js'
import { isArchive } from './place.js'
import { digestsOf, isSealed, sealingKey } from './seal.js'

export interface CheckpointSource extends AsyncDisposable {
  /** A directory that is laid out as {@link FILES} says. */
  readonly directory: string
  readonly description: CheckpointDescription
  /** This root made it, and nothing of it has changed since. */
  readonly own: boolean
}

/**
 * Open a checkpoint; an archive is taken apart into the root, until the source is disposed of.
 * @throws PodlingError `CHECKPOINT_INVALID`, `INVALID_OPTION`, `DISK_FULL`
 */
export async function openCheckpoint(context: ContainerContext, given: unknown): Promise<CheckpointSource> {
  if (typeof given !== 'string' || given === '') {
    throw new PodlingError('INVALID_OPTION', `restore a container: path: must be a path, got ${show(given)}`)
  }
  const path = resolve(given)
  const archive = isArchive(path)
  const directory = archive ? await temporary(context, path) : path
  const dispose = async (): Promise<void> => {
    if (archive) await rm(directory, { recursive: true, force: true })
  }
  try {
    if (archive) await unpackCheckpoint(path, directory)
    const { text, seal, description } = parseDescription(path, await readDescription(path, directory))
    const key = await sealingKey(context.database)
    const own =
      isSealed(key, text, seal) &&
      isDeepStrictEqual(description.digests, await digestsOf(directory, context.fileDigests))
    return { directory, description, own, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw fileError(error, `restore from ${path}`)
  }
}

/** Where archives are taken apart: by the runtime instance that does it, so that the next open knows when nobody needs them. */
const UNPACKED = /^checkpoint-([^-]+)-/

async function temporary({ root, owner }: ContainerContext, path: string): Promise<string> {
  try {
    return await mkdtemp(`${root}/checkpoint-${owner}-`)
  } catch (error) {
    throw fileError(error, `restore from ${path}`)
  }
}

/** Remove archives that hosts which died had taken apart. */
export async function removeUnpacked(root: string, hostLives: (owner: string) => Promise<boolean>): Promise<void> {
  for (const name of await readdir(root)) {
    const owner = UNPACKED.exec(name)?.[1]
    if (owner === undefined || (await hostLives(owner))) continue
    await rm(join(root, name), { recursive: true, force: true })
  }
}

/** Bytes of the longest description. */
const LONGEST = 1 << 20

async function readDescription(path: string, directory: string): Promise<string> {
  const file = join(directory, FILES.description)
  const invalid = (why: string): PodlingError =>
    new PodlingError('CHECKPOINT_INVALID', `restore from ${path}: it is no checkpoint: ${why}`, { path })
  try {
    const status = await lstat(file)
    if (!status.isFile() || status.size > LONGEST) throw invalid(`${FILES.description} is no small file`)
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) throw invalid(`${FILES.description} is not there`)
    throw error
  }
}
