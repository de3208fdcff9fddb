/** Find the machine's cgroups, make Podling's parent directories in them, and choose the layout's class. */
import { constants } from 'node:fs'
import { access, mkdir, readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PodlingError } from '../errors.js'
import type { Cgroups } from './cgroups.js'
import { hugepageName } from './convert.js'
import { errnoOf, writeValue } from './directories.js'
import { HybridCgroups } from './hybrid.js'
import { NoCgroups } from './none.js'
import { detectLayout, directoryOf, ownUnifiedPath, type Layout, type LayoutMode } from './layout.js'
import type { CgroupFacts } from './limits.js'
import type { Places } from './places.js'
import { V1Cgroups } from './v1.js'
import { V2Cgroups } from './v2.js'

export interface OpenCgroupsOptions {
  /**
   * The directory below which containers get theirs, in each hierarchy. For root it is counted from the top; for others
   * from the nearest cgroup that was delegated to them. `'/'` is that top itself.
   * @default 'podling'
   */
  readonly parent?: string
  /** Use the machine as if it had only this. @default what the machine has */
  readonly mode?: LayoutMode
  /** For an ordinary user: below what was delegated to him, and none where nothing was. @default false */
  readonly rootless?: boolean
  /**
   * Have containers enter every v1 hierarchy that is mounted and writable, as runc does and engines expect of a runtime, and
   * not only those that they are counted and limited by. @default false
   */
  readonly everyHierarchy?: boolean
}

/** v1 hierarchies that containers may have to enter; the others (perf_event) limit nothing. */
const V1_USED = [
  'memory',
  'cpu',
  'cpuacct',
  'pids',
  'cpuset',
  'blkio',
  'hugetlb',
  'rdma',
  'net_cls',
  'net_prio',
] as const
const V1_ALONE = ['freezer', 'devices'] as const

/** Switched on in pure v2 from the start, so that use is counted; the others wait until someone asks. */
const V2_ALWAYS: ReadonlySet<string> = new Set(['cpu', 'memory', 'pids', 'io'])

/**
 * Open the cgroups of this machine.
 * @throws CGROUP_UNAVAILABLE when none are mounted, or the parent can't be made there.
 */
export async function openCgroups(options: OpenCgroupsOptions = {}): Promise<Cgroups> {
  const components = parentComponents(options.parent ?? 'podling')
  const found = detectLayout(await readFile('/proc/self/mountinfo', 'utf8'))
  if (options.rootless) return openDelegated(found, components)
  const layout = asAsked(found, options.mode)
  const places = await makePlaces(layout, components, options.everyHierarchy)
  switch (layout.mode) {
    case 'v2':
      return new V2Cgroups(places)
    case 'hybrid':
      return new HybridCgroups(places)
    case 'v1':
      return new V1Cgroups(places)
  }
}

const delegation =
  'delegate one: with systemd and cgroup v2, run the program in a scope of the user (systemd-run --user --scope -p Delegate=yes ...); ' +
  'elsewhere, as root, make a cgroup2 directory and another in it, hand controllers down to the inner one (cgroup.subtree_control), ' +
  'give both with their cgroup.procs and cgroup.subtree_control to the user (chown), and start the program in the inner one'

/**
 * What an ordinary user may have: cgroup2 alone, as processes of a v1 hierarchy can't be entrusted to anybody (cgroups(7),
 * "Delegation"). Its device filter needs root of the machine; but there are no devices to be kept from but what the user has.
 */
async function openDelegated(found: Layout | undefined, components: readonly string[]): Promise<Cgroups> {
  const why =
    found?.v2 === undefined
      ? 'no cgroup2 hierarchy is mounted'
      : `the cgroup of this process is not its user's to make others in`
  const none = new NoCgroups(`${why}; ${delegation}`)
  if (found?.v2 === undefined) return none
  try {
    const places = await makePlaces({ ...found, v1: new Map() }, components)
    // Whose parent is there already may be another's.
    if (places.unified === undefined || !(await writable(places.unified))) return none
    return found.mode === 'v2' ? new V2Cgroups(places, false) : new HybridCgroups(places, false)
  } catch (error) {
    if (error instanceof PodlingError && error.code === 'CGROUP_UNAVAILABLE') return none
    throw error
  }
}

function parentComponents(parent: string): string[] {
  if (parent === '/') return []
  const components = parent.replace(/^\/+|\/+$/g, '').split('/')
  if (components.every((name) => /^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$/.test(name))) return components
  throw new PodlingError(
    'INVALID_OPTION',
    `cgroup parent: must be a path of cgroup names, such as "podling", got "${parent}"`,
  )
}

function asAsked(found: Layout | undefined, mode: LayoutMode | undefined): Layout {
  if (found === undefined) {
    throw new PodlingError(
      'CGROUP_UNAVAILABLE',
      'find cgroups: no hierarchy with controllers is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup)',
    )
  }
  if (mode === undefined || mode === found.mode) return found
  if (mode === 'v1' && found.mode === 'hybrid') return { mode, v1: found.v1 }
  throw new PodlingError('CGROUP_UNAVAILABLE', `use cgroups as ${mode}: this machine's layout is ${found.mode}`)
}

async function makePlaces(layout: Layout, components: readonly string[], all = false): Promise<Places> {
  const used = layout.mode === 'v1' ? [...V1_USED, ...V1_ALONE] : V1_USED
  const v1 = new Map<string, string>()
  for (const controller of used) {
    const mount = layout.v1.get(controller)
    if (mount !== undefined) v1.set(controller, join(mount.mountPoint, ...components))
  }
  for (const parent of new Set(v1.values())) await makeParent(parent)
  for (const [controller, { mountPoint }] of all ? layout.v1 : []) {
    const parent = join(mountPoint, ...components)
    if (!v1.has(controller) && (await canMake(parent))) v1.set(controller, parent)
  }

  const top = layout.v2 === undefined ? undefined : await unifiedTop(layout.v2)
  const unified = top === undefined ? undefined : join(top, ...components)
  if (unified !== undefined) await makeParent(unified)
  const chain = top === undefined ? [] : ['', ...components].map((_, i) => join(top, ...components.slice(0, i)))
  const v2 = top === undefined ? new Map<string, boolean | string>() : await unifiedControllers(layout, chain, v1)

  const cpuset = v1.get('cpuset')
  const set = cpuset === undefined ? undefined : await fillCpuset(layout.v1.get('cpuset')?.mountPoint ?? '/', cpuset)
  const facts: CgroupFacts = {
    files: await filesIn([...v1.values(), ...(unified === undefined ? [] : [unified])]),
    hugepageSizes: await hugepageSizes(),
    ...(set === undefined ? {} : { cpuset: set }),
  }
  return { mode: layout.mode, v1, v2, chain, facts, all, ...(unified === undefined ? {} : { unified }) }
}

async function canMake(parent: string): Promise<boolean> {
  try {
    await makeParent(parent)
    return true
  } catch {
    return false // Nothing of what was asked depends on it.
  }
}

async function makeParent(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o755 })
  } catch (error) {
    const errno = errnoOf(error)
    const remedy =
      errno === 'EROFS'
        ? 'it is mounted read-only here; remount it writable'
        : 'run as root, or from a systemd scope that is yours (systemd-run --user --scope -p Delegate=yes ...)'
    throw new PodlingError('CGROUP_UNAVAILABLE', `make the parent cgroup ${path}: ${errno}; ${remedy}`, {
      cause: error,
      syscall: 'mkdir',
      errno,
      path,
    })
  }
}

/**
 * The cgroup2 directory to work below. For root the mount point. For others the nearest ancestor of their own cgroup
 * that they may write to and that hands controllers down: with a delegated systemd user service that is
 * user@UID.service, to which everything of the user may move. Failing that, the own cgroup, whose processes keep
 * controllers from being handed down ('no internal processes'); tracking and killing still work there.
 */
async function unifiedTop(mount: { mountPoint: string; root: string }): Promise<string> {
  if (process.geteuid?.() === 0) return mount.mountPoint
  const own = directoryOf(mount, ownUnifiedPath(await readFile('/proc/self/cgroup', 'utf8')) ?? '/')
  for (let directory = own; directory.startsWith(mount.mountPoint); directory = dirname(directory)) {
    if (!(await writable(directory))) break
    if ((await words(join(directory, 'cgroup.subtree_control'))).length > 0) return directory
    if (directory === mount.mountPoint) break
  }
  return own
}

async function writable(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK)
    await access(join(directory, 'cgroup.procs'), constants.W_OK)
    return true
  } catch {
    return false
  }
}

async function words(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split(/\s+/).filter((word) => word !== '')
  } catch {
    return []
  }
}

/**
 * What each cgroup2 controller can do for containers. In pure v2 the usual ones are switched on here, from the top down
 * to the parent and nowhere else; that only adds files, it moves nobody and limits nothing.
 */
async function unifiedControllers(
  layout: Layout,
  chain: readonly string[],
  v1: ReadonlyMap<string, string>,
): Promise<Map<string, boolean | string>> {
  const controllers = new Map<string, boolean | string>()
  const available = await words(join(chain[0] ?? '/', 'cgroup.controllers'))
  for (const controller of available) {
    if (v1.has(controller)) continue
    const wanted = layout.mode === 'v2' && V2_ALWAYS.has(controller)
    controllers.set(controller, await handDown(chain, controller, wanted))
  }
  return controllers
}

async function handDown(chain: readonly string[], controller: string, wanted: boolean): Promise<boolean | string> {
  for (const directory of chain) {
    const file = join(directory, 'cgroup.subtree_control')
    if ((await words(file)).includes(controller)) continue
    if (!wanted) return false
    try {
      await writeValue(file, `+${controller}`)
    } catch (error) {
      const errno = errnoOf(error)
      return errno === 'EBUSY'
        ? `${directory} has processes of its own, and such a cgroup can't hand controllers down (move them into a child of it)`
        : `${directory} does not hand the ${controller} controller down: ${errno}`
    }
  }
  return true
}

/** An empty v1 cpuset takes no process, so each new directory on the way gets what its parent has. */
async function fillCpuset(mountPoint: string, parent: string): Promise<{ cpus: string; mems: string } | undefined> {
  const read = async (directory: string, file: string): Promise<string> =>
    (await readFile(join(directory, file), 'utf8')).trim()
  const ancestors = parent.slice(mountPoint.length).split('/').slice(1)
  let directory = mountPoint
  for (const name of ancestors) {
    const next = join(directory, name)
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if ((await read(next, file)) === '') await writeValue(join(next, file), await read(directory, file))
    }
    directory = next
  }
  return { cpus: await read(parent, 'cpuset.cpus'), mems: await read(parent, 'cpuset.mems') }
}

async function filesIn(directories: readonly string[]): Promise<Set<string>> {
  const lists = await Promise.all(
    [...new Set(directories)].map(async (directory) => {
      const entries = await readdir(directory, { withFileTypes: true })
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
    }),
  )
  return new Set(lists.flat())
}

async function hugepageSizes(): Promise<string[]> {
  try {
    const names = await readdir('/sys/kernel/mm/hugepages')
    return names.flatMap((name) => hugepageName(name) ?? [])
  } catch {
    return [] // a kernel without huge pages
  }
}
