/** What all verbs of volumes work on: records, directories, drivers; and how a volume ends. */
import type { TellEvent } from '../../event/event.js'
import type { Database } from '../database.js'
import { ImageLock } from '../image-lock.js'
import type { OpenUnpacker } from '../layer-types.js'
import type { Quotas } from '../quotas/quotas.js'
import type { StorageRights } from '../rights.js'
import { CsiDriver } from './csi/csi-driver.js'
import type { DriverVolume, VolumeDriver } from './driver.js'
import { EncryptedDriver } from './encrypted.js'
import type { FindProgram } from './encrypter.js'
import { Gocryptfs } from './gocryptfs.js'
import type { Keepers } from './keeper.js'
import { VolumeKeys } from './keys.js'
import { LocalDriver } from './local.js'
import { Luks } from './luks.js'
import { volumeName, type VolumeRecord } from './volume.js'
import { notFound } from './volume-errors.js'
import { volumeEvent } from './volume-event.js'
import { VolumeFiles } from './volume-files.js'
import { unknownDriver } from './volume-options.js'
import { VolumeRecords } from './volume-records.js'

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

/** What of a record says which driver it is. */
type Driven = Pick<VolumeRecord, 'driver'> & Partial<VolumeRecord>

export class VolumeState {
  readonly database: Database
  readonly records: VolumeRecords
  readonly files: VolumeFiles
  readonly lock: ImageLock
  readonly drivers: ReadonlyMap<string, VolumeDriver>
  readonly keys = new VolumeKeys()
  readonly encrypted: EncryptedDriver
  readonly csi = new CsiDriver()
  readonly tell: TellEvent
  readonly quotas: Quotas

  constructor(setup: VolumesSetup) {
    const { keepers, findProgram, rights, directory } = setup
    this.database = setup.database
    this.tell = setup.tell
    this.records = new VolumeRecords(setup.database)
    this.files = new VolumeFiles(directory, setup.openUnpacker)
    this.lock = new ImageLock(setup.lockFile)
    this.quotas = setup.quotas
    const local = new LocalDriver(keepers, setup.quotas, rights, setup.label)
    this.drivers = new Map(Object.entries({ ...setup.drivers, csi: this.csi, local }))
    const encrypters = {
      gocryptfs: new Gocryptfs(keepers, findProgram),
      luks: new Luks({ keepers, findProgram, rights, directory }),
    }
    this.encrypted = new EncryptedDriver(encrypters, this.keys)
  }

  /** @throws PodlingError `VOLUME_NOT_FOUND`, also for one that is being made or removed */
  find(name: string): VolumeRecord {
    const record = volumeName.test(name) ? this.records.get(name) : undefined
    if (record !== undefined && record.state === undefined) return record
    throw notFound(name, this.records.all())
  }

  /** @throws PodlingError `VOLUME_DRIVER_NOT_FOUND` */
  driver(record: Pick<VolumeRecord, 'name'> & Driven): VolumeDriver {
    const found = this.knownDriver(record)
    if (found === undefined) throw unknownDriver(record.name, record.driver, [...this.drivers.keys()])
    return found
  }

  knownDriver({ driver, encrypted = false }: Driven): VolumeDriver | undefined {
    return encrypted ? this.encrypted : this.drivers.get(driver)
  }

  /** What its driver is told. */
  handle(record: Pick<VolumeRecord, 'name'> & Partial<VolumeRecord>): DriverVolume {
    const { name, labels = {}, options = {}, encrypted = false, encryption } = record
    const directory = this.files.path(name)
    return { name, labels, options, encrypted, directory, ...(encryption === undefined ? {} : { encryption }) }
  }

  /** The data, then the record: whatever interrupts it leaves a record by which the next open goes on. */
  async finishRemoval(record: VolumeRecord): Promise<void> {
    await this.knownDriver(record)?.remove(this.handle(record))
    this.keys.forget(record.name)
    this.csi.secrets.forget(record.name)
    await this.files.remove([record.name])
    await this.quotas.free(record.name)
    await this.database.transaction(() => {
      this.records.remove(record.name)
    })
    if (record.state !== 'making') this.tell(volumeEvent(record, 'remove'))
  }

  /** Nobody makes or removes volumes now: what is half done is nobody's, and what has no record is a leftover. */
  async sweep(): Promise<void> {
    const leave = this.lock.tryAlone()
    if (leave === undefined) return
    try {
      const unfinished = this.records.all().filter((record) => record.state !== undefined)
      // What its driver can't do now, the next open tries again; the root is to be opened all the same.
      for (const record of unfinished) await this.finishRemoval(record).catch(() => undefined)
      const isKnown = (name: string): boolean => this.records.get(name) !== undefined
      await this.files.sweep(isKnown)
      for (const name of this.quotas.holders()) if (!isKnown(name)) await this.quotas.free(name)
    } finally {
      leave()
    }
  }
}
