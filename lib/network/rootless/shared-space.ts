/**
 * The network namespace that bridges of an ordinary user are in: one for a run directory, shared by all hosts on it and by the
 * monitors of containers that are on bridges (native/space.c keeps it). Its way out, once a container needs one, is a pasta of its
 * own, and published ports are sockets of the host, forwarded by processes of the helper.
 *
 * Who uses it holds a lock, and with the last one it ends. Whoever is killed at any step leaves nothing: a namespace lasts as
 * long as its processes, a lock as long as its holder.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import { lockFile } from '../../storage/lock.js'
import { close, duplicate, pipe } from '../../sys/descriptors.js'
import { tryLock } from '../../sys/file-calls.js'
import { connectUnix, listenerPid } from '../../sys/unix-sockets.js'
import type { Forward, NetworkSpace, SpacePass } from '../network-space.js'
import { gatewayOfPasta, pastaFacts, startPasta } from '../pasta.js'
import type { UserModeRequest } from '../user-mode.js'
import { SpaceChannel } from './space-channel.js'

export interface SharedSpaceOptions {
  /** A directory of the run directory, made when missing. */
  readonly directory: string
  /** The helper program. */
  readonly helper: string
  /** A path of the user namespace that it is to belong to. */
  readonly userNamespace: () => string
  /** The sockets that monitors may listen on: some of those may be in it. */
  readonly monitorSockets: () => readonly string[]
}

const lockRetry = 1
const wayOutTries = 100
const wayOutPause = 50

export class SharedSpace implements NetworkSpace {
  readonly limits =
    "an ordinary user's networks are in a network namespace of their own: there are bridges alone, and ports of TCP and UDP; for more, run as root"
  readonly #options: SharedSpaceOptions
  #entering: Promise<boolean> | undefined
  /** While it has this lock, what is there stays. */
  #users: number | undefined
  #channel: SpaceChannel | undefined
  #namespace: number | undefined
  #watch: Socket | undefined
  #closed = false

  constructor(options: SharedSpaceOptions) {
    this.#options = options
  }

  readonly host = gatewayOfPasta

  get isThere(): boolean {
    return this.#channel !== undefined
  }

  get resolvConf(): string {
    return `${this.#options.directory}/resolv.conf`
  }

  async enter(outward: boolean): Promise<void> {
    while (!(await this.#come(true, outward)));
  }

  async find(): Promise<boolean> {
    return await this.#come(false, false)
  }

  /** One after the other: who only looked may have found nothing, and who needed no way out made none. */
  async #come(make: boolean, outward: boolean): Promise<boolean> {
    if (this.#channel?.isAlive !== true) this.#lose()
    if (this.#channel !== undefined && !(outward && !this.#channel.hasWayOut)) return true
    if (this.#entering !== undefined) {
      await this.#entering
      return !make && this.#channel !== undefined
    }
    this.#entering = this.#enter(make, outward).finally(() => (this.#entering = undefined))
    return await this.#entering
  }

  async #enter(make: boolean, outward: boolean): Promise<boolean> {
    const { directory } = this.#options
    mkdirSync(directory, { recursive: true, mode: 0o711 })
    const lock = await lockFile(`${directory}/lock`)
    try {
      this.#users ??= await joinUsers(`${directory}/users`)
      let channel = this.#channel ?? SpaceChannel.connect(this.#socket)
      if (channel === undefined) {
        const there = this.#namespace ?? this.#ofMonitors()
        if (there === undefined && !make) {
          this.#leave()
          return false
        }
        if (there === undefined) rmSync(this.#wayOutWanted, { force: true })
        await this.#begin(there)
        if (there !== undefined && there !== this.#namespace) close(there)
        channel = SpaceChannel.connect(this.#socket)
        if (channel === undefined) throw new PodlingError('NETWORK_FAILED', `${begin}: it was ended at once`)
      }
      this.#namespace ??= channel.namespace()
      if (this.#channel !== channel) this.#watchOver(channel)
      this.#channel = channel
      const before = existsSync(this.#wayOutWanted)
      if ((outward || before) && !channel.hasWayOut) {
        try {
          await this.#beginWayOut(channel, before)
        } catch (error) {
          // Whoever needs it hears why it can't be; what is internal goes on.
          if (outward) throw error
        }
      }
      return true
    } catch (error) {
      if (this.#namespace === undefined) this.#leave()
      throw error
    } finally {
      lock.release()
    }
  }

  /** A file that is there once a container needed a way out: one that ends is begun again then. */
  get #wayOutWanted(): string {
    return `${this.#options.directory}/outward`
  }

  get #socket(): string {
    return `${this.#options.directory}/socket`
  }

  #leave(): void {
    if (this.#users !== undefined) closeSync(this.#users)
    this.#users = undefined
  }

  /** The namespace that monitors are in whose keeper was killed. */
  #ofMonitors(): number | undefined {
    const own = readlinkSync('/proc/self/ns/net')
    for (const socket of this.#options.monitorSockets()) {
      const fd = namespaceOfListener(socket, own)
      if (fd !== undefined) return fd
    }
    return undefined
  }

  async #begin(there: number | undefined): Promise<void> {
    const { directory, helper, userNamespace } = this.#options
    writeFileSync(this.resolvConf, `nameserver ${pastaFacts.resolver}\n`, { mode: 0o644 })
    const user = openSync(userNamespace(), 'r')
    const keeper = spawn(helper, ['space', this.#socket, `${directory}/users`], {
      cwd: '/',
      env: {},
      stdio: ['ignore', 'ignore', 'pipe', user, ...(there === undefined ? [] : [there])],
    })
    closeSync(user)
    keeper.unref()
    let said = ''
    keeper.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
    if (keeper.stderr !== null) await once(keeper.stderr, 'close')
    if (said === '') return
    keeper.kill('SIGKILL')
    throw new PodlingError('NETWORK_FAILED', `${begin}: ${said.trim()}`)
  }

  /**
   * It ends with the keeper, and the keeper knows whether it is there.
   * @param again another may just have been ended
   */
  async #beginWayOut(channel: SpaceChannel, again: boolean): Promise<void> {
    const { directory, helper } = this.#options
    const lifetime = pipe()
    try {
      const netns = `/proc/${String(channel.pid)}/ns/net`
      const request = { netns, ports: [], lifetime: lifetime.read, helper, directory, hostGateway: true }
      await startWayOut(request, again ? wayOutTries : 1)
      // Before, it would tell of the end of one that could not be begun, and have that tried again for ever.
      channel.keepWayOut(lifetime.write)
      if (!again) writeFileSync(this.#wayOutWanted, '')
    } finally {
      close(lifetime.write)
      close(lifetime.read)
    }
  }

  /** What is killed is begun again at once: containers need the way out, which goes with the keeper. */
  #watchOver(channel: SpaceChannel): void {
    const ends = pipe({ nonBlocking: true })
    try {
      channel.watch(ends.write)
    } finally {
      close(ends.write)
    }
    const socket = new Socket({ fd: ends.read, readable: true, writable: false })
    this.#watch = socket
    const again = (lost: boolean): void => {
      if (this.#closed || this.#watch !== socket) return
      if (lost) this.#lose()
      // Whoever needs it next hears why it can't be.
      this.enter(!lost).catch(() => undefined)
    }
    socket.on('error', () => undefined)
    socket.on('data', () => {
      again(false)
    })
    socket.on('close', () => {
      again(true)
    })
    socket.unref()
  }

  #lose(): void {
    this.#watch?.destroy()
    this.#watch = undefined
    this.#channel?.close()
    this.#channel = undefined
  }

  #must(what: string): SpaceChannel {
    if (this.#channel !== undefined) return this.#channel
    throw new PodlingError('NETWORK_FAILED', `${what}: the keeper of this user's networks was ended; try again`)
  }

  openSocket(domain: number, type: number, protocol: number, what: string): number {
    return this.#must(what).socket(domain, type, protocol, what)
  }

  readSysctl(path: string): string | undefined {
    return this.#must(`read the sysctl ${path}`).readSysctl(path.replace(/^net\//, ''))
  }

  writeSysctl(path: string, value: string): void {
    const before = this.readSysctl(path)
    if (before === value || before === undefined) return
    this.#must(`set the sysctl ${path}`).writeSysctl(path.replace(/^net\//, ''), value)
  }

  beginNames(args: readonly string[], report: number): undefined {
    this.#must('begin a responder for names').names(args, report)
  }

  async exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    mkdirSync(this.#options.directory, { recursive: true, mode: 0o711 })
    const lock = await lockFile(`${this.#options.directory}/exclusive`)
    try {
      return await work()
    } finally {
      lock.release()
    }
  }

  pass(forwards: readonly Forward[]): SpacePass {
    const what = 'give a container its network'
    const held: number[] = []
    try {
      const channel = this.#must(what)
      if (this.#users === undefined) throw new RangeError(what)
      held.push(duplicate(this.#users))
      if (forwards.length > 0) {
        const lifetime = pipe()
        held.push(lifetime.write)
        try {
          channel.forward(lifetime.read, forwards)
        } finally {
          close(lifetime.read)
        }
      }
      return { path: `/proc/${String(channel.pid)}/ns/net`, held }
    } catch (error) {
      for (const fd of held) close(fd)
      throw error
    } finally {
      for (const { fd } of forwards) close(fd)
    }
  }

  isKeptBy(monitor: number): boolean {
    if (this.#namespace === undefined) return false
    try {
      return (
        readlinkSync(`/proc/${String(monitor)}/ns/net`) === readlinkSync(`/proc/self/fd/${String(this.#namespace)}`)
      )
    } catch {
      // It has ended.
      return false
    }
  }

  close(): void {
    this.#closed = true
    this.#lose()
    if (this.#namespace !== undefined) close(this.#namespace)
    this.#namespace = undefined
    this.#leave()
  }
}

const begin = 'make a network namespace for bridges'

/** The pasta of a keeper that was killed ends a moment after that, and its link with it. */
async function startWayOut(request: UserModeRequest, tries: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await startPasta(request)
      return
    } catch (error) {
      const failed = error instanceof PodlingError && error.code === 'NETWORK_PROGRAM_FAILED'
      if (!failed || attempt === tries) throw error
      await sleep(wayOutPause)
    }
  }
}

/** Waits while a keeper ends whom nobody needed any more. */
async function joinUsers(path: string): Promise<number> {
  const fd = openSync(path, 'a', 0o600)
  try {
    while (!tryLock(fd, 'shared')) await sleep(lockRetry)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function namespaceOfListener(socket: string, own: string): number | undefined {
  let connection: number
  try {
    connection = connectUnix(socket)
  } catch {
    // Nobody listens there.
    return undefined
  }
  try {
    const path = `/proc/${String(listenerPid(connection))}/ns/net`
    return readlinkSync(path) === own ? undefined : openSync(path, 'r')
  } catch {
    // It has ended meanwhile.
    return undefined
  } finally {
    close(connection)
  }
}
