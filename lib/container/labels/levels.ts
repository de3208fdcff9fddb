/**
 * Which level of SELinux is whose. Levels are drawn by chance, and written down before anything is called by them, so that no
 * two living containers of a root have the same by chance, whichever processes make them.
 */
import type { Database, Table } from '../../storage/database.js'
import { randomLevel } from '../../security/selinux.js'

export class Levels {
  readonly #database: Database
  readonly #table: Table<string>

  constructor(database: Database) {
    this.#database = database
    this.#table = database.table('selinux-levels')
  }

  /** Draw a level for a container or pod; or note the one that was asked for, which is then drawn by nobody. */
  async allot(holder: string, asked?: string): Promise<string> {
    return this.#database.transaction(() => {
      const taken = new Set([...this.#table.entries()].map(([, level]) => level))
      let level = asked ?? randomLevel()
      while (asked === undefined && taken.has(level)) level = randomLevel()
      void this.#table.put(holder, level)
      return level
    })
  }

  /** 'Already gone' is success. */
  async free(holder: string): Promise<void> {
    if (this.#table.get(holder) !== undefined) await this.#table.remove(holder)
  }

  holders(): string[] {
    return [...this.#table.entries()].map(([holder]) => holder)
  }
}
