/**
 * Encryption of a whole file system in a file, by LUKS2 and the kernel's dm-crypt, which cryptsetup(8) sets up. The file is
 * sparse: it takes what has been written to it.
 */
import { createHash } from 'node:crypto'
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { parseSize } from '../../schema/quantities.js'
import { close } from '../../sys/descriptors.js'
import { fileError, isErrno } from '../file-error.js'
import type { StorageRights } from '../rights.js'
import type { DriverVolume } from './driver.js'
import { requireProgram, type Encrypter, type FindProgram } from './encrypter.js'
import { keeperName, KeeperFailure, type HeldKeeper, type Keepers, type KeeperWork } from './keeper.js'
import type { VolumeKey } from './keys.js'
import { defaultLuksSize } from './luks-options.js'

/** Exit codes of cryptsetup(8). */
const noPermission = 2

const store = 'luks'

/**
 * Argon2id as RFC 9106 recommends it where memory is scarce, which is what a container's start is to take no more of than
 * 64 MiB; cryptsetup knows no fewer than 4 passes. Its own default is a gigabyte and two seconds, after a measurement.
 */
const ofPassphrase = ['--pbkdf', 'argon2id', '--pbkdf-memory', '65536', '--pbkdf-parallel', '4', '--pbkdf-force-iterations', '4'] // prettier-ignore

/** Bytes are a random key and no passphrase: nobody can try them all, however fast. */
const ofRandomKey = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']

/** One line a block device of the kernel's; those of device mapper have names. */
const blockDevices = '/sys/block'

/** What is behind a loop device has whole sectors. */
const page = 4096

const nothing = new Uint8Array(0)

export interface LuksParts {
  readonly keepers: Keepers
  readonly findProgram: FindProgram
  readonly rights: StorageRights
  /** That of all volumes, which tells this root from others on the machine. */
  readonly directory: string
}

export class Luks implements Encrypter {
  readonly program = 'cryptsetup'
  readonly wrongKey = noPermission
  readonly store = store
  readonly #parts: LuksParts

  constructor(parts: LuksParts) {
    this.#parts = parts
  }

  async create(volume: DriverVolume, key: VolumeKey): Promise<void> {
    const what = `create volume ${volume.name}`
    const cryptsetup = await this.#ready(what)
    const mkfs = requireProgram(this.#parts.findProgram, 'mkfs.ext4', 'e2fsprogs', what)
    const file = fileOf(volume)
    const size = parseSize(volume.options['size']) ?? defaultLuksSize
    makeSparse(file, Math.ceil(size / page) * page, what)
    const derivation = key.text ? ofPassphrase : ofRandomKey
    const format = ['luksFormat', '--type', 'luks2', '--batch-mode', ...derivation, '--key-file=-', '--', file]
    await this.#parts.keepers.run([cryptsetup, ...format], key.bytes)
    const { connection } = await this.#hold(volume, join(volume.directory, 'mount'), key, cryptsetup, [
      mkfs,
      ...['-q', '-m', '0', '-E', 'nodiscard'],
    ])
    close(connection)
  }

  async hold(volume: DriverVolume, target: string, key: VolumeKey): Promise<HeldKeeper> {
    return this.#hold(volume, target, key, await this.#ready(`mount volume ${volume.name}`), [])
  }

  /** This takes no device: the header is read from the file. */
  async check(volume: DriverVolume, key: VolumeKey): Promise<void> {
    const cryptsetup = this.#find(`unlock volume ${volume.name}`)
    const test = ['open', '--test-passphrase', '--type', 'luks2', '--key-file=-', '--', fileOf(volume)]
    await this.#parts.keepers.run([cryptsetup, ...test], key.bytes)
  }

  /**
   * The kernel takes a mapping away with its last mount, but one that never was mounted stays when whoever made it is killed.
   */
  async sweep(): Promise<void> {
    const prefix = this.#prefix()
    const left = mappings().filter((name) => name.startsWith(prefix))
    const cryptsetup = left.length === 0 ? undefined : this.#parts.findProgram('cryptsetup')
    if (cryptsetup === undefined) return
    for (const name of left) {
      await this.#parts.keepers.ifUnkept(name.slice(prefix.length), () => this.#remove(cryptsetup, name))
    }
  }

  remedy({ message, errno }: KeeperFailure): string | undefined {
    if (/dm.?crypt|cipher/i.test(message))
      return 'the kernel must have dm-crypt with aes-xts-plain64 (modprobe dm-crypt)'
    if (errno === 'EBUSY') return 'a container whose keeper was killed still uses it; remove that first'
    return message.startsWith('set up') ? 'the kernel must have loop devices' : undefined
  }

  #hold(
    volume: DriverVolume,
    target: string,
    key: VolumeKey,
    cryptsetup: string,
    makeFileSystem: readonly string[],
  ): Promise<HeldKeeper> {
    const mapping = this.#prefix() + keeperName(volume.name)
    const work: KeeperWork = { kind: 'luks', cryptsetup, mapping, file: fileOf(volume), makeFileSystem }
    return this.#parts.keepers.hold(volume.name, target, work, key.bytes, async () => {
      if (mappings().includes(mapping)) await this.#remove(cryptsetup, mapping)
    })
  }

  /** One that is in use stays until it isn't; one that has gone meanwhile is gone. */
  async #remove(cryptsetup: string, mapping: string): Promise<void> {
    await this.#parts.keepers.run([cryptsetup, 'close', '--deferred', '--', mapping], nothing).catch(ifEnded)
  }

  /** @throws PodlingError `PERMISSION_DENIED`, `VOLUME_PROGRAM_NOT_FOUND`, `KERNEL_UNSUPPORTED` */
  async #ready(what: string): Promise<string> {
    if (this.#parts.rights.confined) {
      throw new PodlingError(
        'PERMISSION_DENIED',
        `${what}: encryption: 'luks' takes device mapper, which the kernel gives to the machine's root alone; ` +
          "use encryption: 'gocryptfs', or open the runtime as root",
      )
    }
    const cryptsetup = this.#find(what)
    // With device mapper it says that there is no such mapping, and fails too.
    const probe = await this.#parts.keepers
      .run([cryptsetup, 'status', '--', this.#prefix()], nothing)
      .catch((error: unknown) => (error instanceof KeeperFailure ? error : Promise.reject(error as Error)))
    if (!(probe instanceof KeeperFailure && probe.message.includes('device-mapper'))) return cryptsetup
    throw new PodlingError(
      'KERNEL_UNSUPPORTED',
      `${what}: encryption: 'luks' needs device mapper: cryptsetup: ${firstLine(probe.message)}; load it ` +
        "(modprobe dm-crypt) on a kernel that has it, or use encryption: 'gocryptfs'",
      { cause: probe },
    )
  }

  #find(what: string): string {
    return requireProgram(this.#parts.findProgram, 'cryptsetup', 'cryptsetup-bin', what)
  }

  /** Mappings are the whole machine's; a path is not, as it may be another directory in another mount namespace. */
  #prefix(): string {
    const { dev, ino } = statSync(this.#parts.directory, { bigint: true })
    const root = createHash('sha256')
      .update(`${String(dev)}:${String(ino)}`)
      .digest('hex')
      .slice(0, 12)
    return `podling-${root}-`
  }
}

function fileOf({ directory }: DriverVolume): string {
  return join(directory, store)
}

function makeSparse(file: string, size: number, what: string): void {
  try {
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW, 0o600)
    try {
      ftruncateSync(fd, size)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw fileError(error, `${what}: make a file of ${String(size)} bytes`)
  }
}

/** The names of the machine's mappings. */
function mappings(): string[] {
  return readdirSync(blockDevices)
    .filter((name) => name.startsWith('dm-'))
    .flatMap((name) => {
      try {
        return [readFileSync(join(blockDevices, name, 'dm/name'), 'utf8').trim()]
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return []
        throw error
      }
    })
}

function ifEnded(error: unknown): void {
  if (!(error instanceof KeeperFailure && error.exitCode !== undefined)) throw error
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}
