/**
 * Encrypted volumes: on the disk stand names and contents that nobody can read without the key, and the key stands nowhere
 * but in the memory of this process and of what decrypts.
 */
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { codeForErrno } from '../../sys/libc.js'
import type { DriverVolume, VolumeDriver, VolumeMount } from './driver.js'
import type { Encrypter } from './encrypter.js'
import { KeeperFailure } from './keeper.js'
import type { VolumeKeys } from './keys.js'
import type { EncryptionName } from './volume.js'

export class EncryptedDriver implements VolumeDriver {
  readonly #encrypters: Readonly<Record<EncryptionName, Encrypter>>
  readonly #keys: VolumeKeys

  constructor(encrypters: Readonly<Record<EncryptionName, Encrypter>>, keys: VolumeKeys) {
    this.#encrypters = encrypters
    this.#keys = keys
  }

  create(volume: DriverVolume): Promise<void> {
    return this.#explain(volume, 'create', (by) => by.create(volume, this.#keys.get(volume.name)))
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }

  mount(volume: DriverVolume): Promise<VolumeMount> {
    return this.#explain(volume, 'mount', async (by) => {
      const target = join(volume.directory, 'mount')
      const { socket, connection } = await by.hold(volume, target, this.#keys.get(volume.name))
      return {
        path: join(target, '_data'),
        // Nothing of it may stand on the disk as it is: the first copy is made within, too.
        staging: target,
        operations: [{ op: 'adopt', keeper: socket, target }],
        held: [connection],
      }
    })
  }

  /**
   * See whether a key is the right one.
   * @throws PodlingError `VOLUME_KEY_WRONG`, `VOLUME_FAILED`
   */
  check(volume: DriverVolume, keys: VolumeKeys): Promise<void> {
    return this.#explain(volume, 'unlock', (by) => by.check(volume, keys.get(volume.name)))
  }

  /** What has all of it on the disk: a directory, or a file. */
  store(volume: DriverVolume): string {
    return join(volume.directory, this.#by(volume).store)
  }

  /** Take away what a crash has left. */
  async sweep(): Promise<void> {
    for (const encrypter of Object.values(this.#encrypters)) await encrypter.sweep?.()
  }

  #by({ encryption = 'gocryptfs' }: DriverVolume): Encrypter {
    return this.#encrypters[encryption]
  }

  async #explain<T>(volume: DriverVolume, verb: string, work: (by: Encrypter) => Promise<T>): Promise<T> {
    const encrypter = this.#by(volume)
    try {
      return await work(encrypter)
    } catch (error) {
      throw error instanceof KeeperFailure ? explained(error, `${verb} volume ${volume.name}`, encrypter) : error
    }
  }
}

function explained(failure: KeeperFailure, what: string, by: Encrypter): PodlingError {
  const { exitCode, errno, message } = failure
  if (exitCode === by.wrongKey) {
    return new PodlingError('VOLUME_KEY_WRONG', `${what}: its key is another one; give the one that it was made with`)
  }
  const said = message.split('\n').at(-1) ?? ''
  const why = [said, errno].filter((part) => part !== undefined && part !== '').join(': ')
  const remedy = by.remedy?.(failure)
  const code = errno === undefined ? 'SYSTEM_CALL_FAILED' : codeForErrno(errno)
  return new PodlingError(
    code === 'SYSTEM_CALL_FAILED' ? 'VOLUME_FAILED' : code,
    `${what}: ${by.program}: ${why === '' ? 'it ended without a word' : why}${remedy === undefined ? '' : `; ${remedy}`}`,
    { cause: failure },
  )
}
