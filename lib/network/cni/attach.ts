/** The life of a container on CNI networks: ADD, CHECK, DEL (CNI specification, sections 2 and 3). */
import { open, stat, type FileHandle } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import { settleAll } from '../../teardown.js'
import type { ContainerAccess } from '../container-access.js'
import { CniCache, type CniRecord } from './cache.js'
import { CniError } from './cni-error.js'
import { atLeast, missingCapabilities, type CniCapabilityArgs, type CniNetwork } from './config.js'
import { CniLock } from './lock.js'
import { add, askStatus, check, collectOf, remove, type CniOperation } from './operations.js'
import { parseResult, type CniResult } from './result.js'
import { standInOperations } from './stand-in.js'
import { findPlugin, type CniHost } from './run-plugin.js'

export interface CniSetup extends CniHost {
  /** A directory of the root, for what DEL will need. */
  readonly cacheDirectory: string
  /** Makes a network namespace in the place of one that is gone. @default DEL is told that there is none */
  readonly standIn?: ContainerAccess['standIn']
}

export interface CniTarget {
  readonly containerId: string
  /** For messages. @default the first digits of the id */
  readonly containerName?: string
  /** A path of its network namespace: `/proc/PID/ns/net` of a process that can't end meanwhile, as one at its barrier. */
  readonly netns: string
  /** Its link's name inside. @default 'eth0' */
  readonly ifname?: string
  readonly capabilities?: CniCapabilityArgs
  /** A link of the host that the plugins make, if it is not there: noted for whoever cleans up. */
  readonly makesLink?: string
}

/** The CNI networks of a root. */
export class Cni {
  readonly #host: CniHost
  readonly #directory: string
  readonly #cache: CniCache
  readonly #standIn: CniSetup['standIn']
  /** Network namespaces of containers that this process attached: open, they outlive the container until its DEL. */
  readonly #namespaces = new Map<string, FileHandle>()

  constructor({ cacheDirectory, standIn, ...host }: CniSetup) {
    this.#standIn = standIn
    this.#host = host
    this.#directory = cacheDirectory
    this.#cache = new CniCache(cacheDirectory)
  }

  /**
   * That a container can have what it wants on a network, before anything is done for it.
   * @throws CniError `CNI_PLUGIN_NOT_FOUND`; PodlingError `INVALID_OPTION` when no plugin of the network can do it
   */
  async prepare(network: CniNetwork, what: string, { portMappings }: CniCapabilityArgs = {}): Promise<void> {
    // What CNI_ARGS says needs no capability; nor do aliases, which Podling's own names are made of.
    const missing = missingCapabilities(network, portMappings === undefined ? {} : { portMappings })
    if (missing.length > 0) {
      throw new PodlingError(
        'INVALID_OPTION',
        `${what}: no plugin of its CNI configuration has the capability ${missing.join(', ')}; add it to the configuration, or leave out what needs it`,
      )
    }
    // Before the first of them does anything: one that is missing can't have its DEL either.
    const types = network.plugins.flatMap(({ type, ipam }) => [type, ...ipamOf(ipam)])
    for (const plugin of new Set(types)) await findPlugin(this.#hostOf(network), { plugin, command: 'ADD', what })
  }

  /**
   * Add a container to a network. When a plugin fails, all get a DEL before the error comes out.
   * @param verify looks at the result, and throws where it is not what was asked for: then it is undone, too
   * @throws CniError, whose cause holds both failures when a DEL failed too; and as {@link prepare}
   */
  async attach(
    network: CniNetwork,
    target: CniTarget,
    verify: (result: CniResult) => void = () => undefined,
  ): Promise<CniResult> {
    const { containerId, netns, ifname = 'eth0', capabilities = {}, makesLink } = target
    const what = `add container ${target.containerName ?? containerId.slice(0, 12)} to network ${network.name}`
    await this.prepare(network, what, capabilities)
    const record: CniRecord = {
      network,
      containerId,
      ifname,
      args: cniArgs(capabilities),
      capabilities,
      ...(makesLink === undefined ? {} : { makesLink }),
    }
    return await this.#locked(containerId, async (lock) => {
      const held = await this.#hold(containerId, netns)
      const operation = { record, host: this.#hostOf(network), netns, lock, what }
      await this.#removeBefore(operation)
      let reached = record
      try {
        await this.#cache.put(record)
        const result = await add(operation, async (soFar) => {
          reached = { ...record, soFar }
          await this.#cache.put(reached)
        })
        if ((await held.stat()).ino !== (await stat(netns)).ino) {
          throw new PodlingError('INVALID_STATE', `${what}: it ended meanwhile`)
        }
        verify(result)
        await this.#cache.put({ ...record, result })
        return result
      } catch (error) {
        const failure = await this.#undo({ ...operation, record: reached }, error)
        if ((await this.#cache.list(containerId)).length === 0) await this.#letGo(containerId)
        throw failure
      }
    })
  }

  /** A host may have been killed between an ADD and its end; a second ADD without a DEL is against the specification. */
  async #removeBefore(operation: CniOperation): Promise<void> {
    const { network, containerId, ifname } = operation.record
    const before = await this.#cache.get(network.name, containerId, ifname)
    if (before !== undefined) await this.#remove({ ...operation, record: before })
  }

  /** The failure of an ADD stays what it was, whatever comes of undoing it. */
  async #undo(operation: CniOperation, error: unknown): Promise<unknown> {
    try {
      await this.#remove(operation)
      return error
    } catch (second) {
      const [first, other] = [error, second].map((one) => (one instanceof Error ? one.message : String(one)))
      const message = `${String(first)}; and undoing it: ${String(other)}`
      const cause = new AggregateError([error, second])
      return error instanceof CniError
        ? new CniError(error.code, message, error, { cause })
        : new PodlingError('TEARDOWN_FAILED', message, { cause })
    }
  }

  async #remove(operation: CniOperation): Promise<void> {
    await remove(operation, () => this.#cache.remove(operation.record))
  }

  /** What a container has on CNI networks. */
  async records(containerId?: string): Promise<CniRecord[]> {
    return await this.#cache.list(containerId)
  }

  /**
   * Run DEL for all that a container has on CNI networks, or on one of them. Goes on past failures; what failed is tried
   * again by the next call. A container that has nothing is fine.
   * @param options.netns of a container that runs; of others it is gone, unless this process attached them
   * @param options.clear also what a host that was killed has left of a lock
   * @throws CniError, or `TEARDOWN_FAILED` for several
   */
  async detach(
    containerId: string,
    { network, netns = '', clear = false }: { network?: string; netns?: string; clear?: boolean } = {},
  ): Promise<void> {
    const has = async (): Promise<CniRecord[]> =>
      (await this.#cache.list(containerId)).filter((one) => network === undefined || one.network.name === network)
    if (clear || (await has()).length > 0) {
      // Not at the same time: the specification forbids it for one container.
      await this.#locked(containerId, async (lock) =>
        this.#removeEach((await has()).reverse(), containerId, netns, lock),
      )
    }
    if ((await this.#cache.list(containerId)).length === 0) await this.#letGo(containerId)
  }

  async #removeEach(records: readonly CniRecord[], containerId: string, given: string, lock: CniLock): Promise<void> {
    // Not by the number of its process, which may be that of another by now: a plugin would empty that one's namespace.
    const held = this.#namespaces.get(containerId)
    const netns = held === undefined ? given : `/proc/${String(process.pid)}/fd/${String(held.fd)}`
    const said = lock.leftOutput()
    const parsed = said === undefined ? undefined : parseResult(said)
    const left = typeof parsed === 'string' ? undefined : parsed
    const steps: Promise<void>[] = []
    for (const record of records) {
      const what = `remove container ${containerId.slice(0, 12)} from network ${record.network.name}`
      const host = this.#hostOf(record.network)
      const step = this.#removeFrom({ record, host, netns, lock, what }, left)
      steps.push(step)
      await step.catch(() => undefined)
    }
    await settleAll(`remove container ${containerId.slice(0, 12)} from its CNI networks`, steps)
  }

  /** @param left of a plugin whose host was killed before it could note it */
  async #removeFrom(operation: CniOperation, left: CniResult | undefined): Promise<void> {
    const { result, soFar } = operation.record
    const known = result ?? soFar ?? left
    const gone = operation.netns === '' && known !== undefined
    const place = gone ? await this.#standIn?.(standInOperations(known, operation.record.ifname)) : undefined
    if (place === undefined) {
      await this.#remove(operation)
      return
    }
    try {
      await this.#remove({ ...operation, netns: place.netns })
    } catch {
      // A DEL that was interrupted has taken away what some plugins, shown a link, can't do without.
      await this.#remove(operation)
    } finally {
      await place.end()
    }
  }

  async #locked<T>(containerId: string, work: (lock: CniLock) => Promise<T>): Promise<T> {
    const lock = await CniLock.take(this.#directory, containerId)
    try {
      return await work(lock)
    } finally {
      lock.release()
    }
  }

  #hostOf(network: CniNetwork): CniHost {
    return { ...this.#host, ...network.host }
  }

  async #hold(containerId: string, netns: string): Promise<FileHandle> {
    const held = this.#namespaces.get(containerId) ?? (await open(netns, 'r'))
    this.#namespaces.set(containerId, held)
    return held
  }

  async #letGo(containerId: string): Promise<void> {
    const held = this.#namespaces.get(containerId)
    this.#namespaces.delete(containerId)
    await held?.close()
  }

  /** Let go of the namespaces of containers that others will remove. */
  async close(): Promise<void> {
    await settleAll(
      'let go of network namespaces',
      [...this.#namespaces.keys()].map((id) => this.#letGo(id)),
    )
  }

  /**
   * Run CHECK: is the network of a container as ADD made it? Networks before 0.4.0 and those with `disableCheck` have no
   * CHECK, and pass.
   * @param netns the path that ADD was given: plugins compare them
   * @throws CniError; `INVALID_STATE` when it is not on the network
   */
  async check(
    containerId: string,
    network: string,
    { netns, ifname = 'eth0' }: { netns: string; ifname?: string },
  ): Promise<void> {
    const what = `check container ${containerId.slice(0, 12)} on network ${network}`
    await this.#locked(containerId, async (lock) => {
      const record = await this.#cache.get(network, containerId, ifname)
      if (record?.result === undefined) throw new PodlingError('INVALID_STATE', `${what}: it is not on this network`)
      if (!atLeast(record.network.cniVersion, '0.4.0') || record.network.disableCheck) return
      await check({ record, host: this.#hostOf(record.network), netns, lock, what })
    })
  }

  /** Can the plugins take an ADD? Networks before 1.1.0 can't be asked, and pass. @throws CniError */
  async status(network: CniNetwork): Promise<void> {
    if (!atLeast(network.cniVersion, '1.1.0')) return
    await askStatus(this.#hostOf(network), network)
  }

  /**
   * Run DEL for containers that are gone; where there were such, GC for what plugins still have of others.
   * @param lives tells whether a container is there
   * @returns what failed, after all has been tried
   */
  async collect(networks: readonly CniNetwork[], lives: (containerId: string) => Promise<boolean>): Promise<unknown[]> {
    const noted = (await this.#cache.list()).map(({ containerId }) => containerId)
    // One may have been killed before it had noted anything, or after all was removed.
    const ids = [...new Set([...noted, ...CniLock.leftIn(this.#directory)])]
    const gone: string[] = []
    for (const id of ids) if (!(await lives(id))) gone.push(id)
    if (gone.length === 0) return []
    const removed = await Promise.allSettled(gone.map((id) => this.detach(id, { clear: true })))
    const records = await this.#cache.list()
    const collected = await Promise.allSettled(
      networks
        .filter(({ cniVersion, disableGC }) => atLeast(cniVersion, '1.1.0') && !disableGC)
        .flatMap((network) =>
          network.plugins.map((plugin) => collectOf(this.#hostOf(network), network, plugin, records)),
        ),
    )
    return [...removed, ...collected].flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []))
  }
}

/** Addresses also go as CNI_ARGS, for plugins older than the capabilities for them; nobody else minds what he doesn't know. */
function cniArgs({ ips, mac }: CniCapabilityArgs): string {
  const [ip] = ips ?? []
  return [
    'IgnoreUnknown=1',
    ...(ip === undefined ? [] : [`IP=${ip}`]),
    ...(mac === undefined ? [] : [`MAC=${mac}`]),
  ].join(';')
}

/** The program that a plugin has give addresses. */
function ipamOf(ipam: unknown): string[] {
  const type = typeof ipam === 'object' && ipam !== null ? (ipam as { readonly type?: unknown }).type : undefined
  return typeof type === 'string' && type !== '' ? [type] : []
}
