/** Where a container's cgroups are, and which file of which hierarchy carries out which limit. Pure. */
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import type { LayoutMode } from './layout.js'
import { askedSections, missing, type CgroupFacts, type Limit, type Section } from './limits.js'
import { v1Limits } from './limits-v1.js'
import { v2Limits } from './limits-v2.js'
import type { LinuxResources } from './resources.js'

/** The parent directories below which every container gets one directory, and what is known of them. */
export interface Places {
  readonly mode: LayoutMode
  /** v1 controller → the parent directory in its hierarchy. */
  readonly v1: ReadonlyMap<string, string>
  /** The parent directory in the cgroup2 tree. */
  readonly unified?: string
  /**
   * cgroup2 controllers that containers can have: true where the parent hands it down already, false where it has to be
   * switched on first, the reason where that can't be done.
   */
  readonly v2: ReadonlyMap<string, boolean | string>
  /** cgroup2 directories from the topmost to the parent whose subtree_control has to name a controller. */
  readonly chain: readonly string[]
  readonly facts: CgroupFacts
  /** Every v1 controller is entered. @default false: those that are needed */
  readonly all?: boolean
}

export interface Write {
  readonly path: string
  readonly value: string
  readonly optional?: boolean
}

/** Limits with their paths. */
export interface PlacedLimits {
  /** v1 controllers that have to be entered. */
  readonly entered: readonly string[]
  readonly writes: readonly Write[]
}

/**
 * Ids become directory names, so they must not climb, hide or be the name of one of the kernel's own files. `POD/ID` is
 * one that stands in the cgroup of a pod.
 */
export function checkId(places: Places, id: string): void {
  const names = id.split('/')
  const fits = (name: string): boolean =>
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name) && !places.facts.files.has(name)
  if (names.length <= 2 && names.every(fits)) return
  throw new PodlingError(
    'INVALID_OPTION',
    `cgroup id: must be 1..128 letters, digits or _.- and no cgroup file, got "${id}"`,
  )
}

/** The id of the pod whose cgroup a cgroup stands in. */
export function podOf(id: string): string | undefined {
  return id.includes('/') ? id.slice(0, id.indexOf('/')) : undefined
}

function withPath(directory: string, limits: readonly Limit[]): Write[] {
  return limits.map(({ file, value, optional }) => ({
    path: join(directory, file),
    value,
    ...(optional === true ? { optional } : {}),
  }))
}

/** These have no cgroup2 form at all, and v2Limits says so. */
const NEVER_IN_V2: ReadonlySet<Section> = new Set(['net_cls', 'net_prio'])

const v2Name = (section: Section): string => (section === 'blkio' ? 'io' : section)

/** Switch a cgroup2 controller on for what stands beside this id; nothing where it is on. */
function enable(places: Places, id: string, controller: string): Write[] {
  if (places.v2.get(controller) === true) return []
  const pod = podOf(id)
  const { chain, unified } = places
  const above = pod === undefined || unified === undefined ? chain : [...chain, join(unified, pod)]
  return above.map((directory) => ({ path: join(directory, 'cgroup.subtree_control'), value: `+${controller}` }))
}

function controllerMissing(places: Places, what: string, controller: string): PodlingError {
  const reason = places.v2.get(controller)
  const why =
    typeof reason === 'string'
      ? reason
      : `the ${controller} controller is ${places.mode === 'v2' ? 'not available in the cgroup2 tree' : 'not mounted'}`
  const top = places.chain[0] ?? '/sys/fs/cgroup'
  const remedy =
    places.mode === 'v2'
      ? `enable it above (echo +${controller} > ${top}/cgroup.subtree_control as root, or for a user's services` +
        ` Delegate=yes in a drop-in of user@.service), or leave the limit out`
      : `mount it (mount -t cgroup -o ${controller} cgroup /sys/fs/cgroup/${controller}; the kernel must not be booted` +
        ` with cgroup_disable=${controller}), or leave the limit out`
  return missing(what, why, remedy)
}

const SECTION_WORDS: Readonly<Record<Section, string>> = {
  memory: 'a memory limit',
  cpu: 'a CPU limit',
  cpuset: 'cpu.cpus and cpu.mems',
  pids: 'a limit of processes',
  blkio: 'a block I/O limit',
  hugetlb: 'a limit of huge pages',
  rdma: 'an RDMA limit',
  net_cls: 'network.classID',
  net_prio: 'network.priorities',
}

/**
 * Turn resources into writes: each group of limits goes to the v1 hierarchy of its controller where there is one, else
 * to the cgroup2 tree.
 */
export function placeLimits(places: Places, id: string, resources: LinuxResources): PlacedLimits {
  const entered: string[] = places.all ? [...places.v1.keys()] : []
  const writes: Write[] = []
  const asked = askedSections(resources)
  // One that is empty takes no process.
  const sections = entered.includes('cpuset') ? [...new Set<Section>([...asked, 'cpuset'])] : asked
  for (const section of sections) {
    const parent = places.v1.get(section)
    if (parent !== undefined) {
      entered.push(section)
      writes.push(...withPath(join(parent, id), v1Limits[section](resources, places.facts)))
      continue
    }
    const controller = v2Name(section)
    const state = places.v2.get(controller)
    const usable = typeof state === 'boolean' || NEVER_IN_V2.has(section)
    if (places.unified === undefined || !usable) {
      throw controllerMissing(places, SECTION_WORDS[section], places.mode === 'v2' ? controller : section)
    }
    const limits = withPath(join(places.unified, id), v2Limits[section](resources, places.facts))
    writes.push(...enable(places, id, controller), ...limits)
  }
  return { entered, writes: [...writes, ...unifiedWrites(places, id, resources)] }
}

/** The `unified` map: files of the cgroup2 directory, named by the caller. */
function unifiedWrites(places: Places, id: string, resources: LinuxResources): Write[] {
  return Object.entries(resources.unified ?? {}).flatMap(([file, value]) => {
    const option = { 'memory.high': 'memoryHigh', 'cpu.weight': 'cpuWeight' }[file]
    const what = option === undefined ? `unified["${file}"]` : `${option} (${file} of cgroup v2)`
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(file)) {
      throw new PodlingError('INVALID_OPTION', `${what}: must be the name of a cgroup2 file, such as "memory.high"`)
    }
    const controller = file.slice(0, file.indexOf('.'))
    if (places.unified === undefined) {
      throw missing(what, 'this machine has no cgroup2 tree', 'mount one or leave it out')
    }
    const path = join(places.unified, id, file)
    if (controller === 'cgroup') return [{ path, value }]
    if (typeof places.v2.get(controller) !== 'boolean') {
      if (places.v1.has(controller)) {
        throw missing(what, `a v1 hierarchy has the ${controller} controller here`, "use the spec's own fields instead")
      }
      throw controllerMissing(places, what, controller)
    }
    return [...enable(places, id, controller), { path, value }]
  })
}
