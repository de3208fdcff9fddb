/** Encryption file by file, by gocryptfs(1): a directory of names and contents that nobody can read. */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { close } from '../../sys/descriptors.js'
import { fileError, isErrno } from '../file-error.js'
import type { DriverVolume } from './driver.js'
import { requireProgram, type Encrypter, type FindProgram } from './encrypter.js'
import type { HeldKeeper, KeeperFailure, Keepers, KeeperWork } from './keeper.js'
import type { VolumeKey } from './keys.js'

/** Exit codes of gocryptfs(1). */
const passwordIncorrect = 12
const fuseFailed = 19

const store = 'cipher'

export class Gocryptfs implements Encrypter {
  readonly program = 'gocryptfs'
  readonly wrongKey = passwordIncorrect
  readonly store = store
  readonly #keepers: Keepers
  readonly #findProgram: FindProgram

  constructor(keepers: Keepers, findProgram: FindProgram) {
    this.#keepers = keepers
    this.#findProgram = findProgram
  }

  async create(volume: DriverVolume, key: VolumeKey): Promise<void> {
    const program = this.#find(`create volume ${volume.name}`)
    const cipher = cipherOf(volume)
    try {
      mkdirSync(cipher, { mode: 0o700 })
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the directory of volume ${volume.name}`)
    }
    await withLine(key, (line) => this.#keepers.run([program, '-init', '-q', '--', cipher], line))
  }

  hold(volume: DriverVolume, target: string, key: VolumeKey): Promise<HeldKeeper> {
    const work = serverOf(this.#find(`mount volume ${volume.name}`), volume, target, [])
    return withLine(key, (line) => this.#keepers.hold(volume.name, target, work, line))
  }

  /** By a server of its own: one that runs already would not be asked for the key. */
  async check(volume: DriverVolume, key: VolumeKey): Promise<void> {
    const target = join(volume.directory, 'check')
    const work = serverOf(this.#find(`unlock volume ${volume.name}`), volume, target, ['-ro'])
    const own = `${volume.name}/${randomUUID()}`
    const { connection } = await withLine(key, (line) => this.#keepers.hold(own, target, work, line))
    close(connection)
  }

  remedy({ exitCode }: KeeperFailure): string | undefined {
    return exitCode === fuseFailed
      ? 'the kernel must have FUSE, and /dev/fuse must be there and open to this user'
      : undefined
  }

  #find(what: string): string {
    return requireProgram(this.#findProgram, 'gocryptfs', 'gocryptfs', what)
  }
}

/** Owners count as on any file system, and what a mount may do is said by the container's. */
function serverOf(program: string, volume: DriverVolume, target: string, more: readonly string[]): KeeperWork {
  const flags = ['-fg', '-q', '-nosyslog', '-allow_other', '-suid', '-dev', ...more]
  return { kind: 'fuse', program: [program, ...flags, '--', cipherOf(volume), target] }
}

function cipherOf({ directory }: DriverVolume): string {
  return join(directory, store)
}

/** It reads one line: bytes go there as hexadecimal digits. */
async function withLine<T>({ bytes, text }: VolumeKey, use: (line: Uint8Array) => Promise<T>): Promise<T> {
  const line = Buffer.alloc((text ? bytes.length : bytes.length * 2) + 1)
  if (text) line.set(bytes)
  else line.write(bytes.toString('hex'), 'latin1')
  line.write('\n', line.length - 1, 'latin1')
  try {
    return await use(line)
  } finally {
    line.fill(0)
  }
}
