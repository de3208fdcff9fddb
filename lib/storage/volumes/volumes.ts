/** The volumes of a root: named ones, and those that belong to one container. */
import { mkdirSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { checkKnown } from '../../schema/known-options.js'
import { afterUndo, settleAll } from '../../teardown.js'
import { fileError } from '../file-error.js'
import { CsiService } from './csi/csi-service.js'
import { VolumeKeys, type EncryptionKey } from './keys.js'
import { alreadyThere, inUse } from './volume-errors.js'
import { volumeEvent } from './volume-event.js'
import { matchesFilter } from './volume-filter.js'
import {
  parseVolumeOptions,
  type RemoveVolumeOptions,
  type VolumeFilter,
  type VolumeOptions,
} from './volume-options.js'
import { VolumeState, type VolumesSetup } from './volume-state.js'
import { VolumeUse } from './volume-use.js'
import type { Volume, VolumeRecord } from './volume.js'

/** What volumes know of containers. */
export interface VolumeUsers {
  /** Remove a container, running or not. One that is gone already is no failure. */
  remove(id: string): Promise<void>
}

/** The volumes of a root. */
export class Volumes {
  readonly #state: VolumeState
  #users: VolumeUsers | undefined
  /** @internal For containers. */
  readonly use: VolumeUse

  private constructor(state: VolumeState) {
    this.#state = state
    this.use = new VolumeUse(state)
  }

  /** @internal Use {@link Runtime.volumes}. Finishes what a crash left half done. */
  static async open(setup: VolumesSetup): Promise<Volumes> {
    try {
      mkdirSync(setup.directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, `make the directory ${setup.directory}`)
    }
    const state = new VolumeState(setup)
    await setup.keepers.sweep()
    // What can't be taken away now is tried again by the next open, and by the volume's next use.
    await state.encrypted.sweep().catch(() => undefined)
    await state.sweep()
    return new Volumes(state)
  }

  /** @internal Containers come after volumes; the runtime makes them known here. */
  useContainers(users: VolumeUsers): void {
    this.#users = users
  }

  /**
   * Make a volume. One that a container names and that isn't there is made for it; this is for those with options.
   * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `VOLUME_EXISTS`, `VOLUME_DRIVER_NOT_FOUND`, and
   * whatever its driver can't do; nothing is left then
   */
  async create(options: VolumeOptions = {}): Promise<Volume> {
    const { encryptionKey, secrets, ...parsed } = parseVolumeOptions(options, [...this.#state.drivers.keys()])
    const encrypted = encryptionKey !== undefined
    const leave = await this.#state.lock.enter()
    try {
      const record: VolumeRecord = {
        ...parsed,
        anonymous: false,
        encrypted,
        createdAt: Date.now(),
        state: 'making',
      }
      await this.#state.database.transaction(() => {
        if (this.#state.records.get(record.name) !== undefined) throw alreadyThere(record.name)
        this.#state.records.put(record)
      })
      try {
        this.#state.files.make(record.name)
        if (encrypted) this.#state.keys.put(record.name, encryptionKey)
        if (secrets !== undefined) this.#state.csi.secrets.put(record.name, secrets)
        await this.#state.driver(record).create(this.#state.handle(record))
        const { state: _, ...whole } = record
        await this.#state.database.transaction(() => {
          this.#state.records.put(whole)
        })
        this.#state.tell(volumeEvent(whole, 'create'))
        return this.#volume(whole)
      } catch (error) {
        this.#state.keys.forget(record.name)
        throw await afterUndo(fileError(error, `create volume ${record.name}`), () => this.#state.finishRemoval(record))
      }
    } finally {
      leave()
    }
  }

  /**
   * Give the key of an encrypted volume, for the containers that this process starts with it.
   * @throws PodlingError `VOLUME_NOT_FOUND`, `VOLUME_KEY_WRONG`, `INVALID_OPTION` when it isn't encrypted
   */
  async unlock(name: string, key: EncryptionKey): Promise<void> {
    const record = this.#state.find(name)
    if (!record.encrypted) throw new PodlingError('INVALID_OPTION', `unlock volume ${name}: it is not encrypted`)
    const leave = await this.#state.lock.enter()
    const tried = new VolumeKeys()
    try {
      tried.put(name, key)
      await this.#state.encrypted.check(this.#state.handle(record), tried)
      this.#state.keys.put(name, key)
    } finally {
      tried.clear()
      leave()
    }
  }

  /**
   * Forget the key of an encrypted volume, or the secrets of one of a CSI driver. Containers that use it go on.
   * @throws PodlingError `VOLUME_NOT_FOUND`
   */
  async lock(name: string): Promise<void> {
    const { name: known } = await this.get(name)
    this.#state.keys.forget(known)
    this.#state.csi.secrets.forget(known)
  }

  /**
   * The driver of the Container Storage Interface that listens at a socket: what it can do, its capacity, its snapshots. Its
   * volumes are made by `create({ driver: 'csi', options: { endpoint, capacity: '1g', 'parameter.NAME': ... } })`.
   */
  csi(endpoint: string): CsiService {
    const socket = endpoint.replace(/^unix:(\/\/)?/, '')
    return new CsiService(this.#state.csi.plugin(socket), this.#state.csi, {
      find: (name, unfinished = false) => {
        const half = unfinished
          ? this.#state.records.all().find((one) => one.name === name && one.state !== undefined)
          : undefined
        const record = half ?? this.#state.find(name)
        if (record.driver === 'csi') return this.#state.handle(record)
        throw new PodlingError('INVALID_OPTION', `volume ${name} is not one of a CSI driver`)
      },
      sweep: () => this.#state.sweep(),
    })
  }

  /** @internal The runtime is closed: no key and no secret stays in memory, no connection open. */
  close(): void {
    this.#state.keys.clear()
    this.#state.csi.close()
  }

  /** One volume by its name. @throws PodlingError `VOLUME_NOT_FOUND` */
  get(name: string): Promise<Volume> {
    return attempt(() => this.#volume(this.#state.find(name)))
  }

  /** The volumes that fit, oldest first. @throws PodlingError `INVALID_OPTION` */
  list(filter: VolumeFilter = {}): Promise<Volume[]> {
    return attempt(() => {
      checkKnown('volumes.list', filter, { name: true, driver: true, label: true, dangling: true, anonymous: true })
      return this.#state.records
        .all()
        .filter((record) => record.state === undefined)
        .sort((a, b) => a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1))
        .map((record) => this.#volume(record))
        .filter((volume) => matchesFilter(volume, filter))
    })
  }

  /**
   * Remove a volume and what is in it.
   * @throws PodlingError `VOLUME_NOT_FOUND`, `VOLUME_IN_USE` while a container uses it, unless `force` removes these first
   */
  async remove(name: string, options: RemoveVolumeOptions = {}): Promise<void> {
    checkKnown('remove a volume', options, { force: true })
    this.#state.find(name)
    if (options.force) await this.#removeUsers(name)
    const leave = await this.#state.lock.enter()
    try {
      const record = await this.#state.database.transaction(() => {
        const found = this.#state.find(name)
        const users = this.#state.records.users(name)
        if (users.length > 0) throw inUse(name, users)
        const removing: VolumeRecord = { ...found, state: 'removing' }
        this.#state.records.put(removing)
        return removing
      })
      await this.#state.finishRemoval(record)
    } finally {
      leave()
    }
  }

  async #removeUsers(name: string): Promise<void> {
    const users = this.#users
    if (users === undefined) throw new RangeError('volumes know no containers')
    await settleAll(
      `remove the containers that use volume ${name}`,
      this.#state.records.users(name).map((id) => users.remove(id)),
    )
  }

  #volume(record: VolumeRecord): Volume {
    const { name, driver, labels, options, anonymous, encrypted, encryption = 'gocryptfs', createdAt } = record
    const path = this.#state.knownDriver(record)?.path?.(this.#state.handle(record))
    return {
      name,
      driver,
      labels,
      options,
      anonymous,
      encrypted,
      ...(encrypted ? { encryption } : {}),
      ...(path === undefined ? {} : { path }),
      containers: this.#state.records.users(name),
      createdAt: new Date(createdAt),
    }
  }
}

/** Synchronous work as a promise. */
function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work())
  })
}
