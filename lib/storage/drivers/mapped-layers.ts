/**
 * An image's files with other owners, for the user namespaces of an ordinary user's containers. The kernel maps the ids of an
 * overlay's layers for who has rights over the file system that they are on alone, and those of an overlay not at all
 * (mount_setattr(2), "ID-mapped mounts"). So there is a copy for every map, as Podman has it, which all containers with that map stand on:
 * those of `keep-id` always have the same, and `auto` gives the lowest ids that are free.
 *
 * It lies beside the topmost layer that it is of, `mapped/<map>`, and goes with that.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { PodlingError } from '../../errors.js'
import { fileError } from '../file-error.js'
import type { OpenUnpacker } from '../layer-types.js'
import { lockFile } from '../lock.js'
import { removeTrees } from '../remove-tree.js'
import { runOperations } from '../run-operations.js'
import { mergeOwners, type Head, type UnpackOperation } from '../unpack-operations.js'
import type { IdMaps } from './driver.js'

export interface MappedParts {
  /** What both the layers and the skeleton are below. */
  readonly above: string
  /** The directories to be one, topmost first; never none. */
  readonly lower: readonly string[]
  /** The mount points of every container. */
  readonly skeleton: string
  readonly owners: IdMaps
  readonly openUnpacker: OpenUnpacker
}

/**
 * @returns the directory of the copy, made where it is missing
 * @throws PodlingError `SUBIDS_TOO_FEW` for a file of somebody whom the map leaves out
 */
export async function mappedLayer({ above, lower, skeleton, owners, openUnpacker }: MappedParts): Promise<string> {
  const directory = join(dirname(lower[0]!), 'mapped')
  const name = createHash('sha256').update(mergeOwners(owners)).digest('hex').slice(0, 32)
  const place = join(directory, name)
  if (existsSync(place)) return place
  const making = `${place}.new`
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const lock = await lockFile(`${place}.lock`)
    try {
      if (existsSync(place)) return place
      // What was interrupted.
      await removeTrees(openUnpacker, directory, [`${name}.new`])
      mkdirSync(making, { mode: 0o755 })
      const merges = mergesOf(above, making, [...lower, skeleton], owners)
      // Other containers believe in it as soon as it has its name.
      await runOperations(openUnpacker, above, merges, 'copy the image for another user namespace to', true)
      renameSync(making, place)
      return place
    } catch (error) {
      await removeTrees(openUnpacker, directory, [`${name}.new`]).catch(() => undefined)
      throw error
    } finally {
      lock.release({ unlink: true })
    }
  } catch (error) {
    throw leftOut(fileError(error, `make ${place}`))
  }
}

/** Layers, topmost first, laid over an empty directory. @param above what all of them are below, and the unpacker is in */
export function mergesOf(
  above: string,
  into: string,
  layers: readonly string[],
  owners?: IdMaps,
): (readonly [UnpackOperation, Head])[] {
  const name = (path: string): string => Buffer.from(relative(above, path)).toString('latin1')
  const given = owners === undefined ? {} : { xattrs: mergeOwners(owners) }
  return [...layers].reverse().map((layer) => ['merge', { path: name(into), link: name(layer), ...given }])
}

/** What a copy failed by, in the words of user namespaces. */
export function leftOut(error: Error): Error {
  if (!(error instanceof PodlingError) || error.errno !== 'EOVERFLOW') return error
  return new PodlingError(
    'SUBIDS_TOO_FEW',
    `userns: a file of the image belongs to a user or group that the container doesn't have; give it more ids: ${error.message}`,
    { cause: error },
  )
}
