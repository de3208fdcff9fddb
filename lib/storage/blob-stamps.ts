/** The stamps of blobs as they were when they were verified, by digest. */
import type { Database, Table } from './database.js'
import { stampOf, type Stamp } from './stamp.js'

/** What a content store asks of them. */
export interface Stamps {
  matches(digest: string, path: string): boolean | undefined
  take(digest: string, stamp: Stamp): void
  save(digests: readonly string[]): Promise<void>
  keepOnly(digests: ReadonlySet<string>): Promise<void>
}

export class BlobStamps implements Stamps {
  readonly #database: Database
  readonly #table: Table<Stamp>
  /** Those that were read or taken by this process: to read one from the database costs more than to look at its file. */
  readonly #known = new Map<string, Stamp>()

  constructor(database: Database) {
    this.#database = database
    this.#table = database.table('blob-stamps')
  }

  /** Whether the blob at `path` is as it was; undefined when nobody knows. */
  matches(digest: string, path: string): boolean | undefined {
    const now = stampOf(path)
    if (now !== undefined && this.#known.get(digest) === now) return true
    // Another process may have verified it since, or brought it anew.
    const known = this.#table.get(digest) ?? this.#known.get(digest)
    if (known === undefined) return undefined
    this.#known.set(digest, known)
    return known === now
  }

  /** The blob was verified when it had this stamp. In memory, until it is saved. */
  take(digest: string, stamp: Stamp): void {
    this.#known.set(digest, stamp)
  }

  /** Write down those of these blobs that are known. Inside a transaction it takes part in that. */
  save(digests: readonly string[]): Promise<void> {
    return this.#database.transaction(() => {
      for (const digest of digests) {
        const stamp = this.#known.get(digest)
        if (stamp !== undefined && this.#table.get(digest) !== stamp) void this.#table.put(digest, stamp)
      }
    })
  }

  /** Forget all but those of these blobs. */
  async keepOnly(digests: ReadonlySet<string>): Promise<void> {
    for (const digest of this.#known.keys()) if (!digests.has(digest)) this.#known.delete(digest)
    const stale = [...this.#table.entries()].filter(([digest]) => !digests.has(digest))
    if (stale.length === 0) return
    await this.#database.transaction(() => {
      for (const [digest] of stale) void this.#table.remove(digest)
    })
  }
}
