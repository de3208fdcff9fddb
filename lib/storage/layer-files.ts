/** The files that a layer is kept in, with what they were when they were made: changed ones show before they are used. */
import { join } from 'node:path'
import { digestOfFile, stampOf, type Stamp } from './stamp.js'

export interface LayerFile {
  /** In the layer's directory. */
  readonly name: string
  /** Of its first {@link size} bytes. */
  readonly digest: string
  /** Bytes. @default all */
  readonly size?: number
  readonly stamp: Stamp
}

/** A layer that is not what it was, and the file of it that isn't. */
export interface ChangedLayer {
  readonly chainId: string
  readonly file: string
}

/** @param known its digest. @default it is read */
export async function describeFile(
  directory: string,
  name: string,
  known?: { readonly digest: string; readonly size: number },
): Promise<LayerFile> {
  const path = join(directory, name)
  const stamp = stampOf(path) ?? ''
  return { name, stamp, ...(known ?? { digest: (await digestOfFile(path)) ?? '' }) }
}

export function looksSame(directory: string, { name, stamp }: LayerFile): boolean {
  return stampOf(join(directory, name)) === stamp
}

/**
 * Read the files that look otherwise.
 * @returns them as they look now, or the name of one that has other bytes, or is gone
 */
export async function lookAgain(
  directory: string,
  files: readonly LayerFile[],
): Promise<readonly LayerFile[] | { readonly changed: string }> {
  const again: LayerFile[] = []
  for (const file of files) {
    const path = join(directory, file.name)
    // Before it is read: what changes meanwhile must show.
    const stamp = stampOf(path)
    if (stamp !== file.stamp && (stamp === undefined || (await digestOfFile(path, file.size)) !== file.digest))
      return { changed: file.name }
    again.push({ ...file, stamp })
  }
  return again
}
