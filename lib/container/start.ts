// Not by promises of node:fs: each of them is a trip to the thread pool that costs more than all these small files.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname as osHostname } from 'node:os'
import { compilePlan } from '../launch/compile.js'
import type { Spec } from '../launch/oci-spec.js'
import type { Plan } from '../launch/plan.js'
import type { Attachment, NetworkStatus } from '../network/attachment.js'
import type { NetworkMode } from '../network/mode.js'
import { PodlingError } from '../errors.js'
import { fileError } from '../storage/file-error.js'
import { tryLock } from '../sys/libc.js'
import { cgroupMounts } from './cgroup-mounts.js'
import { etcHosts, resolvConf } from './etc-files.js'
import { attach, givenToMonitor, withNetworkPath } from './join-network.js'
import type { Lifecycle } from './lifecycle.js'
import { writeNetworkState } from './network-state.js'
import { requireStatus } from './status.js'

/** Make pid 1: compile the plan, hand it to the launcher, take up the monitor. Resolves when the command runs. */
export async function start(container: Lifecycle): Promise<void> {
  try {
    await launch(container)
  } catch (error) {
    throw fileError(error, `start container ${container.record.name}`)
  }
}

async function launch(container: Lifecycle): Promise<void> {
  const { context, paths, record } = container
  requireStatus('start', container.status, record.name)
  mkdirSync(paths.runDirectory, { recursive: true, mode: 0o700 })
  // Two hosts on one root may want to start the same container. The lock goes with its descriptor, however we end.
  const lock = openSync(paths.lock, 'w', 0o600)
  try {
    if (!tryLock(lock, 'exclusive')) throw startedElsewhere(record.name)
    if (existsSync(paths.socket)) await container.refresh()
    if (container.monitor !== undefined) throw startedElsewhere(record.name)
    rmSync(paths.exitFile, { force: true })
    await takeOver(container)
    // Another runtime on this root takes its empty parents along when it closes.
    await context.cgroups.prepare()
    const spec = await withNetworkPath(container)
    const attachment = await attach(container)
    try {
      const status = attachment?.status ?? { endpoints: [], ports: [] }
      writeNetworkState(paths.network, { ...status, changed: false })
      writeEtcFiles(container, status)
      const plan = planOf(container, spec, attachment)
      container.follow(await context.launcher.launch(plan, givenToMonitor(attachment)))
    } catch (error) {
      // The monitor gives all of it back, if it came so far; to look is to be sure.
      if (attachment !== undefined) await context.networks.release(record.id)
      throw error
    }
  } finally {
    closeSync(lock)
  }
}

/** A container is bound to the process that starts it, whichever made it. */
async function takeOver(container: Lifecycle): Promise<void> {
  const { context, record } = container
  if (record.owner === context.owner) return
  const { records } = context
  const taken = { ...record, owner: context.owner }
  await context.database.transaction(() => {
    if (records.get(record.id) === undefined) {
      throw new PodlingError('INVALID_STATE', `start container ${record.name}: another process has removed it`)
    }
    void records.put(record.id, taken)
  })
  container.record = taken
}

function startedElsewhere(name: string): PodlingError {
  return new PodlingError('INVALID_STATE', `start container ${name}: another process has started it`)
}

function planOf({ context, record, paths }: Lifecycle, spec: Spec, attachment: Attachment | undefined): Plan {
  const { options } = record
  const cgroup = context.cgroups.plan(record.id, spec.linux?.resources ?? {})
  const output = options.logDriver === 'none' ? 'null' : 'log'
  return compilePlan({
    spec,
    // What a bound container writes is gone with its host, so it need not be synced to disk.
    root: context.driver.rootOperation(record.id, { volatile: !options.detach }),
    cgroup,
    cgroupMounts: cgroupMounts(context.cgroups.mode, cgroup, `/${context.cgroupParent}/${record.id}`),
    stdio: { stdin: 'null', stdout: output, stderr: output },
    monitor: {
      lifetime: options.detach ? 'detached' : 'bound',
      socket: paths.socket,
      exitFile: paths.exitFile,
      ...(output === 'log' ? { log: paths.log } : {}),
    },
    init: options.init,
    ...(attachment === undefined ? {} : { network: attachment.launch }),
  })
}

/** Written anew at each start, since the host's own may have changed. */
function writeEtcFiles({ record, paths }: Lifecycle, status: NetworkStatus): void {
  const { options, spec } = record
  const hostname = spec.hostname ?? osHostname()
  const base = (path: string) => (options.network === 'host' ? readIfThere(path) : undefined)
  const hosts = base('/etc/hosts')
  writeFileSync(
    paths.hosts,
    etcHosts({
      hostname,
      extraHosts: options.extraHosts,
      addresses: status.endpoints.flatMap(({ addresses }) => addresses.map((text) => text.split('/')[0] ?? '')),
      ...(hosts === undefined ? {} : { base: hosts }),
    }),
  )
  writeFileSync(
    paths.resolvConf,
    resolvConf({ servers: options.dns, search: [], options: [], base: resolverBase(options.network) }),
  )
  writeFileSync(paths.hostname, `${hostname}\n`)
}

/** The host's resolvers, as far as they can be reached from where the container is. */
function resolverBase(network: NetworkMode): string | undefined {
  if (network === 'none') return undefined
  const text = readIfThere('/etc/resolv.conf')
  return network === 'host' ? text : text?.replaceAll(/^\s*nameserver\s+(127\.|::1\b).*$/gm, '')
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // No such file on this host is an ordinary case; the container then gets one without the host's entries.
    return undefined
  }
}
