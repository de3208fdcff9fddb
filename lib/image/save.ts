/** Images of the blob store become an archive or a directory that others can load. */
import type { Writable } from 'node:stream'
import { PodlingError } from '../errors.js'
import { checkLayoutDestination, writeLayoutDirectory } from './save-directory.js'
import { dockerMembers } from './save-docker.js'
import { writeArchive } from './save-file.js'
import { ociMembers } from './save-oci.js'
import type { SaveContext, SavedImage } from './save-types.js'

/** The formats that images are saved in; see `SaveOptions.format`. */
export const saveFormats: readonly SaveFormat[] = ['oci-archive', 'docker-archive', 'oci-dir']
export type SaveFormat = 'oci-archive' | 'docker-archive' | 'oci-dir'

/** A path, or a stream, which is ended when all is written. */
export type SaveDestination = string | Writable

/**
 * Save images. A file gets its name when it is whole: until then a file of that name stays what it was, and nothing is
 * left of an attempt that failed or was killed. A directory is a layout when it has its `index.json`, which comes last.
 * @throws {PodlingError} INVALID_OPTION, BLOB_NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_INVALID, DISK_FULL,
 * PERMISSION_DENIED, ABORTED
 */
export async function saveImages(
  images: readonly SavedImage[],
  destination: SaveDestination,
  format: SaveFormat,
  context: SaveContext,
): Promise<void> {
  const what = `save to ${typeof destination === 'string' ? destination : 'a stream'}`
  if (format !== 'oci-dir') {
    const members = format === 'oci-archive' ? ociMembers : dockerMembers
    await writeArchive(destination, members(images, context, what), what, context.signal)
    return
  }
  if (typeof destination !== 'string') {
    throw new PodlingError('INVALID_OPTION', `${what}: the format oci-dir is a directory; give its path`)
  }
  await checkLayoutDestination(destination, what)
  await writeLayoutDirectory(destination, ociMembers(images, context, what), what, context.signal)
}
