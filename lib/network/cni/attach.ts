/** The life of a container on CNI networks: ADD, CHECK, DEL (CNI specification, sections 2 and 3). */
import { open, type FileHandle } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import { settleAll } from '../../teardown.js'
import { CniCache, type CniRecord } from './cache.js'
import { CniError } from './cni-error.js'
import {
  atLeast,
  executionConfig,
  missingCapabilities,
  type CniCapabilityArgs,
  type CniNetwork,
  type CniPluginConfig,
} from './config.js'
import { parseResult, type CniResult } from './result.js'
import { findPlugin, runPlugin, type CniHost } from './run-plugin.js'

export interface CniSetup extends CniHost {
  /** A directory of the root, for what DEL will need. */
  readonly cacheDirectory: string
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
}

/** The CNI networks of a root. */
export class Cni {
  readonly #host: CniHost
  readonly #cache: CniCache
  /** Network namespaces of containers that this process attached: open, they outlive the container until its DEL. */
  readonly #namespaces = new Map<string, FileHandle>()

  constructor({ cacheDirectory, ...host }: CniSetup) {
    this.#host = host
    this.#cache = new CniCache(cacheDirectory)
  }

  /**
   * Add a container to a network. When a plugin fails, all get a DEL before the error comes out.
   * @throws CniError, whose cause holds both failures when a DEL failed too; `INVALID_OPTION` when the container wants
   * something that no plugin of the network can do
   */
  async attach(network: CniNetwork, target: CniTarget): Promise<CniResult> {
    const { containerId, netns, ifname = 'eth0', capabilities = {} } = target
    const what = `add container ${target.containerName ?? containerId.slice(0, 12)} to network ${network.name}`
    const missing = missingCapabilities(network, withoutArgs(capabilities))
    if (missing.length > 0) {
      throw new PodlingError(
        'INVALID_OPTION',
        `${what}: no plugin of its CNI configuration has the capability ${missing.join(', ')}; add it to the configuration, or leave out what needs it`,
      )
    }
    // Before the first of them does anything: one that is missing can't have its DEL either.
    for (const { type } of network.plugins) {
      await findPlugin(this.#host, { plugin: type, command: 'ADD', what })
    }
    const record: CniRecord = { network, containerId, ifname, args: cniArgs(capabilities), capabilities }
    await this.#cache.put(record)
    await this.#hold(containerId, netns)
    try {
      const result = await this.#add(record, netns, what)
      await this.#cache.put({ ...record, result })
      return result
    } catch (error) {
      const failure = await this.#undo(record, netns, error)
      if ((await this.#cache.list(containerId)).length === 0) await this.#letGo(containerId)
      throw failure
    }
  }

  async #add(record: CniRecord, netns: string, what: string): Promise<CniResult> {
    let result: CniResult | undefined
    for (const plugin of record.network.plugins) {
      const output = await this.#run('ADD', record, plugin, netns, result, what)
      const parsed = parseResult(output)
      if (typeof parsed === 'string') {
        throw new CniError('CNI_RESULT_INVALID', `${what}: CNI plugin ${plugin.type} (ADD): ${parsed}`, {
          plugin: plugin.type,
          command: 'ADD',
        })
      }
      result = parsed
    }
    return result ?? {}
  }

  /** The failure of an ADD stays what it was, whatever comes of undoing it. */
  async #undo(record: CniRecord, netns: string, error: unknown): Promise<unknown> {
    try {
      await this.#delete(record, netns)
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

  /**
   * Run DEL for all that a container has on CNI networks, or on one of them. Goes on past failures; what failed is tried
   * again by the next call. A container that has nothing is fine.
   * @throws CniError, or `TEARDOWN_FAILED` for several
   */
  async detach(containerId: string, { network }: { network?: string } = {}): Promise<void> {
    const records = await this.#cache.list(containerId)
    const meant = records.filter((record) => network === undefined || record.network.name === network)
    // Not by the number of its process, which may be that of another by now: a plugin would empty that one's namespace.
    const held = this.#namespaces.get(containerId)
    const netns = held === undefined ? '' : `/proc/${String(process.pid)}/fd/${String(held.fd)}`
    // Not at the same time: the specification forbids it for one container.
    const failures: Promise<void>[] = []
    for (const record of meant.reverse()) {
      const step = this.#delete(record, netns)
      failures.push(step)
      await step.catch(() => undefined)
    }
    if (meant.length === records.length) await this.#letGo(containerId)
    await settleAll(`remove container ${containerId.slice(0, 12)} from its CNI networks`, failures)
  }

  async #hold(containerId: string, netns: string): Promise<void> {
    if (!this.#namespaces.has(containerId)) this.#namespaces.set(containerId, await open(netns, 'r'))
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

  async #delete(record: CniRecord, netns: string): Promise<void> {
    const { network, containerId } = record
    const what = `remove container ${containerId.slice(0, 12)} from network ${network.name}`
    const previous = atLeast(network.cniVersion, '0.4.0') ? record.result : undefined
    const failures: Promise<unknown>[] = []
    for (const plugin of network.plugins.toReversed()) {
      const step = this.#run('DEL', record, plugin, netns, previous, what)
      failures.push(step)
      await step.catch(() => undefined)
    }
    const results = await Promise.allSettled(failures)
    const asked = results.every(
      (result) =>
        result.status === 'fulfilled' || (result.reason instanceof CniError && result.reason.pluginCode !== undefined),
    )
    const outcome = settleAll(what, failures)
    // After an ADD that failed, plugins may miss what they never made. Those that could be asked have done what they can.
    if (record.result === undefined && asked) await outcome.catch(() => undefined)
    else await outcome
    await this.#cache.remove(record)
    await outcome
  }

  /**
   * Run CHECK: is the network of a container as ADD made it? Networks before 0.4.0 and those with `disableCheck` have no
   * CHECK, and pass.
   * @throws CniError; `INVALID_STATE` when it is not on the network
   */
  async check(
    containerId: string,
    network: string,
    { netns, ifname = 'eth0' }: { netns: string; ifname?: string },
  ): Promise<void> {
    const what = `check container ${containerId.slice(0, 12)} on network ${network}`
    const record = await this.#cache.get(network, containerId, ifname)
    if (record?.result === undefined) throw new PodlingError('INVALID_STATE', `${what}: it is not on this network`)
    if (!atLeast(record.network.cniVersion, '0.4.0') || record.network.disableCheck) return
    for (const plugin of record.network.plugins) await this.#run('CHECK', record, plugin, netns, record.result, what)
  }

  /** Can the plugins take an ADD? Networks before 1.1.0 can't be asked, and pass. @throws CniError */
  async status(network: CniNetwork): Promise<void> {
    if (!atLeast(network.cniVersion, '1.1.0')) return
    for (const plugin of network.plugins) {
      await runPlugin(this.#host, {
        plugin: plugin.type,
        command: 'STATUS',
        config: executionConfig(network, plugin, {}),
        env: {},
        what: `ask for the status of network ${network.name}`,
      })
    }
  }

  /**
   * Run DEL for containers that are gone, and GC for what plugins still have of others.
   * @param lives tells whether a container is there
   * @throws CniError, or `TEARDOWN_FAILED` for several, after all has been tried
   */
  async collect(networks: readonly CniNetwork[], lives: (containerId: string) => Promise<boolean>): Promise<void> {
    const ids = [...new Set((await this.#cache.list()).map(({ containerId }) => containerId))]
    const gone: string[] = []
    for (const id of ids) if (!(await lives(id))) gone.push(id)
    await settleAll('remove dead containers from CNI networks', [...gone.map((id) => this.detach(id))])
    const records = await this.#cache.list()
    await settleAll(
      'collect what CNI plugins have left over',
      networks
        .filter(({ cniVersion, disableGC }) => atLeast(cniVersion, '1.1.0') && !disableGC)
        .flatMap((network) => network.plugins.map((plugin) => this.#collectOne(network, plugin, records))),
    )
  }

  async #collectOne(network: CniNetwork, plugin: CniPluginConfig, records: readonly CniRecord[]): Promise<void> {
    const valid = records
      .filter((record) => record.network.name === network.name)
      .map(({ containerId, ifname }) => ({ containerID: containerId, ifname }))
    await runPlugin(this.#host, {
      plugin: plugin.type,
      command: 'GC',
      config: executionConfig(network, plugin, {}, { 'cni.dev/valid-attachments': valid }),
      env: {},
      what: `collect what network ${network.name} has left over`,
    })
  }

  #run(
    command: 'ADD' | 'DEL' | 'CHECK',
    { network, containerId, ifname, args, capabilities }: CniRecord,
    plugin: CniPluginConfig,
    netns: string,
    previous: CniResult | undefined,
    what: string,
  ): Promise<string> {
    return runPlugin(this.#host, {
      plugin: plugin.type,
      command,
      config: executionConfig(network, plugin, capabilities, previous === undefined ? {} : { prevResult: previous }),
      env: { CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: ifname, CNI_ARGS: args },
      what,
    })
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

/** What CNI_ARGS says needs no capability; nor do aliases, which Podling's own names are made of. */
function withoutArgs({ portMappings }: CniCapabilityArgs): CniCapabilityArgs {
  return portMappings === undefined ? {} : { portMappings }
}
