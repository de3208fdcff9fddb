/** A checkpoint as one file: a tar of its files. What comes in is as hostile as any archive. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type * as TarStream from 'tar-stream'
import { PodlingError } from '../../errors.js'
import { packed } from '../../image/packed.js'
import { late } from '../../late.js'
import { FILES } from './files.js'

const tarStream = late('tar-stream') as () => typeof TarStream

/** The names of CRIU's own files: no directory, nothing that is hidden. */
const IMAGE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/

function isCheckpointFile(name: string): boolean {
  const [directory, file, ...deeper] = name.split('/')
  if (file === undefined) return name === FILES.changes || name === FILES.description
  return directory === FILES.images && deeper.length === 0 && IMAGE_NAME.test(file)
}

/** Write the archive of what is in a directory. */
export async function packCheckpoint(directory: string, archive: string): Promise<void> {
  const images = await readdir(join(directory, FILES.images))
  const names = [FILES.description, FILES.changes, ...images.map((name) => `${FILES.images}/${name}`)]
  const bytes = packed(async (tar) => {
    for (const name of names) {
      const path = join(directory, name)
      const { size } = await stat(path)
      await pipeline(createReadStream(path), tar.entry({ name, size, mode: 0o600 }))
    }
  })
  await pipeline(bytes, createWriteStream(archive, { mode: 0o600, flags: 'wx' }))
}

/**
 * Take an archive apart into a directory that is there and empty.
 * @throws PodlingError `CHECKPOINT_INVALID` for anything in it that is no plain file of a checkpoint
 */
export async function unpackCheckpoint(archive: string, directory: string): Promise<void> {
  await mkdir(join(directory, FILES.images), { mode: 0o700 })
  const tar = tarStream().extract()
  const reading = pipeline(createReadStream(archive), tar)
  reading.catch(() => undefined)
  try {
    for await (const entry of tar) {
      const { name, type } = entry.header
      if (type === 'directory' && name.replace(/\/$/, '') === FILES.images) {
        entry.resume()
        continue
      }
      if (type !== 'file' || !isCheckpointFile(name))
        throw invalid(archive, `it holds ${JSON.stringify(name)}, a ${type}`)
      // A second one of the same name is refused as well.
      await pipeline(entry, createWriteStream(join(directory, name), { mode: 0o600, flags: 'wx' }))
    }
    await reading
  } catch (error) {
    if (error instanceof PodlingError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code !== undefined && code !== 'EEXIST') throw error
    throw invalid(archive, (error as Error).message, error)
  }
}

function invalid(archive: string, why: string, cause?: unknown): PodlingError {
  return new PodlingError('CHECKPOINT_INVALID', `restore from ${archive}: it is no checkpoint: ${why}`, {
    path: archive,
    ...(cause === undefined ? {} : { cause }),
  })
}
