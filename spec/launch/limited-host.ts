/**
 * A host in a user namespace of its own, whose limits it may change without a word to the rest of the machine:
 *
 *     unshare --user --map-root-user --mount node limited-host.js ROOT CGROUP...
 *
 * For each kind of namespace it forbids new ones, launches a container, allows them, and launches it again. Each line
 * on stdout is one {@link LimitedLaunch}. CGROUPs are directories for the container's own ones to stand in.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Launcher } from '../../lib/launch/launcher.js'
import type { NamespaceType, Plan } from '../../lib/launch/plan.js'
import { PodlingError } from '../../lib/errors.js'

export interface LimitedLaunch {
  readonly kind: string
  readonly warm: boolean
  readonly code: string
  readonly message: string
  /** What there is still after the failure: files, cgroups, processes. */
  readonly left: readonly string[]
  /** How the same plan ended with the limit as it was. */
  readonly exitCode: number
}

const [root = '', ...parents] = process.argv.slice(2)
const limits: Readonly<Partial<Record<NamespaceType, string>>> = {
  mount: 'mnt',
  pid: 'pid',
  uts: 'uts',
  ipc: 'ipc',
  network: 'net',
  cgroup: 'cgroup',
}
const attach = parents.map((parent) => join(parent, 'any/cgroup.procs'))

function plan(id: string): Plan {
  const directories = parents.map((parent) => join(parent, id))
  return {
    create: Object.keys(limits) as NamespaceType[],
    join: [],
    cgroup: { directories, writes: [], attach: directories.map((path) => join(path, 'cgroup.procs')) },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    operations: [
      { op: 'propagation', mode: 'private' },
      { op: 'root-bind', source: join(root, 'root') },
      { op: 'pivot-root' },
      { op: 'exec', argv: ['/bin/true'], env: [] },
    ],
    monitor: {
      lifetime: 'bound',
      socket: join(root, id, 'socket'),
      exitFile: join(root, id, 'exit'),
    },
  }
}

/** Only what has no children may be gone a moment later: the launcher is one, and it has no others. */
function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
}

async function settledChildren(pid: number, most: number): Promise<string[]> {
  for (let i = 0; i < 500 && childrenOf(pid).length > most; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  return childrenOf(pid).slice(most)
}

async function attempt(launcher: Launcher, id: string): Promise<{ code: string; message: string } | number> {
  try {
    const monitor = await launcher.launch(plan(id), [])
    return (await monitor.exited).exitCode
  } catch (error) {
    return { code: error instanceof PodlingError ? error.code : 'none', message: String(error) }
  }
}

for (const warm of [false, true]) {
  /** The slot that waits. Its stub is its own child. */
  const idle = warm ? 1 : 0
  for (const [kind, name] of Object.entries(limits)) {
    const file = `/proc/sys/user/max_${name}_namespaces`
    const before = readFileSync(file, 'utf8')
    const id = `${kind}-${String(warm)}`
    mkdirSync(join(root, id))
    writeFileSync(file, '0')
    // Only now, as a slot makes some namespaces ahead.
    const launcher = await Launcher.start(warm ? { warm: attach } : {})
    if (warm) while (!launcher.warm) await new Promise((resolve) => setTimeout(resolve, 10))
    const failed = await attempt(launcher, id)
    const left = [
      ...readdirSync(join(root, id)),
      ...parents.map((parent) => join(parent, id)).filter(existsSync),
      ...(await settledChildren(launcher.pid, idle)),
    ]
    writeFileSync(file, before)
    const exitCode = await attempt(launcher, id)
    const { code, message } = typeof failed === 'number' ? { code: 'started', message: String(failed) } : failed
    const result: LimitedLaunch = {
      kind,
      warm,
      code,
      message,
      left,
      exitCode: typeof exitCode === 'number' ? exitCode : -1,
    }
    process.stdout.write(`${JSON.stringify(result)}\n`)
    await launcher.close()
  }
}
