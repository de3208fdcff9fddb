/**
 * Names of containers on networks. For each network a small process of the native helper answers (native/dns.c), which
 * needs no host: hosts write a file for each container, and find the responder by an abstract unix(7) address, which
 * belongs to the network namespace and ends with it.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { processStart } from '../sys/process-start.js'
import { close, pipe } from '../sys/descriptors.js'
import { reap } from '../sys/helper-process.js'
import { errnoName } from '../sys/libc.js'
import { connectUnix } from '../sys/unix-sockets.js'
import type { NetworkSpace } from './network-space.js'

/** Names work with and without this domain; native/dns_names.c has it too. */
export const namesDomain = 'dns.podling'

export interface NamesSetup {
  /** A directory of the run directory, the same for all hosts on one root. */
  readonly directory: string
  /** Where the networks are. */
  readonly space: Pick<NetworkSpace, 'enter' | 'openSocket' | 'beginNames' | 'resolvConf'>
  /**
   * Lead what containers ask at port 53 to other ports. @default where another program has port 53 of an address, there are no
   * names
   */
  readonly redirect?: (network: string, places: readonly AskedAt[]) => void
}

/** Where a responder is, for an address at which containers ask port 53. */
export interface AskedAt {
  readonly address: string
  readonly port: number
}

/** What a responder must know of its network. */
export interface NamedNetwork {
  readonly id: string
  readonly name: string
  /** The host's addresses on it, with prefix length, `'10.88.0.1/16'`: containers ask there. */
  readonly gateways: readonly string[]
  /** Ask the host's resolvers for what is no container; not on internal networks. */
  readonly forward: boolean
}

/** What others find of a container. */
export interface NamedContainer {
  readonly id: string
  /** A process with whose end it is forgotten: this one before its start, then its monitor. */
  readonly pid: number
  /** The first is what its addresses stand for. Names that DNS can't say are left out. */
  readonly names: readonly string[]
  /** Without prefix length. */
  readonly addresses: readonly string[]
  /** Resolvers that are asked for it in the place of the host's. */
  readonly servers?: readonly string[]
}

interface Responder {
  readonly connection: Socket
  /** Of a process that this one started. */
  readonly pid: number | undefined
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const connectTries = 20
const endPatience = 100
const reviveTries = 20
const revivePause = 100

export class Names {
  readonly #setup: NamesSetup
  readonly #responders = new Map<string, Responder>()
  readonly #starting = new Map<string, Promise<void>>()
  /** Of this process: the networks with what it has published on them. */
  readonly #published = new Map<string, { network: NamedNetwork; containers: Set<string> }>()
  #closed = false

  constructor(setup: NamesSetup) {
    this.#setup = setup
  }

  /**
   * Make a container known on a network, or known anew. When this resolves, whoever asks gets it.
   * @throws PodlingError `NAMES_FAILED`
   */
  async publish(network: NamedNetwork, container: NamedContainer): Promise<void> {
    // The responder is nobody, and reads here; the directory above is closed to others.
    mkdirSync(this.#directory(network.id), { recursive: true, mode: 0o755 })
    this.rewrite(network, container)
    const published = this.#published.get(network.id) ?? { network, containers: new Set() }
    published.containers.add(container.id)
    this.#published.set(network.id, published)
    await this.#ensure(network)
  }

  /** Say something else of a container that is published. @throws the errors of node:fs */
  rewrite(network: NamedNetwork, container: NamedContainer): void {
    const directory = this.#directory(network.id)
    const temporary = `${directory}/.${container.id}-${String(process.pid)}`
    writeFileSync(temporary, entryText(container), { mode: 0o644 })
    renameSync(temporary, `${directory}/${container.id}`)
  }

  /** Forget a container, on one network or on all. */
  withdraw(container: string, network?: string): void {
    for (const id of network === undefined ? this.#networks() : [network]) {
      rmSync(`${this.#directory(id)}/${container}`, { force: true })
      const published = this.#published.get(id)
      published?.containers.delete(container)
      if (published?.containers.size === 0) this.#published.delete(id)
    }
  }

  /** Forget a network, once no container is on it. */
  async remove(network: string): Promise<void> {
    this.#published.delete(network)
    const directory = this.#directory(network)
    for (const name of filesIn(directory)) rmSync(`${directory}/${name}`, { force: true })
    await this.#letGo(network)
    rmSync(this.#directory(network), { recursive: true, force: true })
  }

  /** Remove the files of containers that are gone; answers don't come from them any more. */
  async sweep(lives: (container: string) => Promise<boolean>): Promise<void> {
    for (const network of this.#networks()) {
      for (const name of filesIn(this.#directory(network))) {
        const container = name.replace(/^\.([0-9a-f]*)-\d+$/, '$1')
        if (!(await lives(container))) rmSync(`${this.#directory(network)}/${name}`, { force: true })
      }
    }
  }

  /** Let go of the responders. Each ends, unless another host or a container of it lives. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#starting.values())
    await Promise.all([...this.#responders.keys()].map((network) => this.#letGo(network)))
  }

  #directory(network: string): string {
    return `${this.#setup.directory}/${network}`
  }

  #networks(): string[] {
    return filesIn(this.#setup.directory)
  }

  async #ensure(network: NamedNetwork): Promise<void> {
    if (this.#responders.has(network.id)) return
    const starting = this.#starting.get(network.id) ?? this.#start(network)
    this.#starting.set(network.id, starting)
    try {
      await starting
    } finally {
      this.#starting.delete(network.id)
    }
  }

  /** Connect to the responder, or start it. Its files are written before: it ends when it finds none. */
  async #start(network: NamedNetwork): Promise<void> {
    const address = `podling-dns-${hash(this.#directory(network.id))}`
    let pid: number | undefined
    await this.#setup.space.enter(false)
    for (let attempt = 1; attempt <= connectTries; attempt++) {
      const connection = tryConnect(this.#setup.space, address)
      const places = connection === undefined ? undefined : await placesFrom(connection)
      if (connection !== undefined && places !== undefined) {
        this.#setup.redirect?.(network.id, places)
        this.#keep(network, connection, pid)
        return
      }
      const begun = await this.#begin(network, address)
      pid = begun?.pid
      // Another host has begun one that is not ready yet, or it is about to end.
      if (begun === undefined) await delay(attempt)
    }
    throw new PodlingError(
      'NAMES_FAILED',
      `answer for names on network ${network.name}: the responder ends as soon as it has begun`,
    )
  }

  #keep(network: NamedNetwork, connection: Socket, pid: number | undefined): void {
    this.#responders.set(network.id, { connection, pid })
    connection.on('error', () => undefined)
    connection.on('close', () => {
      this.#responders.delete(network.id)
      if (pid !== undefined) reapLater(pid)
      // It was killed. All it knew stands in files, so another one goes on from there.
      this.#revive(network.id).catch(() => undefined)
    })
    connection.resume()
    connection.unref()
  }

  /** What kills it may kill all that it is begun by as well, and that comes again after a moment. */
  async #revive(network: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const published = this.#published.get(network)
      if (this.#closed || published === undefined) return
      try {
        await this.#ensure(published.network)
        return
      } catch (error) {
        if (attempt === reviveTries) throw error
        await delay(revivePause, undefined, { ref: false })
      }
    }
  }

  async #letGo(network: string): Promise<void> {
    const responder = this.#responders.get(network)
    if (responder === undefined) return
    // Not by once(), which an error before it would fail: one that is killed in this moment is let go of as well.
    const closed = new Promise((resolve) => responder.connection.once('close', resolve))
    responder.connection.ref().end()
    await closed
    // Its end, if this is its end, is not later than the runtime's.
    const until = performance.now() + endPatience
    while (responder.pid !== undefined && performance.now() < until && !reap(responder.pid)) await delay(1)
  }

  /** @returns undefined when there is one already; its pid where it is a child of this process */
  async #begin(network: NamedNetwork, address: string): Promise<{ readonly pid: number | undefined } | undefined> {
    const { space, redirect } = this.#setup
    const report = pipe()
    let pid: number | undefined
    try {
      pid = space.beginNames(
        [
          address,
          this.#directory(network.id),
          network.forward ? space.resolvConf : '-',
          redirect === undefined ? 'fixed' : 'movable',
          ...network.gateways,
        ],
        report.write,
      )
    } catch (error) {
      close(report.read)
      throw error
    } finally {
      close(report.write)
    }
    const said = await readAll(report.read)
    if (said === 'ready\n') return { pid }
    if (pid !== undefined) reapLater(pid)
    if (said === 'busy\n') return undefined
    throw startError(network, said)
  }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** The file of a container; native/dns_names.c reads it. */
function entryText({ pid, names, addresses, servers = [] }: NamedContainer): string {
  const line = (word: string) => (value: string) => `${word} ${value}\n`
  return [
    `pid ${String(pid)} ${processStart(pid)}\n`,
    ...names.filter((name) => /^[^\s]{1,255}$/.test(name)).map(line('name')),
    ...addresses.map(line('address')),
    ...servers.map(line('server')),
  ].join('')
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function tryConnect(space: Pick<NetworkSpace, 'openSocket'>, address: string): Socket | undefined {
  const open = (): number => space.openSocket(AF_UNIX, SOCK_STREAM, 0, 'look for a responder for names')
  try {
    return new Socket({ fd: connectUnix(`\0${address}`, open), readable: true, writable: true })
  } catch (error) {
    if (error instanceof PodlingError && (error.errno === 'ECONNREFUSED' || error.errno === 'EAGAIN')) return undefined
    throw error
  }
}

/** What a responder says to each host first. @returns undefined from one that is about to end */
async function placesFrom(connection: Socket): Promise<AskedAt[] | undefined> {
  let said = ''
  connection.setTimeout(endPatience * 10, () => connection.destroy())
  try {
    for await (const chunk of connection.iterator({ destroyOnReturn: false })) {
      said += String(chunk)
      if (said.endsWith('\n')) break
    }
  } catch {
    // It was killed; another one is tried.
  }
  connection.setTimeout(0)
  if (!said.endsWith('\n')) return undefined
  return said
    .trim()
    .split(' ')
    .map((place) => {
      const [block = '', port] = place.split('=')
      return { address: block.split('/')[0] ?? '', port: Number(port) }
    })
}

async function readAll(fd: number): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of new Socket({ fd, readable: true, writable: false })) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** `failed ERRNO CALL ABOUT`, or nothing from one that was killed. */
function startError({ name }: NamedNetwork, said: string): PodlingError {
  const [, number = '', syscall = '', about = ''] = /^failed (\d+) (\S*) (.*)\n$/.exec(said) ?? []
  const what = `answer for names on network ${name}`
  if (syscall === '') return new PodlingError('NAMES_FAILED', `${what}: the responder died at its start`)
  const errno = errnoName(Number(number))
  const address = about.split('/')[0] ?? about
  const why =
    errno === 'EADDRINUSE'
      ? `another program has port 53 of ${address}; have it listen at other addresses, or make the network with dns: false`
      : `${syscall} ${about}: ${errno}`
  return new PodlingError('NAMES_FAILED', `${what}: ${why}`, { syscall, errno })
}

/** A child that has ended or will: nobody else takes its exit status. */
function reapLater(pid: number, pause = 1): void {
  if (reap(pid)) return
  setTimeout(() => {
    reapLater(pid, Math.min(pause * 2, 5000))
  }, pause).unref()
}
