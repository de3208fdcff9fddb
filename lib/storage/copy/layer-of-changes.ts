/**
 * An overlay's upper directory as the tar of a layer (OCI image spec, layer.md): devices 0:0 and opaque directories
 * become whiteouts.
 */
import { PodlingError } from '../../errors.js'
import type { Changes } from '../drivers/driver.js'
import type { PackedEntry } from './pack-parser.js'
import { asItIs } from './tar-of-tree.js'
import type { TarredEntry } from '../tar/writer.js'

const prefix = '.wh.'

/** @throws PodlingError LAYER_INVALID for a name that would mean something else in a layer */
export function layerEntries(entry: PackedEntry): TarredEntry[] {
  const { path } = entry
  const slash = path.lastIndexOf('/') + 1
  const [directory, name] = [path.slice(0, slash), path.slice(slash)]
  if (name.startsWith(prefix)) {
    throw new PodlingError(
      'LAYER_INVALID',
      `the container has a file ${JSON.stringify(`/${path}`)}, which would hide another one in an image; remove it first`,
    )
  }
  if (isWhiteout(entry)) return [marker(`${directory}${prefix}${name}`)]
  const own = asItIs(entry, path === '' ? './' : path)
  return isOpaque(entry) ? [...own, marker(`${path === '' ? '' : `${path}/`}${prefix}${prefix}.opq`)] : own
}

/** What overlay puts where something of a lower layer was removed. */
export function isWhiteout({ operation, major, minor }: PackedEntry): boolean {
  return operation === 'character' && major === 0 && minor === 0
}

/** A directory that hides all that lower layers have in it. */
export function isOpaque({ operation, xattrs }: PackedEntry): boolean {
  return operation === 'directory' && xattrs.some(([key, value]) => opaque.test(key) && value[0] === 0x79)
}

const opaque = /(\.overlay|^user\.fuseoverlayfs)\.opaque$/

/** Whether it is a file that the driver keeps for itself. */
export function isDriversOwn({ path }: PackedEntry, { own = [] }: Pick<Changes, 'own'>): boolean {
  return own.includes(path.slice(path.lastIndexOf('/') + 1))
}

function marker(name: string): TarredEntry {
  return {
    operation: 'file', mode: 0, uid: 0, gid: 0, size: 0, seconds: 0, nanoseconds: 0, major: 0, minor: 0, link: '', xattrs: [], name,
  } // prettier-ignore
}
