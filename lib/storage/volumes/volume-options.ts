/** What the verbs of {@link Volumes} take, checked: all mistakes at once. Pure. */
import { randomBytes } from 'node:crypto'
import { PodlingError } from '../../errors.js'
import { faultFinder, formatFaults, type Fault } from '../../schema/faults.js'
import { nearestName } from '../../schema/nearest-name.js'
import { csiSecretFaults, type CsiSecrets } from './csi/csi-secrets.js'
import { encryptionKeyFault, type EncryptionKey } from './keys.js'
import { luksFaults } from './luks-options.js'
import { volumeName, volumeNameWords, type EncryptionName } from './volume.js'

export interface VolumeOptions {
  /** Letters, digits, `_`, `.` and `-`. @default 64 random hexadecimal digits */
  readonly name?: string
  /** What keeps its data. @default 'local': a directory below the runtime's root */
  readonly driver?: string
  /**
   * For the driver. `'local'` makes a directory, of `o: 'uid=N,gid=N'` and at most `size` bytes and `inodes` files; or mounts what
   * mount(8) would for `type`, `device` and `o`. For `type: 'nfs'` see nfs(5): `device` is `'server:/path'`, and where `o` names
   * no version, 4.2, 4.1 and 4.0 are tried at each address of the server. @default none
   */
  readonly options?: Readonly<Record<string, string>>
  /** For finding it again; no effect on the volume. */
  readonly labels?: Readonly<Record<string, string>>
  /**
   * Encrypt it, names and contents: a passphrase of one line, or a key of 16 to 512 random bytes. It is kept in the memory of
   * this process until {@link Volumes.lock} or the end; others have to {@link Volumes.unlock} the volume.
   * @default not encrypted
   */
  readonly encryptionKey?: EncryptionKey
  /**
   * How it is encrypted. `'gocryptfs'`: file by file, by gocryptfs(1), which shows how many files there are and how large.
   * `'luks'`: an ext4 in a sparse file of LUKS2, by cryptsetup(8), which hides that too and is as fast as the kernel; for root,
   * where the kernel has device mapper. Its `options.size` is all that it can ever hold, `'32m'` or more; 1 GiB where none is
   * given.
   * @default 'gocryptfs'
   */
  readonly encryption?: EncryptionName
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
  readonly encryption?: EncryptionName
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
    const luks = options.encryption === 'luks'
    if (luks) faults.push(...luksFaults(options.options ?? {}))
    if (!plain || (!luks && Object.keys(options.options ?? {}).length > 0))
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
  if (!drivers.includes(driver)) throw unknownDriver(name, driver, drivers)
  return {
    name,
    driver,
    options: options.options ?? {},
    labels: options.labels ?? {},
    ...(encryptionKey === undefined ? {} : { encryptionKey, encryption: options.encryption ?? 'gocryptfs' }),
    ...(secrets === undefined ? {} : { secrets }),
  }
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
