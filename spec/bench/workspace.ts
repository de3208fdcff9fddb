/** The files that a benchmark works with: one temporary directory, a root file system of busybox, the stop watch. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, rmdir, symlink, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { detectLayout } from '../../lib/cgroup/layout.js'

const run = promisify(execFile)
const BUSYBOX = '/usr/bin/busybox'
const APPLETS = ['sh', 'true', 'sleep', 'cat', 'dd', 'echo', 'rm'] as const

export class Workspace {
  readonly directory: string
  /** A directory with static busybox and mount points. */
  readonly rootfs: string
  /** The same as a plain tar. */
  readonly tar: string
  /** The compiled floor.c, with floor_bridge.c. */
  readonly stopWatch: string
  /** A cgroup below which peers put theirs, so that this can be cleared away. */
  readonly cgroup: string
  /** v1 hierarchies with a cgroup2 tree beside them, which crun refuses to work with. */
  readonly hybrid: boolean

  private constructor(directory: string, hybrid: boolean) {
    this.directory = directory
    this.hybrid = hybrid
    this.rootfs = join(directory, 'rootfs')
    this.tar = join(directory, 'rootfs.tar')
    this.stopWatch = join(directory, 'floor')
    this.cgroup = `podling-bench-${String(process.pid)}`
  }

  static async make(): Promise<Workspace> {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8')
    const directory = await mkdtemp(join(tmpdir(), 'podling-bench-'))
    const workspace = new Workspace(directory, detectLayout(mounts)?.mode === 'hybrid')
    try {
      await workspace.#fill()
      return workspace
    } catch (error) {
      await workspace[Symbol.asyncDispose]()
      throw error
    }
  }

  async #fill(): Promise<void> {
    for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp']) {
      await mkdir(join(this.rootfs, name), { recursive: true })
    }
    await copyFile(BUSYBOX, join(this.rootfs, 'bin/busybox'))
    for (const name of APPLETS) await symlink('busybox', join(this.rootfs, 'bin', name))
    await run('tar', ['-C', this.rootfs, '-cf', this.tar, '.'])
    const sources = ['floor.c', 'floor_bridge.c'].map((name) =>
      fileURLToPath(new URL(`../../../spec/bench/${name}`, import.meta.url)),
    )
    await run('cc', ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-o', this.stopWatch, ...sources])
  }

  /** Run the stop watch; each of its lines is one run: milliseconds to the exec, and to the exit. */
  async time(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<[exec: number, exit: number][]> {
    const { stdout } = await run(this.stopWatch, argv, { env, maxBuffer: 64 << 20 })
    const lines = stdout.split('\n').filter((line) => /^[\d.]+ [\d.]+$/.test(line))
    return lines.map((line) => {
      const [exec = NaN, exit = NaN] = line.split(' ').map((text) => Number(text) / 1000)
      return [exec, exit]
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeCgroups(this.cgroup)
    await rm(this.directory, { recursive: true, force: true })
  }
}

/**
 * Remove the cgroup of this name from every hierarchy, with the empty ones inside it. Podman makes plain files and directories
 * where a controller has no hierarchy here; these go too.
 */
async function removeCgroups(name: string): Promise<void> {
  const clear = async (directory: string): Promise<void> => {
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
      const path = join(directory, entry.name)
      // A cgroup's own files can't be removed, and go with it.
      await (entry.isDirectory() ? clear(path) : unlink(path).catch(() => undefined))
    }
    await rmdir(directory).catch(() => undefined)
  }
  const top = '/sys/fs/cgroup'
  for (const entry of await readdir(top, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await clear(join(top, entry.name, name))
  }
  await clear(join(top, name))
}
