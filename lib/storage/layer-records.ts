/** What the database knows of layers: their records, and who holds which. What is put takes part in a transaction around it. */
import { PodlingError } from '../errors.js'
import type { Database, Table } from './database.js'
import type { LayerFile } from './layer-files.js'
import type { RootAttributes } from './layer-types.js'

/** What the database holds of a layer. */
export interface LayerRecord {
  readonly diffId: string
  readonly parent?: string
  /** Bytes of the tar, uncompressed. */
  readonly size: number
  readonly entries: number
  /** Owner and mode of the root as this layer and those below make it. @default root's, 0755 */
  readonly root?: RootAttributes
  /** What it is kept in, where that is not a tree. @default none */
  readonly files?: readonly LayerFile[]
  /** Milliseconds since the epoch. */
  readonly created: number
}

export class LayerRecords {
  /** In messages. */
  readonly #directory: string
  readonly #database: Database
  readonly #records: Table<LayerRecord>
  /** Who holds a layer: keys `<chain id> <holder>`. */
  readonly #references: Table<true>

  constructor(directory: string, database: Database) {
    this.#directory = directory
    this.#database = database
    this.#records = database.table('layers')
    this.#references = database.table('layer-references')
  }

  get(chainId: string): LayerRecord | undefined {
    return this.#records.get(chainId)
  }

  /** @throws PodlingError STATE_INVALID when the layer isn't there */
  known(chainId: string): LayerRecord {
    const record = this.#records.get(chainId)
    if (record === undefined) throw new PodlingError('STATE_INVALID', `layer ${chainId} is not in ${this.#directory}`)
    return record
  }

  /** The chain ids of all layers. */
  list(): string[] {
    return [...this.#records.entries()].map(([chainId]) => chainId)
  }

  /** A layer has become whole: it is known, and holds the one below it. @throws PodlingError STATE_INVALID when that is gone */
  add(chainId: string, record: LayerRecord, holder: string | undefined): Promise<void> {
    return this.#database.transaction(() => {
      // Held by its child, a parent can't go; it may have gone before.
      if (record.parent !== undefined) {
        this.known(record.parent)
        void this.#references.put(`${record.parent} layer:${chainId}`, true)
      }
      void this.#records.put(chainId, record)
      if (holder !== undefined) void this.#references.put(`${chainId} ${holder}`, true)
    })
  }

  setFiles(chainId: string, files: readonly LayerFile[]): Promise<void> {
    return this.#database.transaction(() => {
      const record = this.#records.get(chainId)
      if (record !== undefined && files.length > 0) void this.#records.put(chainId, { ...record, files })
    })
  }

  /** @throws PodlingError STATE_INVALID when the layer isn't there */
  reference(chainId: string, holder: string): Promise<void> {
    return this.#database.transaction(() => {
      this.known(chainId)
      void this.#references.put(`${chainId} ${holder}`, true)
    })
  }

  /** Hold a layer if it is there. @returns whether it is */
  async hold(chainId: string, holder: string | undefined): Promise<boolean> {
    if (this.#records.get(chainId) === undefined) return false
    if (holder === undefined) return true
    return this.#database.transaction(() => {
      // It may be gone since.
      if (this.#records.get(chainId) === undefined) return false
      void this.#references.put(`${chainId} ${holder}`, true)
      return true
    })
  }

  async letGo(chainId: string, holder: string): Promise<void> {
    await this.#references.remove(`${chainId} ${holder}`)
  }

  isHeld(chainId: string): boolean {
    return [...this.#references.entries(`${chainId} `)].length > 0
  }

  /** Who holds which layer. */
  references(): { readonly chainId: string; readonly holder: string }[] {
    return [...this.#references.entries()].map(([key]) => {
      const space = key.indexOf(' ')
      return { chainId: key.slice(0, space), holder: key.slice(space + 1) }
    })
  }

  /** From here on nobody can hold it. @returns undefined when somebody does, or it is gone */
  forget(chainId: string): Promise<LayerRecord | undefined> {
    return this.#database.transaction(() => {
      const record = this.#records.get(chainId)
      if (record === undefined || this.isHeld(chainId)) return undefined
      void this.#records.remove(chainId)
      if (record.parent !== undefined) void this.#references.remove(`${record.parent} layer:${chainId}`)
      return record
    })
  }
}
