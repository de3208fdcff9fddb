import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { compilePlan } from '../launch/compile.js'
import { PodlingError } from '../errors.js'
import { fileError } from '../storage/file-error.js'
import { tryLock } from '../sys/libc.js'
import { cgroupMounts } from './cgroup-mounts.js'
import { etcHosts, resolvConf } from './etc-files.js'
import type { Lifecycle } from './lifecycle.js'
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
  await mkdir(paths.runDirectory, { recursive: true, mode: 0o700 })
  // Two hosts on one root may want to start the same container. The lock goes with its descriptor, however we end.
  const lock = await open(paths.lock, 'w', 0o600)
  try {
    if (!tryLock(lock.fd, 'exclusive')) throw startedElsewhere(record.name)
    await container.refresh()
    if (container.monitor !== undefined) throw startedElsewhere(record.name)
    await Promise.all([rm(paths.exitFile, { force: true }), writeEtcFiles(container)])
    // Another runtime on this root takes its empty parents along when it closes.
    await context.cgroups.prepare()
    const monitor = await context.launcher.launch(planOf(container), [])
    container.follow(monitor)
  } finally {
    await lock.close()
  }
}

function startedElsewhere(name: string): PodlingError {
  return new PodlingError('INVALID_STATE', `start container ${name}: another process has started it`)
}

function planOf({ context, record, paths }: Lifecycle) {
  const { options, spec } = record
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
  })
}

/** Written anew at each start, since the host's own may have changed. */
async function writeEtcFiles({ record, paths }: Lifecycle): Promise<void> {
  const { options, spec } = record
  const hostname = spec.hostname ?? ''
  const onHostNetwork = options.network === 'host'
  const [hosts, resolver] = await Promise.all([
    onHostNetwork ? readIfThere('/etc/hosts') : undefined,
    onHostNetwork ? readIfThere('/etc/resolv.conf') : undefined,
  ])
  await Promise.all([
    writeFile(
      paths.hosts,
      etcHosts({
        hostname,
        extraHosts: options.extraHosts,
        addresses: [],
        ...(hosts === undefined ? {} : { base: hosts }),
      }),
    ),
    writeFile(paths.resolvConf, resolvConf({ servers: options.dns, search: [], options: [], base: resolver })),
    writeFile(paths.hostname, `${hostname}\n`),
  ])
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // No such file on this host is an ordinary case; the container then gets one without the host's entries.
    return undefined
  }
}
