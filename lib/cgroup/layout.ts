/**
 * Which cgroup hierarchies this machine has and where. Pure: it reads the texts of /proc/self/mountinfo and
 * /proc/self/cgroup (cgroups(7)).
 */
import { parseMountInfo, type MountInfo } from '../sys/mountinfo.js'

/**
 * `v2`: one tree with all controllers. `hybrid`: v1 hierarchies carry controllers, and a cgroup2 tree beside them is used
 * for what only it can do (kill, births, device programs). `v1`: no cgroup2 at all.
 */
export type LayoutMode = 'v2' | 'hybrid' | 'v1'

/** How a machine has its cgroups; `none`: an ordinary user may make none. */
export type CgroupMode = 'v2' | 'hybrid' | 'v1' | 'none'

/** A mounted hierarchy. `root` is the cgroup that stands at the mount point; `/` unless a container shows part of a tree. */
export interface HierarchyMount {
  readonly mountPoint: string
  readonly root: string
}

export interface Layout {
  readonly mode: LayoutMode
  /** v1 controller → its hierarchy. Controllers that are mounted together share one mount. */
  readonly v1: ReadonlyMap<string, HierarchyMount>
  readonly v2?: HierarchyMount
}

/** The v1 controllers that Linux has had; other words in a mount's options (`xattr`, `name=systemd`) are none. */
const V1_CONTROLLERS: ReadonlySet<string> = new Set([
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'net_cls',
  'net_prio',
  'perf_event',
  'hugetlb',
  'rdma',
  'misc',
])

/** The same hierarchy can be mounted twice; the one below /sys/fs/cgroup is the system's own, else the latest counts. */
function better(candidate: MountInfo, present: HierarchyMount | undefined): boolean {
  if (present === undefined) return true
  const usual = (mountPoint: string): boolean => /^\/sys\/fs\/cgroup(\/|$)/.test(mountPoint)
  return usual(candidate.mountPoint) || !usual(present.mountPoint)
}

/**
 * Read the layout out of /proc/self/mountinfo.
 * @returns undefined when no hierarchy that carries controllers is mounted.
 */
export function detectLayout(mountInfo: string): Layout | undefined {
  const v1 = new Map<string, HierarchyMount>()
  let v2: HierarchyMount | undefined
  for (const mount of parseMountInfo(mountInfo)) {
    const place = { mountPoint: mount.mountPoint, root: mount.root }
    if (mount.type === 'cgroup2' && better(mount, v2)) v2 = place
    if (mount.type !== 'cgroup') continue
    for (const option of mount.superOptions) {
      if (V1_CONTROLLERS.has(option) && better(mount, v1.get(option))) v1.set(option, place)
    }
  }
  if (v1.size > 0) return v2 === undefined ? { mode: 'v1', v1 } : { mode: 'hybrid', v1, v2 }
  return v2 === undefined ? undefined : { mode: 'v2', v1, v2 }
}

/** The cgroup2 path out of /proc/self/cgroup, such as `/user.slice/user-1000.slice/session-2.scope`. */
export function ownUnifiedPath(selfCgroup: string): string | undefined {
  return /^0::(\/.*)$/m.exec(selfCgroup)?.[1]
}

/**
 * The directory of a cgroup below a mount. A path that the mount doesn't show (it lies outside of the cgroup
 * namespace, `/../x`) becomes the mount point itself.
 */
export function directoryOf(mount: HierarchyMount, path: string): string {
  if (path.split('/').includes('..')) return mount.mountPoint
  const root = mount.root === '/' ? '' : mount.root
  if (path !== root && !path.startsWith(`${root}/`)) return mount.mountPoint
  const rest = path.slice(root.length).replace(/\/+$/, '')
  return `${mount.mountPoint === '/' ? '' : mount.mountPoint}${rest}`
}
