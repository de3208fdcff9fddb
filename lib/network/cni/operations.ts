/** ADD, DEL and CHECK of one container on one network: its plugins in their order (CNI specification, section 3). */
import { settleAll } from '../../teardown.js'
import type { CniRecord } from './cache.js'
import { CniError } from './cni-error.js'
import { atLeast, executionConfig, type CniNetwork, type CniPluginConfig } from './config.js'
import type { CniLock } from './lock.js'
import { parseResult, type CniResult } from './result.js'
import { runPlugin, type CniHost } from './run-plugin.js'

/** One operation on what a record tells of. */
export interface CniOperation {
  readonly record: CniRecord
  readonly host: CniHost
  /** A path of the container's network namespace; empty: it is gone. */
  readonly netns: string
  readonly lock: CniLock
  /** For messages: `add container web to network mynet`. */
  readonly what: string
}

/**
 * @param passed is told each result, before the next plugin runs
 * @returns the result of the last plugin, which has those of all
 * @throws CniError
 */
export async function add(operation: CniOperation, passed: (result: CniResult) => Promise<void>): Promise<CniResult> {
  let result: CniResult | undefined
  for (const plugin of operation.record.network.plugins) {
    const parsed = parseResult(await run('ADD', operation, plugin, result))
    if (typeof parsed === 'string') {
      throw new CniError('CNI_RESULT_INVALID', `${operation.what}: CNI plugin ${plugin.type} (ADD): ${parsed}`, {
        plugin: plugin.type,
        command: 'ADD',
      })
    }
    result = parsed
    await passed(result)
  }
  return result ?? {}
}

/**
 * DEL by all plugins, past failures.
 * @param done is called when nothing is left to be tried again, which may be before a failure comes out
 * @throws CniError, or `TEARDOWN_FAILED` for several
 */
export async function remove(operation: CniOperation, done: () => Promise<void>): Promise<void> {
  const { network, result, soFar } = operation.record
  // Of an ADD that came to no end, too: some plugins know by it alone what they made.
  const previous = atLeast(network.cniVersion, '0.4.0') ? (result ?? soFar) : undefined
  const steps: Promise<unknown>[] = []
  for (const plugin of network.plugins.toReversed()) {
    const step = run('DEL', operation, plugin, previous)
    steps.push(step)
    await step.catch(() => undefined)
  }
  const asked = (await Promise.allSettled(steps)).every(
    (one) => one.status === 'fulfilled' || (one.reason instanceof CniError && one.reason.pluginCode !== undefined),
  )
  const outcome = settleAll(operation.what, steps)
  // After an ADD that failed, plugins may miss what they never made. Those that could be asked have done what they can.
  if (result === undefined && asked) await outcome.catch(() => undefined)
  else await outcome
  await done()
  await outcome
}

/** @throws CniError when something is not as ADD made it */
export async function check(operation: CniOperation): Promise<void> {
  const { network, result } = operation.record
  for (const plugin of network.plugins) await run('CHECK', operation, plugin, result)
}

/** STATUS: can the plugins take an ADD? @throws CniError */
export async function askStatus(host: CniHost, network: CniNetwork): Promise<void> {
  for (const plugin of network.plugins) {
    await runPlugin(host, {
      plugin: plugin.type,
      command: 'STATUS',
      config: executionConfig(network, plugin, {}),
      env: {},
      what: `ask for the status of network ${network.name}`,
    })
  }
}

/** GC by one plugin. @param records what stays @throws CniError */
export async function collectOf(
  host: CniHost,
  network: CniNetwork,
  plugin: CniPluginConfig,
  records: readonly CniRecord[],
): Promise<void> {
  const valid = records
    .filter((record) => record.network.name === network.name)
    .map(({ containerId, ifname }) => ({ containerID: containerId, ifname }))
  await runPlugin(host, {
    plugin: plugin.type,
    command: 'GC',
    config: executionConfig(network, plugin, {}, { 'cni.dev/valid-attachments': valid }),
    env: {},
    what: `collect what network ${network.name} has left over`,
  })
}

function run(
  command: 'ADD' | 'DEL' | 'CHECK',
  { record, host, netns, lock, what }: CniOperation,
  plugin: CniPluginConfig,
  previous: CniResult | undefined,
): Promise<string> {
  const { network, containerId, ifname, args, capabilities } = record
  return runPlugin(host, {
    plugin: plugin.type,
    command,
    config: executionConfig(network, plugin, capabilities, previous === undefined ? {} : { prevResult: previous }),
    env: { CNI_CONTAINERID: containerId, CNI_NETNS: netns, CNI_IFNAME: ifname, CNI_ARGS: args },
    what,
    lock,
  })
}
