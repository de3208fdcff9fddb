/**
 * The erofs driver: nothing is extracted. A layer is its tar, with an index over it that the kernel mounts as a read-only
 * file system; the container's own mount namespace has them all, beneath an overlay. A pull writes one file in one go.
 *
 * The index is made here (../erofs/) and not by `mkfs.erofs --tar=i`, since that is a parser of strangers' tars in C that
 * would run as root, and since it refuses layers that all other drivers take: one with a file below a symbolic link to a
 * directory (`lib -> usr/lib`, `lib/x`) is an I/O error to erofs-utils 1.8.6. What it makes of a tar, and what fsck.erofs says
 * of ours, is compared by the specs.
 */
import { join } from 'node:path'
import { isConfined, kernelFeatures, parseKernelRelease, isAtLeast } from '../../sys/kernel.js'
import { erofsFiles, erofsFormat } from '../layer-format.js'
import type { RootOperation } from './driver.js'
import type { DriverKind } from './kind.js'
import { LayeredDriver } from './layered-driver.js'
import { overlayObstacle } from './overlay.js'
import { mapIds } from './map-ids.js'
import { overlayRoot } from './overlay-options.js'
import type { WritableLayers } from './writable-layers.js'

export const erofsKind: DriverKind = {
  name: 'erofs',
  format: erofsFormat,
  merit:
    'the fastest pull, nothing is extracted; a start mounts each layer, and a file that two containers read is in memory twice',
  obstacle(facts) {
    if (isConfined(facts))
      return "the kernel lets the machine's own root alone mount EROFS, and containers are in a user namespace here; run as root"
    const release = parseKernelRelease(facts.release)
    if (!kernelFeatures(facts).erofs)
      return 'this kernel has no EROFS (CONFIG_EROFS_FS); load the module `erofs`, or boot another kernel'
    if (release === undefined || !isAtLeast(release, 6, 12))
      return `kernels mount EROFS from files since 6.12, and this one is ${facts.release}`
    return overlayObstacle(facts)
  },
  open({ directory, layers, openUnpacker, rights }) {
    return LayeredDriver.open(
      {
        name: 'erofs',
        mount(writable, container, lower, options) {
          const mounts = lower.map((layer, number) => layerMount(writable, layer, number))
          const places = mounts.map(({ target }) => target)
          return [
            ...mapIds([writable.directory], options),
            ...mounts,
            ...mapIds(places, options),
            overlayRoot(writable, container, places, options, rights),
          ]
        },
      },
      directory,
      layers,
      openUnpacker,
      rights,
    )
  },
}

function layerMount(writable: WritableLayers, layer: string, number: number): Extract<RootOperation, { op: 'mount' }> {
  return {
    op: 'mount',
    fstype: 'erofs',
    source: join(layer, erofsFiles.index),
    target: writable.mountPoint(number),
    attributes: { readOnly: true },
    options: [`device=${join(layer, erofsFiles.tar)}`],
  }
}
