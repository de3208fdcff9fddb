/**
 * The fuse-overlayfs driver: as overlay, by a program of Debian's instead of the kernel, for where the kernel's is kept away or
 * can't stand on the file system that there is. Each container has a server of its own, in the mount namespace of a keeper
 * (../volumes/keeper.ts); the container gets a copy of the mount. Its monitor holds the keeper: what ends the container, or kills
 * any of them, leaves neither a mount nor a program.
 */
import { PodlingError } from '../../errors.js'
import { kernelFeatures } from '../../sys/kernel.js'
import { directoryFormat } from '../layer-format.js'
import { KeeperFailure } from '../volumes/keeper.js'
import type { RootMount, RootOptions } from './driver.js'
import type { DriverKind, DriverParts } from './kind.js'
import { LayeredDriver } from './layered-driver.js'
import type { WritableLayer, WritableLayers } from './writable-layers.js'

const program = 'fuse-overlayfs'
const missing = `it needs the program ${program}; install Debian's package ${program}`

export const fuseOverlayfsKind: DriverKind = {
  name: 'fuse-overlayfs',
  format: directoryFormat,
  merit: 'needs no overlay in the kernel; each container has a program that all of its file access goes through',
  obstacle(facts, findProgram) {
    if (findProgram(program) === undefined) return missing
    if (kernelFeatures(facts).fuse && facts.fuse) return undefined
    return 'the kernel must have FUSE, and /dev/fuse must be there and open to this user; load the module `fuse`, or as root: chmod 666 /dev/fuse'
  },
  open(parts) {
    return LayeredDriver.open(
      {
        name: 'fuse-overlayfs',
        // Beside the attribute `user.fuseoverlayfs.opaque`, where those of the class `trusted` can't be had.
        own: ['.wh..opq', '.wh..wh..opq'],
        mount: (writable, container, lower, options) => serve(parts, writable, container, lower, options),
      },
      parts.directory,
      parts.layers,
      parts.openUnpacker,
      parts.rights,
    )
  },
}

async function serve(
  { keepers, findProgram }: DriverParts,
  writable: WritableLayers,
  { upper, work }: WritableLayer,
  lower: readonly string[],
  { volatile, limited, idMaps }: RootOptions,
): Promise<RootMount> {
  if (idMaps !== undefined) {
    // Its own `uidmapping` maps what it reads, and not what it writes.
    throw new PodlingError(
      'DRIVER_UNSUPPORTED',
      `userns: ${program} can't show the files of an image with other ids; take a root with another storageDriver`,
    )
  }
  const found = findProgram(program)
  if (found === undefined) throw new PodlingError('DRIVER_UNSUPPORTED', `mount a root by ${program}: ${missing}`)
  const layers = [...lower, writable.skeleton].map(escaped).join(':')
  const options = [
    `lowerdir=${layers}`,
    `upperdir=${escaped(upper)}`,
    `workdir=${escaped(work)}`,
    'allow_other',
    'suid',
    'dev',
  ]
  if (volatile) options.push('volatile')
  // Its cache takes whatever is written, and the server finds out later.
  if (limited) options.push('writeback=0')
  const target = writable.root
  try {
    const server = { kind: 'root', program: [found, '-f', '-o', options.join(','), target] } as const
    const { socket, connection } = await keepers.hold(upper, target, server, new Uint8Array(0))
    return {
      operations: [
        { op: 'adopt', keeper: socket, target },
        { op: 'root-bind', source: target },
      ],
      held: [connection],
    }
  } catch (error) {
    if (!(error instanceof KeeperFailure)) throw error
    const why = [error.message.trim(), error.errno].filter((part) => part !== undefined && part !== '').join(': ')
    throw new PodlingError(
      'DRIVER_UNSUPPORTED',
      `mount a root by ${program}: ${why === '' ? 'it ended without a word' : why}`,
      { cause: error },
    )
  }
}

/** Commas part options, and colons layers. */
function escaped(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`)
}
