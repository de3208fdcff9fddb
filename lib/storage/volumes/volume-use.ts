/** What containers do with volumes, from their making to their end. */
import { settleAll } from '../../teardown.js'
import type { VolumeMount } from './driver.js'
import { goesAway } from './volume-errors.js'
import { volumeEvent } from './volume-event.js'
import type { VolumeClaim } from './volume-records.js'
import type { VolumeState } from './volume-state.js'
import type { VolumeRecord } from './volume.js'

/** What a container gets of a volume at its start. */
export interface MountedVolume extends VolumeMount {
  /** The volume's own directory, which no container can reach. */
  readonly directory: string
  /** It has had its first use. */
  readonly filled: boolean
}

export class VolumeUse {
  readonly #state: VolumeState

  constructor(state: VolumeState) {
    this.#state = state
  }

  /**
   * Make the volumes of a container that is about to be made; what isn't there is made with it. They become its own by
   * {@link claim}, in the transaction that writes the container's record.
   * @returns what ends the making, to be called when that transaction has settled
   */
  async prepare(claims: readonly VolumeClaim[]): Promise<() => void> {
    const { records, files, tell } = this.#state
    const leave = await this.#state.lock.enter()
    try {
      for (const { name } of claims) {
        const record = records.get(name)
        if (record?.state !== undefined) throw goesAway(name)
        if (record !== undefined) continue
        files.make(name)
        await this.#state.driver({ name, driver: 'local' }).create(this.#state.handle({ name }))
        tell(volumeEvent({ name }, 'create'))
      }
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  /** Within a transaction. @throws PodlingError `VOLUME_NOT_FOUND` for one that is being removed */
  claim(container: string, claims: readonly VolumeClaim[]): void {
    this.#state.records.claim(container, claims, goesAway)
  }

  /**
   * Within a transaction: the container doesn't use them any more.
   * @param own remove its anonymous ones
   * @returns the volumes that are to be removed by {@link finish}
   */
  release(container: string, claims: readonly VolumeClaim[], own: boolean): VolumeRecord[] {
    return this.#state.records.release(container, claims, own)
  }

  /** Remove what {@link release} gave. */
  async finish(records: readonly VolumeRecord[]): Promise<void> {
    if (records.length === 0) return
    const leave = await this.#state.lock.enter()
    try {
      await settleAll(
        'remove the volumes of a container',
        records.map((record) => this.#state.finishRemoval(record)),
      )
    } finally {
      leave()
    }
  }

  /** A container is about to start with it. The record may still be on its way to the disk. */
  async mount(name: string, container: string): Promise<MountedVolume> {
    const record = this.#state.records.get(name)
    const handle = this.#state.handle(record ?? { name })
    const driver = this.#state.driver(record ?? { name, driver: 'local' })
    // What a container brings along is made with it, and its record may not be there yet.
    this.#state.files.make(name)
    // Noted first, so that whatever ends this process, it is taken back.
    if (driver.unmount !== undefined) await this.#state.records.noteMount(name, container)
    const mount = await driver.mount(handle, { container })
    return { ...mount, directory: handle.directory, filled: record?.filled === true && mount.fresh !== true }
  }

  /**
   * The container has ended, or did not start: give back what its drivers did on the host for it.
   * @throws PodlingError whatever a driver can't do; it stays noted
   */
  async unmount(container: string, names: readonly string[]): Promise<void> {
    const { records } = this.#state
    const noted = names.filter((name) => records.isMounted(name, container))
    await settleAll(
      `unmount the volumes of container ${container.slice(0, 12)}`,
      noted.map(async (name) => {
        const record = records.get(name)
        if (record !== undefined) await this.#state.driver(record).unmount?.(this.#state.handle(record), { container })
        await records.forgetMount(name, container)
      }),
    )
  }

  /** The ids of containers that drivers have mounted something for, with the volumes. */
  mounted(): Map<string, string[]> {
    return this.#state.records.mounted()
  }

  /** Containers have started with these: they don't begin again with what an image has. */
  async markFilled(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const { database, records } = this.#state
    await database.transaction(() => {
      for (const name of names) {
        const record = records.get(name)
        if (record !== undefined && !record.filled) records.put({ ...record, filled: true })
      }
    })
  }

  /** Whether there is a limit on what it holds. */
  hasQuota(name: string): boolean {
    return this.#state.quotas.has(name)
  }

  /** What takes room on the disk for an encrypted volume, a directory or a file. */
  encryptedStore(name: string): string {
    return this.#state.encrypted.store(this.#state.handle(this.#state.records.get(name) ?? { name }))
  }

  /** Where the data of a volume is, or would be. */
  dataPath(name: string): string {
    const record = this.#state.records.get(name)
    const handle = this.#state.handle(record ?? { name })
    return this.#state.knownDriver(record ?? { driver: 'local' })?.path?.(handle) ?? `${handle.directory}/_data`
  }
}
