/** The drivers there are. */
import { PodlingError } from '../../errors.js'
import { driverNames, type DriverName } from './driver.js'
import { erofsKind } from './erofs.js'
import { fuseOverlayfsKind } from './fuse-overlayfs.js'
import type { DriverKind } from './kind.js'
import { overlayKind } from './overlay.js'
import { vfsKind } from './vfs.js'

const kinds: readonly DriverKind[] = [overlayKind, fuseOverlayfsKind, vfsKind, erofsKind]

/** In the order of their names' list. */
export const driverKinds: readonly DriverKind[] = driverNames.flatMap((name) =>
  kinds.filter((kind) => kind.name === name),
)

/**
 * What `auto` tries, in this order: overlay starts a container fastest and shares what is in memory. erofs is for who asks
 * for it: it stands on overlay, so it can do nothing where that can't.
 */
export const autoKinds = driverKinds.filter(({ name }) => name !== 'erofs')

export function driverKind(name: DriverName): DriverKind {
  const kind = kinds.find((one) => one.name === name)
  if (kind === undefined) throw new PodlingError('INVALID_OPTION', `storageDriver: there is no driver ${name}`)
  return kind
}
