/** What `fromHost()` made, remembered by key, so that making it again costs a look at the host and no copy. */
import type { KnownLayer } from '../image/from-host/store-host-image.js'
import type { ContentStore } from './content.js'
import type { Database, Table } from './database.js'

export class HostImageMemory {
  /** Key of a layer → its blob. */
  readonly layers: Table<KnownLayer>
  /** Key of an image → its id. */
  readonly #ids: Table<string>
  readonly #content: ContentStore

  constructor(parts: { readonly database: Database; readonly content: ContentStore }) {
    this.layers = parts.database.table('host-layers')
    this.#ids = parts.database.table('host-images')
    this.#content = parts.content
  }

  idOf(key: string): string | undefined {
    return this.#ids.get(key)
  }

  /**
   * Remember an image. Layers whose blobs went with their last image are forgotten at this chance; those that other
   * images have are still worth knowing.
   */
  async remember(key: string, id: string): Promise<void> {
    await this.#ids.put(key, id)
    for (const [layer, { digest }] of [...this.layers.entries()]) {
      if (!(await this.#content.has(digest))) await this.layers.remove(layer)
    }
  }

  /** Within a transaction: an image is gone. */
  forget(id: string): void {
    for (const [key, one] of [...this.#ids.entries()]) if (one === id) void this.#ids.remove(key)
  }
}
