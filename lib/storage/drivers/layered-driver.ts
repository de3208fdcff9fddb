/** The drivers that mount a container's own upper directory over the layers of its image. */
import { dirname } from 'node:path'
import type { OpenUnpacker } from '../layer-types.js'
import type { StorageRights } from '../rights.js'
import type {
  Changes,
  DriverLayers,
  DriverName,
  IdMaps,
  RootMount,
  RootOperation,
  RootOptions,
  StorageDriver,
} from './driver.js'
import { mappedLayer } from './mapped-layers.js'
import { mappedOwner } from './map-ids.js'
import { WritableLayers, type WritableLayer } from './writable-layers.js'

/** Without anything held, by the operations alone. */
type Stacked = readonly RootOperation[] | Promise<RootMount>

/** What differs between them. */
export interface Stacking {
  readonly name: DriverName
  /** As {@link Changes.own}. */
  readonly own?: readonly string[]
  /**
   * How the root of a container comes to stand at `writable.root`.
   * @param lower what `Layers.lower` tells, or the one copy of all that with other owners
   */
  mount(writable: WritableLayers, container: WritableLayer, lower: readonly string[], options: RootOptions): Stacked
}

const emptyRoot = { uid: 0, gid: 0, mode: 0o755 }

export class LayeredDriver implements StorageDriver {
  readonly name: DriverName
  readonly #stacking: Stacking
  readonly #layers: DriverLayers
  readonly #writable: WritableLayers
  readonly #openUnpacker: OpenUnpacker

  private constructor(stacking: Stacking, layers: DriverLayers, writable: WritableLayers, openUnpacker: OpenUnpacker) {
    this.#openUnpacker = openUnpacker
    this.name = stacking.name
    this.#stacking = stacking
    this.#layers = layers
    this.#writable = writable
  }

  /** Open the driver in `directory`, made when missing. Removals that were interrupted are finished. */
  static async open(
    stacking: Stacking,
    directory: string,
    layers: DriverLayers,
    openUnpacker: OpenUnpacker,
    rights: StorageRights,
  ): Promise<LayeredDriver> {
    return new LayeredDriver(stacking, layers, await WritableLayers.open(directory, openUnpacker, rights), openUnpacker)
  }

  async prepare(containerId: string, chainId: string | undefined, project?: number, owners?: IdMaps): Promise<void> {
    const root = chainId === undefined ? emptyRoot : this.#layers.root(chainId)
    await this.#writable.prepare(containerId, chainId, mappedOwner(root, owners), project)
  }

  async mount(containerId: string, options: RootOptions = {}): Promise<RootMount> {
    const container = this.#writable.get(containerId)
    const layers = container.chainId === undefined ? [] : this.#layers.lower(container.chainId)
    const lower =
      options.owners === undefined || layers.length === 0 ? layers : [await this.#mapped(layers, options.owners)]
    const stacked = this.#stacking.mount(this.#writable, container, lower, options)
    return 'then' in stacked ? stacked : { operations: stacked, held: [] }
  }

  #mapped(lower: readonly string[], owners: IdMaps): Promise<string> {
    const { skeleton, directory } = this.#writable
    return mappedLayer({ above: dirname(directory), lower, skeleton, owners, openUnpacker: this.#openUnpacker })
  }

  rootPath(): string {
    return this.#writable.root
  }

  async changes(containerId: string): Promise<Changes> {
    const changes = await this.#writable.changes(containerId)
    const { own } = this.#stacking
    return own === undefined ? changes : { ...changes, own }
  }

  list(): Promise<string[]> {
    return this.#writable.list()
  }

  remove(containerId: string): Promise<void> {
    return this.#writable.remove(containerId)
  }

  close(): Promise<void> {
    return this.#writable.close()
  }
}
