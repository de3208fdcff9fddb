/** What the verbs of {@link Volumes} take, checked: all mistakes at once. Pure. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { faultFinder, formatFaults, type Fault } from '../../schema/faults.js'
import { nearestName } from '../../schema/nearest-name.js'
import { csiSecretFaults, type CsiSecrets } from './csi/csi-secrets.js'
import { encryptionKeyFault, type EncryptionKey } from './keys.js'
import { volumeName, volumeNameWords } from './volume.js'

export interface VolumeOptions {
  /** Letters, digits, `_`, `.` and `-`. @default 64 random hexadecimal digits */
  readonly name?: string
  /** What keeps its data. @default 'local': a directory below the runtime's root */
  readonly driver?: string
  /** For the driver. */
  readonly options?: Readonly<Record<string, string>>
  /** For finding it again; no effect on the volume. */
  readonly labels?: Readonly<Record<string, string>>
  /**
   * Encrypt it, names and contents, by gocryptfs(1): a passphrase of one line, or 16 to 512 bytes. The key is kept in the
   * memory of this process until {@link Volumes.lock} or the end; others have to {@link Volumes.unlock} the volume.
   * @default not encrypted
   */
  readonly encryptionKey?: EncryptionKey
  /**
   * How it is encrypted: `'gocryptfs'`, file by file, or `'luks'`, which needs device mapper in the kernel and which this
   * version can't do yet. @default 'gocryptfs'
   */
  readonly encryption?: 'gocryptfs' | 'luks'
  /**
   * For a CSI driver, by the calls that get them. They are kept in the memory of this process until {@link Volumes.lock} or the
   * end; others have to give them to {@link CsiService.unlock}. @default none
   */
  readonly secrets?: CsiSecrets
}

/** Which volumes to list. All that is given must fit. */
export interface VolumeFilter {
  /** A part of the name. */
  readonly name?: string
  readonly driver?: string
  /** `'key'` or `'key=value'`. */
  readonly label?: string | readonly string[]
  /** `true`: those that no container uses; `false`: the others. */
  readonly dangling?: boolean
  /** `true`: those that nobody gave a name; `false`: the others. */
  readonly anonymous?: boolean
}

export interface RemoveVolumeOptions {
  /** Remove the containers that use it first, running or not. @default false */
  readonly force?: boolean
}

export interface NormalizedVolumeOptions {
  readonly name: string
  readonly driver: string
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly encryptionKey?: EncryptionKey
  readonly secrets?: CsiSecrets
}

const texts = { type: 'object', additionalProperties: { type: 'string' } }

const findFaults = faultFinder({
  type: 'object',
  member: 'option',
  additionalProperties: false,
  properties: {
    name: { type: 'string', pattern: volumeName.source, says: volumeNameWords },
    driver: { type: 'string', minLength: 1 },
    options: texts,
    labels: texts,
    encryptionKey: {},
    encryption: { enum: ['gocryptfs', 'luks'] },
    secrets: {},
  },
})

/** @throws PodlingError `INVALID_OPTION` with all mistakes, `VOLUME_DRIVER_NOT_FOUND` */
export function parseVolumeOptions(given: VolumeOptions, drivers: readonly string[]): NormalizedVolumeOptions {
  const options = withoutUndefined(given)
  const faults: Fault[] = findFaults(options)
  const { encryptionKey } = options
  if (encryptionKey === undefined && options.encryption !== undefined)
    faults.push({ path: 'encryption', message: 'has no effect without encryptionKey' })
  if (encryptionKey !== undefined) {
    const fault = encryptionKeyFault(encryptionKey)
    if (fault !== undefined) faults.push({ path: 'encryptionKey', message: fault })
    const plain = options.driver === undefined || options.driver === 'local'
    if (!plain || Object.keys(options.options ?? {}).length > 0)
      faults.push({
        path: 'encryptionKey',
        message: 'is for plain volumes of the local driver; leave driver and options out',
      })
  }
  const { secrets } = options
  if (secrets !== undefined) {
    faults.push(...csiSecretFaults(secrets, 'secrets'))
    if (options.driver !== 'csi') faults.push({ path: 'secrets', message: "is for volumes of the driver 'csi'" })
  }
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('create volume', faults))
  const { name = randomBytes(32).toString('hex'), driver = 'local' } = options
  if (options.encryption === 'luks') throw noLuks(name)
  if (!drivers.includes(driver)) throw unknownDriver(name, driver, drivers)
  return {
    name,
    driver,
    options: options.options ?? {},
    labels: options.labels ?? {},
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
    ...(secrets === undefined ? {} : { secrets }),
  }
}

function noLuks(name: string): PodlingError {
  const mapper = existsSync('/dev/mapper/control')
  return new PodlingError(
    mapper ? 'INVALID_OPTION' : 'KERNEL_UNSUPPORTED',
    `create volume ${name}: encryption: 'luks' ` +
      `${mapper ? 'is not supported by this version' : 'needs device mapper, which this kernel has not (no /dev/mapper/control)'}; ` +
      "use encryption: 'gocryptfs'",
  )
}

export function unknownDriver(name: string, driver: string, drivers: readonly string[]): PodlingError {
  const near = nearestName(driver, drivers)
  return new PodlingError(
    'VOLUME_DRIVER_NOT_FOUND',
    `volume ${name}: this runtime has no volume driver ${driver}, but ${drivers.join(', ')}` +
      `${near === undefined ? '' : `; did you mean ${near}?`}; others are given to Runtime.open({ volumeDrivers })`,
  )
}

function withoutUndefined(options: VolumeOptions): VolumeOptions {
  if (typeof options !== 'object' || (options as unknown) === null) return options
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
