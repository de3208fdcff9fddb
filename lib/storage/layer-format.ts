/** How layers are kept, each below a directory of its own. A storage driver says which format it works with. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { indexTar } from './erofs/index-tar.js'
import { describeFile, type LayerFile } from './layer-files.js'
import type { OpenUnpacker, RootAttributes } from './layer-types.js'
import type { StorageRights } from './rights.js'
import type { UnpackTarget } from './unpack-flags.js'

export interface LayerFormat {
  readonly name: 'directory' | 'erofs'
  /** Get ready to take a layer into a new, empty directory. */
  begin(directory: string, openUnpacker: OpenUnpacker): Promise<UnpackTarget>
  /** Give the root of a layer the owner and mode that it has by those below, since it says nothing of them itself. */
  setRoot(directory: string, root: RootAttributes, rights: StorageRights): void | Promise<void>
  /** What `Layers.lower` tells of a layer. */
  place(directory: string): string
  /** The files that a layer has become, where it is not a tree of them. */
  describe(directory: string, tar: { readonly digest: string; readonly size: number }): Promise<readonly LayerFile[]>
  /** Make a layer with nothing in it, to try a driver with. */
  makeEmpty(directory: string): Promise<void>
}

/** `diff/` is a directory as overlay takes it: whiteouts are devices 0:0, opaque directories have its attribute. */
export const directoryFormat: LayerFormat = {
  name: 'directory',
  async begin(directory, openUnpacker) {
    const diff = join(directory, 'diff')
    mkdirSync(diff, { mode: 0o755 })
    return { to: 'unpacker', ...(await openUnpacker(diff)) }
  },
  setRoot: (directory, root, rights) => rights.give(join(directory, 'diff'), root),
  place: (directory) => join(directory, 'diff'),
  describe: () => Promise.resolve([]),
  makeEmpty(directory) {
    mkdirSync(join(directory, 'diff'), { mode: 0o755 })
    return Promise.resolve()
  },
}

/** The files of a layer of the format `erofs`, below what `Layers.lower` tells. */
export const erofsFiles = { tar: 'layer.tar', index: 'layer.erofs' } as const

/** `layer.tar` is the layer as it came, uncompressed, `layer.erofs` an index over it that the kernel mounts. */
export const erofsFormat: LayerFormat = {
  name: 'erofs',
  begin: (directory) => Promise.resolve({ to: 'tar', ...filesIn(directory) }),
  // What an overlay's root shows is its topmost directory, and that is the container's own.
  setRoot: () => undefined,
  place: (directory) => directory,
  describe: (directory, tar) =>
    Promise.all([describeFile(directory, erofsFiles.tar, tar), describeFile(directory, erofsFiles.index)]),
  async makeEmpty(directory) {
    await indexTar(filesIn(directory), (_sink, write) => {
      write(Buffer.alloc(1024))
      return Promise.resolve()
    })
  },
}

function filesIn(directory: string): { tar: string; index: string } {
  return { tar: join(directory, erofsFiles.tar), index: join(directory, erofsFiles.index) }
}
