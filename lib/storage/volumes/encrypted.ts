/**
 * Encrypted volumes, by gocryptfs: on the disk stand names and contents that nobody can read without the key, and the key
 * stands nowhere but in the memory of this process and of the server's.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { fileError, isErrno } from '../file-error.js'
import { close } from '../../sys/libc.js'
import type { DriverVolume, VolumeDriver, VolumeMount } from './driver.js'
import { KeeperFailure, type Keepers, type KeeperWork } from './keeper.js'
import type { VolumeKeys } from './keys.js'

/** Finds a program, or says that it isn't there. */
export type FindProgram = (name: string) => string | undefined

/** Exit codes of gocryptfs(1). */
const passwordIncorrect = 12
const fuseFailed = 19

export class EncryptedDriver implements VolumeDriver {
  readonly #keepers: Keepers
  readonly #keys: VolumeKeys
  readonly #findProgram: FindProgram

  constructor(keepers: Keepers, keys: VolumeKeys, findProgram: FindProgram) {
    this.#keepers = keepers
    this.#keys = keys
    this.#findProgram = findProgram
  }

  async create(volume: DriverVolume): Promise<void> {
    const program = this.#program(volume, 'create')
    const cipher = cipherOf(volume)
    try {
      mkdirSync(cipher, { mode: 0o700 })
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the directory of volume ${volume.name}`)
    }
    try {
      await this.#keepers.run([program, '-init', '-q', '--', cipher], this.#keys.get(volume.name))
    } catch (error) {
      throw explained(error, `create volume ${volume.name}`)
    }
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }

  async mount(volume: DriverVolume): Promise<VolumeMount> {
    const target = targetOf(volume)
    const program = this.#program(volume, 'mount')
    const work = serverOf(program, volume, target, [])
    try {
      const { socket, connection } = await this.#keepers.hold(volume.name, target, work, this.#keys.get(volume.name))
      return {
        path: join(target, '_data'),
        // Nothing of it may stand on the disk as it is: the first copy is made within, too.
        staging: target,
        operations: [{ op: 'adopt', keeper: socket, target }],
        held: [connection],
      }
    } catch (error) {
      throw explained(error, `mount volume ${volume.name}`)
    }
  }

  /**
   * See whether a key is the right one, by a server of its own: one that runs already would not be asked for it.
   * @throws PodlingError `VOLUME_KEY_WRONG`, `VOLUME_FAILED`
   */
  async check(volume: DriverVolume, keys: VolumeKeys): Promise<void> {
    const program = this.#program(volume, 'unlock')
    const target = join(volume.directory, 'check')
    try {
      const work = serverOf(program, volume, target, ['-ro'])
      const { connection } = await this.#keepers.hold(
        `${volume.name}/${randomUUID()}`,
        target,
        work,
        keys.get(volume.name),
      )
      close(connection)
    } catch (error) {
      throw explained(error, `unlock volume ${volume.name}`)
    }
  }

  #program({ name }: DriverVolume, verb: string): string {
    const found = this.#findProgram('gocryptfs')
    if (found !== undefined) return found
    throw new PodlingError(
      'VOLUME_PROGRAM_NOT_FOUND',
      `${verb} volume ${name}: encrypted volumes need the program gocryptfs; install Debian's package gocryptfs`,
    )
  }
}

/** Owners count as on any file system, and what a mount may do is said by the container's. */
function serverOf(program: string, volume: DriverVolume, target: string, more: readonly string[]): KeeperWork {
  const flags = ['-fg', '-q', '-nosyslog', '-allow_other', '-suid', '-dev', ...more]
  return { kind: 'fuse', program: [program, ...flags, '--', cipherOf(volume), target] }
}

function cipherOf({ directory }: DriverVolume): string {
  return join(directory, 'cipher')
}

function targetOf({ directory }: DriverVolume): string {
  return join(directory, 'mount')
}

function explained(error: unknown, what: string): unknown {
  if (!(error instanceof KeeperFailure)) return error
  if (error.exitCode === passwordIncorrect) {
    return new PodlingError('VOLUME_KEY_WRONG', `${what}: its key is another one; give the one that it was made with`)
  }
  const said = error.message.split('\n').at(-1) ?? ''
  const hint =
    error.exitCode === fuseFailed
      ? '; the kernel must have FUSE, and /dev/fuse must be there and open to this user'
      : ''
  const why = [said, error.errno].filter((part) => part !== undefined && part !== '').join(': ')
  return new PodlingError(
    'VOLUME_FAILED',
    `${what}: gocryptfs: ${why === '' ? 'it ended without a word' : why}${hint}`,
    {
      cause: error,
    },
  )
}
