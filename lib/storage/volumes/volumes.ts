/** The volumes of a root: named ones, and those that belong to one container. */
import { mkdirSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import type { TellEvent } from '../../event/event.js'
import { checkKnown } from '../../schema/known-options.js'
import { afterUndo, settleAll } from '../../teardown.js'
import type { Database } from '../database.js'
import { fileError } from '../file-error.js'
import { ImageLock } from '../image-lock.js'
import type { OpenUnpacker } from '../layer-types.js'
import { EncryptedDriver, type FindProgram } from './encrypted.js'
import type { Quotas } from '../quotas/quotas.js'
import type { Keepers } from './keeper.js'
import type { StorageRights } from '../rights.js'
import { VolumeKeys, type EncryptionKey } from './keys.js'
import { LocalDriver } from './local.js'
import { CsiDriver } from './csi/csi-driver.js'
import { CsiService } from './csi/csi-service.js'
import type { DriverVolume, VolumeDriver, VolumeMount } from './driver.js'
import { volumeName, type Volume, type VolumeRecord } from './volume.js'
import { volumeEvent } from './volume-event.js'
import { alreadyThere, goesAway, inUse, notFound } from './volume-errors.js'
import { matchesFilter } from './volume-filter.js'
import { VolumeFiles } from './volume-files.js'
import {
  parseVolumeOptions,
  unknownDriver,
  type RemoveVolumeOptions,
  type VolumeFilter,
  type VolumeOptions,
} from './volume-options.js'
import { VolumeRecords, type VolumeClaim } from './volume-records.js'

export interface VolumesSetup {
  readonly database: Database
  /** Where the volumes are; made when missing. */
  readonly directory: string
  /** A file by which those who make or remove a volume keep away those who clean up after the dead. */
  readonly lockFile: string
  readonly openUnpacker: OpenUnpacker
  readonly drivers: Readonly<Record<string, VolumeDriver>>
  readonly keepers: Keepers
  readonly rights: StorageRights
  /** What SELinux is to call what is in a volume, for all containers to use it. @default nothing of its own */
  readonly label?: string
  /** Holders are the volumes' names. */
  readonly quotas: Quotas
  readonly findProgram: FindProgram
  readonly tell: TellEvent
}

/** What volumes know of containers. */
export interface VolumeUsers {
  /** Remove a container, running or not. One that is gone already is no failure. */
  remove(id: string): Promise<void>
}

/** What a container gets of a volume at its start. */
export interface MountedVolume extends VolumeMount {
  /** The volume's own directory, which no container can reach. */
  readonly directory: string
  /** It has had its first use. */
  readonly filled: boolean
}

/** The volumes of a root. */
export class Volumes {
  readonly #database: Database
  readonly #records: VolumeRecords
  readonly #files: VolumeFiles
  readonly #lock: ImageLock
  readonly #drivers: ReadonlyMap<string, VolumeDriver>
  readonly #keys = new VolumeKeys()
  readonly #encrypted: EncryptedDriver
  readonly #csi = new CsiDriver()
  readonly #tell: TellEvent
  readonly #quotas: Quotas
  #users: VolumeUsers | undefined

  private constructor(setup: VolumesSetup) {
    this.#database = setup.database
    this.#tell = setup.tell
    this.#records = new VolumeRecords(setup.database)
    this.#files = new VolumeFiles(setup.directory, setup.openUnpacker)
    this.#lock = new ImageLock(setup.lockFile)
    this.#quotas = setup.quotas
    const local = new LocalDriver(setup.keepers, setup.quotas, setup.rights, setup.label)
    this.#drivers = new Map(Object.entries({ ...setup.drivers, csi: this.#csi, local }))
    this.#encrypted = new EncryptedDriver(setup.keepers, this.#keys, setup.findProgram)
  }

  /** @internal Use {@link Runtime.volumes}. Finishes what a crash left half done. */
  static async open(setup: VolumesSetup): Promise<Volumes> {
    try {
      mkdirSync(setup.directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, `make the directory ${setup.directory}`)
    }
    const volumes = new Volumes(setup)
    await setup.keepers.sweep()
    await volumes.#sweep()
    return volumes
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
    const { encryptionKey, secrets, ...parsed } = parseVolumeOptions(options, [...this.#drivers.keys()])
    const encrypted = encryptionKey !== undefined
    const leave = await this.#lock.enter()
    try {
      const record: VolumeRecord = {
        ...parsed,
        anonymous: false,
        encrypted,
        createdAt: Date.now(),
        state: 'making',
      }
      await this.#database.transaction(() => {
        if (this.#records.get(record.name) !== undefined) throw alreadyThere(record.name)
        this.#records.put(record)
      })
      try {
        this.#files.make(record.name)
        if (encrypted) this.#keys.put(record.name, encryptionKey)
        if (secrets !== undefined) this.#csi.secrets.put(record.name, secrets)
        await this.#driver(record).create(this.#handle(record))
        const { state: _, ...whole } = record
        await this.#database.transaction(() => {
          this.#records.put(whole)
        })
        this.#tell(volumeEvent(whole, 'create'))
        return this.#volume(whole)
      } catch (error) {
        this.#keys.forget(record.name)
        throw await afterUndo(fileError(error, `create volume ${record.name}`), () => this.#finishRemoval(record))
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
    const record = this.#find(name)
    if (!record.encrypted) throw new PodlingError('INVALID_OPTION', `unlock volume ${name}: it is not encrypted`)
    const leave = await this.#lock.enter()
    const tried = new VolumeKeys()
    try {
      tried.put(name, key)
      await this.#encrypted.check(this.#handle(record), tried)
      this.#keys.put(name, key)
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
    this.#keys.forget(known)
    this.#csi.secrets.forget(known)
  }

  /**
   * The driver of the Container Storage Interface that listens at a socket: what it can do, its capacity, its snapshots. Its
   * volumes are made by `create({ driver: 'csi', options: { endpoint, capacity: '1g', 'parameter.NAME': ... } })`.
   */
  csi(endpoint: string): CsiService {
    const socket = endpoint.replace(/^unix:(\/\/)?/, '')
    return new CsiService(this.#csi.plugin(socket), this.#csi, {
      find: (name, unfinished = false) => {
        const half = unfinished
          ? this.#records.all().find((one) => one.name === name && one.state !== undefined)
          : undefined
        const record = half ?? this.#find(name)
        if (record.driver === 'csi') return this.#handle(record)
        throw new PodlingError('INVALID_OPTION', `volume ${name} is not one of a CSI driver`)
      },
      sweep: () => this.#sweep(),
    })
  }

  /** @internal The runtime is closed: no key and no secret stays in memory, no connection open. */
  close(): void {
    this.#keys.clear()
    this.#csi.close()
  }

  /** One volume by its name. @throws PodlingError `VOLUME_NOT_FOUND` */
  get(name: string): Promise<Volume> {
    return attempt(() => this.#volume(this.#find(name)))
  }

  /** The volumes that fit, oldest first. @throws PodlingError `INVALID_OPTION` */
  list(filter: VolumeFilter = {}): Promise<Volume[]> {
    return attempt(() => {
      checkKnown('volumes.list', filter, { name: true, driver: true, label: true, dangling: true, anonymous: true })
      return this.#records
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
    this.#find(name)
    if (options.force) await this.#removeUsers(name)
    const leave = await this.#lock.enter()
    try {
      const record = await this.#database.transaction(() => {
        const found = this.#find(name)
        const users = this.#records.users(name)
        if (users.length > 0) throw inUse(name, users)
        const removing: VolumeRecord = { ...found, state: 'removing' }
        this.#records.put(removing)
        return removing
      })
      await this.#finishRemoval(record)
    } finally {
      leave()
    }
  }

  async #removeUsers(name: string): Promise<void> {
    const users = this.#users
    if (users === undefined) throw new RangeError('volumes know no containers')
    await settleAll(
      `remove the containers that use volume ${name}`,
      this.#records.users(name).map((id) => users.remove(id)),
    )
  }

  /** The data, then the record: whatever interrupts it leaves a record by which the next open goes on. */
  async #finishRemoval(record: VolumeRecord): Promise<void> {
    await this.#known(record)?.remove(this.#handle(record))
    this.#keys.forget(record.name)
    this.#csi.secrets.forget(record.name)
    await this.#files.remove([record.name])
    await this.#quotas.free(record.name)
    await this.#database.transaction(() => {
      this.#records.remove(record.name)
    })
    if (record.state !== 'making') this.#tell(volumeEvent(record, 'remove'))
  }

  /** Nobody makes or removes volumes now: what is half done is nobody's, and what has no record is a leftover. */
  async #sweep(): Promise<void> {
    const leave = this.#lock.tryAlone()
    if (leave === undefined) return
    try {
      const unfinished = this.#records.all().filter((record) => record.state !== undefined)
      // What its driver can't do now, the next open tries again; the root is to be opened all the same.
      for (const record of unfinished) await this.#finishRemoval(record).catch(() => undefined)
      const isKnown = (name: string): boolean => this.#records.get(name) !== undefined
      await this.#files.sweep(isKnown)
      for (const name of this.#quotas.holders()) if (!isKnown(name)) await this.#quotas.free(name)
    } finally {
      leave()
    }
  }

  /**
   * @internal Make the volumes of a container that is about to be made; what isn't there is made with it. They become
   * its own by {@link claim}, in the transaction that writes the container's record.
   * @returns what ends the making, to be called when that transaction has settled
   */
  async prepare(claims: readonly VolumeClaim[]): Promise<() => void> {
    const leave = await this.#lock.enter()
    try {
      for (const { name, anonymous } of claims) {
        const record = this.#records.get(name)
        if (record?.state !== undefined) throw goesAway(name)
        if (record !== undefined) continue
        this.#files.make(name)
        await this.#driver({ name, driver: 'local' }).create(this.#handle({ name, anonymous }))
        this.#tell(volumeEvent({ name }, 'create'))
      }
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  /** @internal Within a transaction. @throws PodlingError `VOLUME_NOT_FOUND` for one that is being removed */
  claim(container: string, claims: readonly VolumeClaim[]): void {
    this.#records.claim(container, claims, goesAway)
  }

  /**
   * @internal Within a transaction: the container doesn't use them any more.
   * @param own remove its anonymous ones
   * @returns the volumes that are to be removed by {@link finish}
   */
  release(container: string, claims: readonly VolumeClaim[], own: boolean): VolumeRecord[] {
    return this.#records.release(container, claims, own)
  }

  /** @internal Remove what {@link release} gave. */
  async finish(records: readonly VolumeRecord[]): Promise<void> {
    if (records.length === 0) return
    const leave = await this.#lock.enter()
    try {
      await settleAll(
        'remove the volumes of a container',
        records.map((record) => this.#finishRemoval(record)),
      )
    } finally {
      leave()
    }
  }

  /** @internal A container is about to start with it. The record may still be on its way to the disk. */
  async mount(name: string, container: string): Promise<MountedVolume> {
    const record = this.#records.get(name)
    const handle = this.#handle(record ?? { name, anonymous: false })
    const driver = this.#driver(record ?? { name, driver: 'local' })
    // What a container brings along is made with it, and its record may not be there yet.
    this.#files.make(name)
    // Noted first, so that whatever ends this process, it is taken back.
    if (driver.unmount !== undefined) await this.#records.noteMount(name, container)
    const mount = await driver.mount(handle, { container })
    return { ...mount, directory: handle.directory, filled: record?.filled === true && mount.fresh !== true }
  }

  /**
   * @internal The container has ended, or did not start: give back what its drivers did on the host for it.
   * @throws PodlingError whatever a driver can't do; it stays noted
   */
  async unmount(container: string, names: readonly string[]): Promise<void> {
    const noted = names.filter((name) => this.#records.isMounted(name, container))
    await settleAll(
      `unmount the volumes of container ${container.slice(0, 12)}`,
      noted.map(async (name) => {
        const record = this.#records.get(name)
        if (record !== undefined) await this.#driver(record).unmount?.(this.#handle(record), { container })
        await this.#records.forgetMount(name, container)
      }),
    )
  }

  /** @internal The ids of containers that drivers have mounted something for, with the volumes. */
  mounted(): Map<string, string[]> {
    return this.#records.mounted()
  }

  /** @internal Containers have started with these: they don't begin again with what an image has. */
  async markFilled(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.#database.transaction(() => {
      for (const name of names) {
        const record = this.#records.get(name)
        if (record !== undefined && !record.filled) this.#records.put({ ...record, filled: true })
      }
    })
  }

  /** @internal Whether there is a limit on what it holds. */
  hasQuota(name: string): boolean {
    return this.#quotas.has(name)
  }

  /** @internal Where the data of a volume is, or would be. */
  dataPath(name: string): string {
    const record = this.#records.get(name)
    const handle = this.#handle(record ?? { name, anonymous: false })
    return this.#known(record ?? { driver: 'local' })?.path?.(handle) ?? `${handle.directory}/_data`
  }

  #find(name: string): VolumeRecord {
    const record = volumeName.test(name) ? this.#records.get(name) : undefined
    if (record !== undefined && record.state === undefined) return record
    throw notFound(name, this.#records.all())
  }

  #driver(record: Pick<VolumeRecord, 'name' | 'driver'> & Partial<VolumeRecord>): VolumeDriver {
    const found = this.#known(record)
    if (found === undefined) throw unknownDriver(record.name, record.driver, [...this.#drivers.keys()])
    return found
  }

  #known({
    driver,
    encrypted = false,
  }: Pick<VolumeRecord, 'driver'> & Partial<VolumeRecord>): VolumeDriver | undefined {
    return encrypted ? this.#encrypted : this.#drivers.get(driver)
  }

  #handle(record: Pick<VolumeRecord, 'name' | 'anonymous'> & Partial<VolumeRecord>): DriverVolume {
    const { name, labels = {}, options = {}, encrypted = false } = record
    return { name, labels, options, encrypted, directory: this.#files.path(name) }
  }

  #volume(record: VolumeRecord): Volume {
    const { name, driver, labels, options, anonymous, encrypted, createdAt } = record
    const path = this.#known(record)?.path?.(this.#handle(record))
    return {
      name,
      driver,
      labels,
      options,
      anonymous,
      encrypted,
      ...(path === undefined ? {} : { path }),
      containers: this.#records.users(name),
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
