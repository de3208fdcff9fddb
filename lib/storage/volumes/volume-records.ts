/** The records of volumes and of who uses them. What is put takes part in the transaction that it is put in. */
import type { Database, Table } from '../database.js'
import { plainVolume, type VolumeRecord } from './volume.js'

/** A volume that a container asks for. */
export interface VolumeClaim {
  readonly name: string
  readonly anonymous: boolean
}

export class VolumeRecords {
  readonly #volumes: Table<VolumeRecord>
  /** `volume/container`: a name has no slash. */
  readonly #users: Table<true>

  constructor(database: Database) {
    this.#volumes = database.table('volumes')
    this.#users = database.table('volume-users')
  }

  get(name: string): VolumeRecord | undefined {
    return this.#volumes.get(name)
  }

  all(): VolumeRecord[] {
    return [...this.#volumes.entries()].map(([, record]) => record)
  }

  /** Ids of containers. */
  users(name: string): string[] {
    return [...this.#users.entries(`${name}/`)].map(([key]) => key.slice(name.length + 1))
  }

  put(record: VolumeRecord): void {
    void this.#volumes.put(record.name, record)
  }

  remove(name: string): void {
    void this.#volumes.remove(name)
  }

  /** @param gone the error for a volume that is not whole */
  claim(container: string, claims: readonly VolumeClaim[], gone: (name: string) => Error): void {
    for (const { name, anonymous } of claims) {
      const record = this.get(name)
      if (record?.state !== undefined) throw gone(name)
      if (record === undefined) this.put(plainVolume(name, anonymous))
      void this.#users.put(`${name}/${container}`, true)
    }
  }

  /** @returns the anonymous ones that nobody uses any more, marked as going away, where `own` is set */
  release(container: string, claims: readonly VolumeClaim[], own: boolean): VolumeRecord[] {
    return claims.flatMap(({ name, anonymous }) => {
      void this.#users.remove(`${name}/${container}`)
      const record = this.get(name)
      // A container that could not be made has no records, but may have a directory of that random name.
      if (record === undefined) return anonymous ? [plainVolume(name, anonymous)] : []
      if (!own || !record.anonymous || this.users(name).length > 0) return []
      const removing: VolumeRecord = { ...record, state: 'removing' }
      this.put(removing)
      return [removing]
    })
  }
}
