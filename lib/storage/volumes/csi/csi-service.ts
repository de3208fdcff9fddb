import { PodlingError } from '../../../errors.js'
import { checkKnown } from '../../../schema/known-options.js'
import type { CsiPlugin, CsiPluginInfo } from './plugin.js'

/** A volume as it was at one time, kept by a CSI driver. Give its id to `volumes.create({ options: { snapshot } })`. */
export interface CsiSnapshot {
  readonly id: string
  /** Bytes that a volume made from it has at least; 0: unknown. */
  readonly size: number
  readonly createdAt: Date
  /** It can be used; otherwise the driver is still at it, and the same call tells again. */
  readonly ready: boolean
}

export interface CsiSnapshotOptions {
  /** The volume's name. */
  readonly volume: string
  /** Unique among the driver's snapshots. */
  readonly name: string
  /** For the driver. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** What a CSI driver does beside the volumes themselves; see {@link Volumes.csi}. */
export class CsiService {
  readonly #plugin: CsiPlugin
  readonly #volumeId: (name: string) => string

  /** @internal Use {@link Volumes.csi}. */
  constructor(plugin: CsiPlugin, volumeId: (name: string) => string) {
    this.#plugin = plugin
    this.#volumeId = volumeId
  }

  /** Its name and version, and what it can do. @throws PodlingError `VOLUME_FAILED` */
  async info(): Promise<CsiPluginInfo> {
    const { name, version, creates, capacity, snapshots } = await this.#plugin.abilities()
    return { name, version, creates, capacity, snapshots }
  }

  /**
   * Bytes that are free for new volumes.
   * @param parameters as `create` would give them
   * @throws PodlingError `DRIVER_UNSUPPORTED` when it can't tell, `VOLUME_FAILED`
   */
  async capacity(parameters: Readonly<Record<string, string>> = {}): Promise<number> {
    await this.#require('capacity', 'tells no capacity')
    const { availableCapacity = 0 } = (await this.#plugin.call('GetCapacity', { parameters })) as {
      availableCapacity?: number
    }
    return availableCapacity
  }

  /**
   * Keep a volume as it is now. The same name again gives the same snapshot.
   * @throws PodlingError `DRIVER_UNSUPPORTED`, `VOLUME_NOT_FOUND`, `VOLUME_FAILED`
   */
  async createSnapshot(options: CsiSnapshotOptions): Promise<CsiSnapshot> {
    checkKnown('create a snapshot', options, { volume: true, name: true, parameters: true })
    await this.#require('snapshots', 'makes no snapshots')
    const sourceVolumeId = this.#volumeId(options.volume)
    const { name, parameters = {} } = options
    const { snapshot = {} } = (await this.#plugin.call('CreateSnapshot', { sourceVolumeId, name, parameters })) as {
      snapshot?: {
        snapshotId?: string
        sizeBytes?: number
        creationTime?: { seconds?: number }
        readyToUse?: boolean
      }
    }
    const { snapshotId = '', sizeBytes = 0, creationTime = {}, readyToUse = false } = snapshot
    return {
      id: snapshotId,
      size: sizeBytes,
      createdAt: new Date((creationTime.seconds ?? 0) * 1000),
      ready: readyToUse,
    }
  }

  /** Remove a snapshot. One that is gone is no failure. @throws PodlingError `DRIVER_UNSUPPORTED`, `VOLUME_FAILED` */
  async deleteSnapshot(id: string): Promise<void> {
    await this.#require('snapshots', 'makes no snapshots')
    await this.#plugin.call('DeleteSnapshot', { snapshotId: id })
  }

  async #require(ability: 'capacity' | 'snapshots', lack: string): Promise<void> {
    const abilities = await this.#plugin.abilities()
    if (abilities[ability]) return
    throw new PodlingError('DRIVER_UNSUPPORTED', `CSI driver ${abilities.name} at ${this.#plugin.socket} ${lack}`)
  }
}
