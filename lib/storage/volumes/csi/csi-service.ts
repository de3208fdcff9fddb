import { PodlingError } from '../../../errors.js'
import { checkKnown } from '../../../schema/known-options.js'
import { formatFaults } from '../../../schema/faults.js'
import { parseSize, sizeWords } from '../../../schema/quantities.js'
import type { DriverVolume } from '../driver.js'
import type { CsiDriver } from './csi-driver.js'
import { parseCsiOptions } from './csi-options.js'
import { csiSecretFaults, type CsiSecret, type CsiSecrets } from './csi-secrets.js'
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
  /** For the driver, not kept. @default none */
  readonly secrets?: CsiSecret
}

export interface CsiExpandOptions {
  /** The volume's name. */
  readonly volume: string
  /** Bytes, or a size such as `'20g'`, that it is to have at least. */
  readonly capacity: number | string
}

/** What is known of the volumes of all drivers. */
export interface CsiVolumes {
  /** @param unfinished also one that is half made or half removed @throws PodlingError `VOLUME_NOT_FOUND` */
  find(name: string, unfinished?: boolean): DriverVolume
  /** Go on with what is half made or half removed, and nobody is at. */
  sweep(): Promise<void>
}

/** What a CSI driver does beside the volumes themselves; see {@link Volumes.csi}. */
export class CsiService {
  readonly #plugin: CsiPlugin
  readonly #driver: CsiDriver
  readonly #volumes: CsiVolumes

  /** @internal Use {@link Volumes.csi}. */
  constructor(plugin: CsiPlugin, driver: CsiDriver, volumes: CsiVolumes) {
    this.#plugin = plugin
    this.#driver = driver
    this.#volumes = volumes
  }

  /** Its name and version, and what it can do. @throws PodlingError `VOLUME_FAILED` */
  async info(): Promise<CsiPluginInfo> {
    const { name, version, creates, capacity, snapshots, expands } = await this.#plugin.abilities()
    return { name, version, creates, capacity, snapshots, expands }
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
    checkKnown('create a snapshot', options, { volume: true, name: true, parameters: true, secrets: true })
    await this.#require('snapshots', 'makes no snapshots')
    const sourceVolumeId = this.#driver.idOf(this.#find(options.volume))
    const { name, parameters = {}, secrets } = options
    const { snapshot = {} } = (await this.#plugin.call('CreateSnapshot', {
      sourceVolumeId,
      name,
      secrets,
      parameters,
    })) as {
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

  /**
   * Remove a snapshot. One that is gone is no failure.
   * @param secrets for the driver, not kept
   * @throws PodlingError `DRIVER_UNSUPPORTED`, `VOLUME_FAILED`
   */
  async deleteSnapshot(id: string, secrets: CsiSecret = {}): Promise<void> {
    await this.#require('snapshots', 'makes no snapshots')
    await this.#plugin.call('DeleteSnapshot', { snapshotId: id, secrets })
  }

  /**
   * Make a volume larger, in use or not. The part of it that the driver wants done on the node is done at once where a
   * container runs with the volume, else when one starts.
   * @returns bytes that it has then
   * @throws PodlingError `INVALID_OPTION`, `DRIVER_UNSUPPORTED`, `VOLUME_NOT_FOUND`, `VOLUME_LOCKED`, `VOLUME_FAILED`,
   * `VOLUME_IN_USE` where the driver does so only while no container runs with it, `DISK_FULL`
   */
  async expand(options: CsiExpandOptions): Promise<number> {
    checkKnown('expand a volume', options, { volume: true, capacity: true })
    const capacity = parseSize(options.capacity)
    if (!capacity) {
      const fault = { path: 'capacity', message: `must be ${sizeWords}` }
      throw new PodlingError('INVALID_OPTION', formatFaults('expand a volume', [fault]))
    }
    return this.#driver.expand(this.#find(options.volume), capacity)
  }

  /**
   * Give the secrets of a volume that was made with some, in the next process: they are never written to the disk. What could
   * not be given back or removed without them is then. {@link Volumes.lock} forgets them.
   * @throws PodlingError `VOLUME_NOT_FOUND`, `INVALID_OPTION` when some are missing, `VOLUME_FAILED`
   */
  async unlock(volume: string, secrets: CsiSecrets): Promise<void> {
    const faults = csiSecretFaults(secrets, 'secrets')
    if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults(`unlock volume ${volume}`, faults))
    await this.#driver.unlock(this.#find(volume, true), secrets)
    await this.#volumes.sweep()
  }

  #find(name: string, unfinished = false): DriverVolume {
    const volume = this.#volumes.find(name, unfinished)
    const { endpoint } = parseCsiOptions(name, volume.options)
    if (endpoint === this.#plugin.socket) return volume
    throw new PodlingError(
      'INVALID_OPTION',
      `volume ${name} is one of the CSI driver at ${endpoint}, not at ${this.#plugin.socket}`,
    )
  }

  async #require(ability: 'capacity' | 'snapshots', lack: string): Promise<void> {
    const abilities = await this.#plugin.abilities()
    if (abilities[ability]) return
    throw new PodlingError('DRIVER_UNSUPPORTED', `CSI driver ${abilities.name} at ${this.#plugin.socket} ${lack}`)
  }
}
