/**
 * Keepers: one process for each volume that is more than a directory, while containers use it. It has the volume mounted in
 * a mount namespace of its own, gives each container a copy of that mount, and ends with the last connection to it; each
 * container's monitor holds one. See native/keep.c.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../../sys/descriptors.js'
import { reap, spawnHelper } from '../../sys/helper-process.js'
import { errnoName } from '../../sys/libc.js'
import { receiveMessage, sendMessage } from '../../sys/sockets.js'
import { connectUnix, socketPair } from '../../sys/unix-sockets.js'
import { fileError, isErrno } from '../file-error.js'
import { lockFile } from '../lock.js'
import { PodlingError } from '../../errors.js'

/** Why a keeper could not begin. */
export class KeeperFailure extends Error {
  /** Of the program; `undefined`: a call of the keeper's own failed. */
  readonly exitCode: number | undefined
  readonly errno: string | undefined

  constructor(exitCode: number | undefined, errno: string | undefined, said: string) {
    super(said)
    this.exitCode = exitCode
    this.errno = errno
  }
}

/** What a keeper does. */
export type KeeperWork =
  | { readonly kind: 'fuse'; readonly program: readonly string[] }
  /** A FUSE server in the foreground, for the root of a container. */
  | { readonly kind: 'root'; readonly program: readonly string[] }
  | {
      readonly kind: 'mount'
      readonly fstype: string
      readonly source: string
      /** MOUNT_ATTR_* of mount_setattr(2). */
      readonly attributes: number
      readonly options: readonly string[]
    }
  | {
      /** The ext4 in a file of LUKS2; the secret is its key. */
      readonly kind: 'luks'
      readonly cryptsetup: string
      /** The name of the mapping, which no other has. */
      readonly mapping: string
      readonly file: string
      /** A program, with its options, that makes the file system on the device that it gets as its last word; `[]`: it is there. */
      readonly makeFileSystem: readonly string[]
    }

/** A keeper that somebody holds. */
export interface HeldKeeper {
  readonly socket: string
  /** The connection: whoever has it open keeps the keeper alive. To be closed, or given away. */
  readonly connection: number
}

const longestWait = 60_000
const pause = 4

export class Keepers {
  readonly #directory: string
  readonly #helper: string
  readonly #within: (() => Promise<number>) | undefined

  /**
   * @param directory for sockets, in the run directory
   * @param within whose user and mount namespace they are to be in, by a pid that is no other's until it is reaped here;
   * those of this process without it
   */
  constructor(directory: string, helper: string, within?: () => Promise<number>) {
    this.#directory = directory
    this.#helper = helper
    this.#within = within
  }

  /**
   * Hold the keeper of a volume, started where there is none.
   * @param target an empty directory of the host, where it mounts, seen by nobody else
   * @param secret what its program reads, and nothing else gets to see
   * @param before done first where there is no keeper
   * @throws KeeperFailure
   */
  async hold(
    volume: string,
    target: string,
    work: KeeperWork,
    secret: Uint8Array,
    before?: () => Promise<void>,
  ): Promise<HeldKeeper> {
    const socket = this.#socket(volume)
    for (const one of [this.#directory, target]) makeDirectory(one, `mount volume ${volume}`)
    // Two that found none would start two, each with what the other doesn't see.
    const lock = await lockFile(`${socket}.lock`)
    try {
      const kept = await greet(socket)
      if (kept !== undefined) return { socket, connection: kept }
      await before?.()
      return { socket, connection: await this.#start(argumentsOf(work, socket, target), secret) }
    } finally {
      lock.release({ unlink: true })
    }
  }

  /** Whether a keeper answers. */
  async isKept(volume: string): Promise<boolean> {
    const connection = await greet(this.#socket(volume))
    if (connection !== undefined) close(connection)
    return connection !== undefined
  }

  /** Run a program to its end, with a secret. @throws KeeperFailure */
  async run(program: readonly string[], secret: Uint8Array): Promise<void> {
    close(await this.#start(['init', ...program], secret))
  }

  /** Remove the sockets of keepers that were killed. */
  async sweep(): Promise<void> {
    let names: string[] = []
    try {
      names = readdirSync(this.#directory)
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, `look into ${this.#directory}`)
    }
    for (const name of names.filter((one) => !one.endsWith('.lock'))) {
      await this.ifUnkept(name, () => {
        rmSync(join(this.#directory, name), { force: true })
        return Promise.resolve()
      })
    }
  }

  /**
   * Do this while there is no keeper, and none can begin.
   * @param name of a volume's keeper: see {@link keeperName}
   */
  async ifUnkept(name: string, work: () => Promise<void>): Promise<void> {
    const socket = join(this.#directory, name)
    makeDirectory(this.#directory, `look for the keeper ${name}`)
    const lock = await lockFile(`${socket}.lock`)
    try {
      const connection = await greet(socket)
      if (connection === undefined) await work()
      else close(connection)
    } finally {
      lock.release({ unlink: true })
    }
  }

  #socket(volume: string): string {
    return join(this.#directory, keeperName(volume))
  }

  async #start(args: readonly string[], secret: Uint8Array): Promise<number> {
    const place = this.#within === undefined ? [] : ['within', String(await this.#within())]
    const [ours, theirs] = socketPair()
    try {
      let pid: number
      try {
        pid = spawnHelper(this.#helper, ['keep', ...place, ...args], theirs)
      } finally {
        close(theirs)
      }
      const head = Buffer.alloc(4)
      head.writeUInt32LE(secret.length)
      sendMessage(ours, head, 'tell the keeper of a volume')
      if (secret.length > 0) sendMessage(ours, secret, 'tell the keeper of a volume')
      await reaped(pid)
      const answer = await receive(ours, (bytes) => bytes[0] === 0x6b)
      if (answer[0] === 0x6b) return ours
      throw failureOf(answer)
    } catch (error) {
      close(ours)
      throw error
    }
  }
}

function makeDirectory(directory: string, what: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fileError(error, what)
  }
}

/** What the keeper of a volume is called: of one length, as a socket's path must be short. */
export function keeperName(volume: string): string {
  return createHash('sha256').update(volume).digest('hex').slice(0, 32)
}

function argumentsOf(work: KeeperWork, socket: string, target: string): string[] {
  const words = [work.kind, socket, target]
  switch (work.kind) {
    case 'mount':
      return [...words, work.fstype, work.source, String(work.attributes), ...work.options]
    case 'luks':
      return [...words, work.cryptsetup, work.mapping, work.file, ...work.makeFileSystem]
    default:
      return [...words, ...work.program]
  }
}

/** @returns a connection to whoever keeps the volume; undefined when there is nobody */
async function greet(socket: string): Promise<number | undefined> {
  let connection: number
  try {
    connection = connectUnix(socket)
  } catch (error) {
    if (error instanceof PodlingError && ['ENOENT', 'ECONNREFUSED'].includes(error.errno ?? '')) return undefined
    throw error
  }
  try {
    sendMessage(connection, Buffer.from('h'), 'greet the keeper of a volume')
    if ((await receive(connection, () => true))[0] === 0x6b) return connection
  } catch (error) {
    // It was about to end: its last user is gone.
    const gone = error instanceof PodlingError && ['EPIPE', 'ECONNRESET'].includes(error.errno ?? '')
    if (!gone) {
      close(connection)
      throw error
    }
  }
  close(connection)
  return undefined
}

/** Bytes as they come, until they are enough or the other side has closed. No thread waits. */
async function receive(fd: number, enough: (bytes: Buffer) => boolean): Promise<Buffer> {
  const room = Buffer.alloc(8192)
  let bytes = Buffer.alloc(0)
  const end = performance.now() + longestWait
  while (performance.now() < end) {
    for (;;) {
      const chunk = receiveMessage(fd, room, 'hear the keeper of a volume')
      if (chunk === undefined) break
      if (chunk.length === 0) return bytes
      bytes = Buffer.concat([bytes, chunk])
      if (enough(bytes)) return bytes
    }
    await sleep(pause)
  }
  throw new KeeperFailure(undefined, 'ETIMEDOUT', `it said nothing for ${String(longestWait / 1000)} s`)
}

function failureOf(answer: Buffer): KeeperFailure {
  if (answer.length < 6) return new KeeperFailure(undefined, undefined, 'its keeper died')
  const code = answer.readUInt8(1)
  const errno = answer.readUInt32LE(2)
  const said = answer.toString('utf8', 6).trim()
  return code === 255 ? new KeeperFailure(undefined, errnoName(errno), said) : new KeeperFailure(code, undefined, said)
}

/** It puts itself into the background at once. */
async function reaped(pid: number): Promise<void> {
  while (!reap(pid)) await sleep(1)
}
