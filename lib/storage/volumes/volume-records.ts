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

  /** `volume/container`: its driver has done something on the host for the container, and has not taken it back. */
  readonly #mounts: Table<true>

  constructor(database: Database) {
    this.#mounts = database.table('volume-mounts')
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

  async noteMount(name: string, container: string): Promise<void> {
    const key = `${name}/${container}`
    if (this.#mounts.get(key) === undefined) await this.#mounts.put(key, true)
  }

  isMounted(name: string, container: string): boolean {
    return this.#mounts.get(`${name}/${container}`) !== undefined
  }

  async forgetMount(name: string, container: string): Promise<void> {
    await this.#mounts.remove(`${name}/${container}`)
  }

  /** Volumes by the ids of containers. */
  mounted(): Map<string, string[]> {
    const found = new Map<string, string[]>()
    for (const [key] of this.#mounts.entries()) {
      const [volume = '', container = ''] = key.split('/')
      found.set(container, [...(found.get(container) ?? []), volume])
    }
    return found
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
