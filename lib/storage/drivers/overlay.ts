/**
 * The overlay driver: a container's root is an overlay of its image's layers, mounted by the container itself in its
 * own mount namespace, so that nothing has to be unmounted, ever.
 */
import type { HostFacts } from '../../sys/kernel.js'
import { kernelFeatures } from '../../sys/kernel.js'
import { directoryFormat } from '../layer-format.js'
import type { DriverKind } from './kind.js'
import { LayeredDriver } from './layered-driver.js'
import { commonDirectory, mapIds } from './map-ids.js'
import { overlayRoot } from './overlay-options.js'

export const overlayKind: DriverKind = {
  name: 'overlay',
  format: directoryFormat,
  merit: 'the fastest start, one system call; files that containers share are in memory once',
  obstacle: overlayObstacle,
  open({ directory, layers, openUnpacker, rights }) {
    return LayeredDriver.open(
      {
        name: 'overlay',
        mount: (writable, container, lower, options) => [
          ...mapIds([writable.directory, ...commonDirectory(lower)], options),
          overlayRoot(writable, container, lower, options, rights),
        ],
      },
      directory,
      layers,
      openUnpacker,
      rights,
    )
  },
}

export function overlayObstacle(facts: HostFacts): string | undefined {
  return kernelFeatures(facts).overlay
    ? undefined
    : 'this kernel has no overlay file system (CONFIG_OVERLAY_FS); load the module `overlay`, or boot another kernel'
}
