/** The peers, each as the whole command that a user would run. Peers that aren't installed are left out. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { has } from '../peers.js'
import { makeBundle } from './oci-bundle.js'
import { median } from './table.js'
import type { Subject } from './trial.js'
import type { Workspace } from './workspace.js'

const run = promisify(execFile)

/** None but loopback, the host's, or a bridge with a way out. */
export type Network = 'own' | 'host' | 'bridge'
/** What a bundle for an OCI runtime can have: bridges are made by whoever calls it. */
export type OciNetwork = Exclude<Network, 'bridge'>

/** A subject that times one command. */
export function command(
  workspace: Workspace,
  name: string,
  argv: readonly string[],
  options: { readonly most?: number; readonly env?: NodeJS.ProcessEnv; readonly close?: () => Promise<void> } = {},
): Subject {
  return {
    name,
    ...(options.most === undefined ? {} : { most: options.most }),
    ...(options.close === undefined ? {} : { close: options.close }),
    async sample(count) {
      const times = await workspace.time(['command', String(count), ...argv], options.env)
      return { [name]: times.map(([, exit]) => exit) }
    },
  }
}

/** bare system calls; two rows, to the exec and to the exit. */
export function floor(workspace: Workspace, network: Network): Subject {
  return {
    name: `floor, ${network} network`,
    async sample(count) {
      const directory = join(workspace.directory, `floor-${network}`, String(process.hrtime.bigint()))
      await mkdir(join(directory, 'merged'), { recursive: true })
      const times = await workspace.time(['container', network, String(count), workspace.rootfs, directory])
      return {
        [`floor, ${network} network, to exec`]: times.map(([exec]) => exec),
        [floorRow(network)]: times.map(([, exit]) => exit),
      }
    },
  }
}

/** The row that the others are compared with. */
export function floorRow(network: Network): string {
  return `floor, ${network} network`
}

/** crun works with no hybrid layout unless the cgroup2 tree is out of its sight, which takes a wrapper. */
const HIDE_UNIFIED = 'umount /sys/fs/cgroup/unified; exec "$@"'
const WRAPPER = ['unshare', '-m', 'sh', '-c', HIDE_UNIFIED, 'sh'] as const
const WRAPPER_ROW = "crun's wrapper alone"

export async function crun(workspace: Workspace, network: OciNetwork): Promise<Subject[]> {
  if (!has('crun')) return []
  const bundle = await makeBundle(workspace, `crun-${network}`, network, ['/bin/true'])
  const state = join(workspace.directory, 'crun')
  const argv = ['crun', '--root', state, '--cgroup-manager', 'cgroupfs', 'run', '--bundle', bundle, 'bench-@@']
  const name = `crun run, ${network} network`
  if (!workspace.hybrid) return [command(workspace, name, argv)]
  return [command(workspace, `${name}, in its wrapper`, [...WRAPPER, ...argv])]
}

/** The time of the wrapper that crun needs here, so that it can be taken off. */
export function crunWrapper(workspace: Workspace): Subject[] {
  if (!has('crun') || !workspace.hybrid) return []
  return [command(workspace, WRAPPER_ROW, [...WRAPPER, 'true'])]
}

/** crun's own time: what the wrapper takes in the middle is taken off each run. */
export function withoutWrapper(samples: ReadonlyMap<string, readonly number[]>, network: Network): number[] {
  const wrapper = samples.get(WRAPPER_ROW)
  const wrapped = samples.get(`crun run, ${network} network, in its wrapper`)
  if (wrapper === undefined || wrapped === undefined) return []
  const off = median(wrapper)
  return wrapped.map((time) => time - off)
}

export async function runc(workspace: Workspace, network: OciNetwork): Promise<Subject[]> {
  if (!has('runc')) return []
  const bundle = await makeBundle(workspace, `runc-${network}`, network, ['/bin/true'])
  const state = join(workspace.directory, 'runc')
  return [
    command(workspace, `runc run, ${network} network`, [
      'runc',
      '--root',
      state,
      'run',
      '--bundle',
      bundle,
      'bench-@@',
    ]),
  ]
}

export function bwrap(workspace: Workspace, network: Network): Subject[] {
  if (!has('bwrap')) return []
  const unshare = ['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup']
  const mounts = ['--ro-bind', workspace.rootfs, '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp']
  const argv = ['bwrap', ...unshare, ...(network === 'own' ? ['--unshare-net'] : []), ...mounts, '/bin/true']
  return [command(workspace, `bwrap, ${network} network`, argv)]
}

/** Where podman binds a directory onto itself for the namespaces of its bridges, and leaves it so. */
const NAMESPACES = '/run/netns'

/** Podman's names of them. */
const NETWORKS: Readonly<Record<Network, string>> = { own: 'none', host: 'host', bridge: 'podling-bench' }

/** A podman with a storage, state and locks of its own in the workspace. */
export class Podman {
  readonly #argv: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  readonly #workspace: Workspace
  readonly #home: string
  #mounts: readonly string[] = []
  readonly image = 'localhost/podling-bench:latest'

  private constructor(workspace: Workspace, home: string, argv: readonly string[], env: NodeJS.ProcessEnv) {
    this.#workspace = workspace
    this.#home = home
    this.#argv = argv
    this.#env = env
  }

  /** @returns undefined when podman isn't installed. */
  static async make(workspace: Workspace): Promise<Podman | undefined> {
    if (!has('podman')) return undefined
    const home = await mkdtemp(join(workspace.directory, 'podman-'))
    const settings = join(home, 'containers.conf')
    await writeFile(
      settings,
      '[engine]\nevents_logger = "none"\ncgroup_manager = "cgroupfs"\nlock_type = "file"\n[containers]\nlog_driver = "k8s-file"\n' +
        `[network]\nnetwork_config_dir = "${join(home, 'networks')}"\n`,
    )
    const argv = ['podman', '--runtime', 'runc', '--root', join(home, 'root'), '--runroot', join(home, 'run')]
    const env = { ...process.env, CONTAINERS_CONF: settings, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
    const podman = new Podman(workspace, home, [...argv, '--tmpdir', join(home, 'tmp')], env)
    await podman.call('import', workspace.tar, podman.image)
    return podman
  }

  /** A network beside Podling's own, without names, since its server for them is another package. */
  async makeNetwork(): Promise<void> {
    const mounted = (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${NAMESPACES} `)
    if (!mounted) this.#mounts = [NAMESPACES]
    await this.call('network', 'create', '--disable-dns', '--subnet', '10.99.0.0/16', NETWORKS.bridge)
  }

  async call(...argv: readonly string[]): Promise<string> {
    const [program = 'podman', ...options] = [...this.#argv, ...argv]
    const { stdout } = await run(program, options, { env: this.#env })
    return stdout.trim()
  }

  /** The flags of `run` that go with every container here. */
  containerFlags(network: Network): string[] {
    return ['--network', NETWORKS[network], '--cgroup-parent', `/${this.#workspace.cgroup}`]
  }

  subject(name: string, most: number, argv: readonly string[]): Subject {
    return command(this.#workspace, name, [...this.#argv, ...argv], { most, env: this.#env })
  }

  start(network: Network): Subject {
    const argv = ['run', '--rm', ...this.containerFlags(network), this.image, '/bin/true']
    return this.subject(`podman run, ${network} network`, 30, argv)
  }

  /** Containers, images, and the bind mount that podman keeps on its storage. */
  async close(): Promise<void> {
    const remove = () => this.call('rm', '--all', '--force', '--time', '0')
    // A container that ends has podman clean up after it, which gets into the way of this one; once is enough.
    await remove().catch(remove)
    await this.call('rmi', '--all', '--force')
    const own = ['root/overlay', 'root', 'run'].map((directory) => join(this.#home, directory))
    for (const directory of [...own, ...this.#mounts]) {
      await run('umount', [directory]).catch(() => undefined) // mostly it isn't mounted
    }
  }
}
