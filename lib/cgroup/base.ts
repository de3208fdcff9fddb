/** What the three layouts do alike. */
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { afterUndo } from '../teardown.js'
import type { CgroupPlan, Cgroups } from './cgroups.js'
import {
  childDirectories,
  errnoOf,
  failure,
  isGone,
  makeDirectory,
  processesBelow,
  removeDirectory,
  removeTree,
  writeValue,
} from './directories.js'
import type { CgroupMode } from './layout.js'
import { OldLimits } from './old-limits.js'
import { checkId, placeLimits, type Places, type Write } from './places.js'
import type { LinuxResources } from './resources.js'
import { podCgroup } from './pod-cgroup.js'
import { StatsReader } from './stats-reader.js'
import type { CgroupStats } from './stats.js'

/** The launcher's pre-made cgroups; they become a container's by rename(2). */
const WARM_SLOT = /^warm-/

export abstract class BaseCgroups implements Cgroups {
  protected readonly places: Places
  readonly #stats: StatsReader
  /** v1 controllers that every container enters, so that its use is counted and its limits can change later. */
  protected abstract readonly always: readonly string[]

  constructor(places: Places) {
    this.places = places
    this.#stats = new StatsReader(places)
  }

  get mode(): CgroupMode {
    return this.places.mode
  }

  get controllers(): readonly string[] {
    const v2 = [...this.places.v2].flatMap(([name, state]) => (typeof state === 'boolean' ? [name] : []))
    return [...new Set([...this.places.v1.keys(), ...v2])]
  }

  plan(id: string, resources: LinuxResources, pod?: LinuxResources): CgroupPlan {
    checkId(this.places, id)
    const { entered, writes } = placeLimits(this.places, id, resources)
    const around = podCgroup(this.places, id, pod)
    const v1 = this.v1Directories(id, [...this.always, ...entered])
    const unified = this.places.unified === undefined ? undefined : join(this.places.unified, id)
    return {
      ...around.plan,
      directories: [...v1, ...(unified === undefined ? [] : [unified])],
      writes: [...around.writes, ...writes, ...this.deviceWrites(id, resources)],
      attach: v1.map((directory) => join(directory, 'cgroup.procs')),
      ...(unified === undefined ? {} : { into: unified, unified }),
      ...this.oomEvents(id),
      ...this.extras(id, resources),
    }
  }

  /** The device filter, where it is made by file writes. */
  protected abstract deviceWrites(id: string, resources: LinuxResources): Write[]

  /** What the layout adds to the plan: its device program or its freezer. */
  protected abstract extras(id: string, resources: LinuxResources): Partial<CgroupPlan>

  abstract kill(id: string, options?: { readonly timeout?: number }): Promise<void>

  stats(id: string): CgroupStats {
    checkId(this.places, id)
    const stats = this.#stats.read(id)
    if (stats === undefined) throw notRunning(id)
    return stats
  }

  forgetStats(id: string): void {
    this.#stats.forget(id)
  }

  async update(id: string, resources: LinuxResources): Promise<() => Promise<void>> {
    this.#mustExist(id)
    if (resources.devices !== undefined) {
      throw new PodlingError(
        'INVALID_OPTION',
        'devices: the device rules of a running container are fixed at its start',
      )
    }
    const complete = this.#withCurrentMemory(id, resources)
    const { entered, writes } = placeLimits(this.places, id, complete)
    this.#checkMemoryInUse(id, resources)
    for (const directory of this.v1Directories(id, entered)) {
      if (existsSync(directory)) continue
      await makeDirectory(directory)
      const own = writes.filter(({ path }) => path.startsWith(`${directory}/`))
      for (const write of own) await this.#write(id, write)
      await this.#moveInto(id, directory)
    }
    const undone = new OldLimits()
    try {
      const refused: Write[] = []
      for (const write of await this.#inSafeOrder(writes)) {
        await undone.keep(write)
        // A shorter period may be too much with the quota that is there still (cgroup-v1's CFS bandwidth): it comes behind that.
        const waits = write.path.endsWith('/cpu.cfs_period_us') && writes.some(isQuota)
        try {
          await this.#write(id, write)
        } catch (error) {
          if (!waits || !isInvalid(error)) throw error
          refused.push(write)
        }
      }
      for (const write of refused) await this.#write(id, write)
    } catch (error) {
      throw await afterUndo(error, () => undone.restore())
    }
    return () => undone.restore()
  }

  exists(id: string): boolean {
    checkId(this.places, id)
    return this.#parents().some((parent) => existsSync(join(parent, id)))
  }

  async processes(id: string): Promise<number[]> {
    checkId(this.places, id)
    const { unified, v1 } = this.places
    const parent = unified ?? v1.get('pids') ?? v1.get('memory')
    return parent === undefined ? [] : processesBelow(join(parent, id))
  }

  async remove(id: string): Promise<void> {
    checkId(this.places, id)
    const results = await Promise.allSettled(this.#parents().map((parent) => removeTree(join(parent, id))))
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    if (failures.length === 0) return
    const first = failures[0] as NodeJS.ErrnoException
    throw new PodlingError(
      'SYSTEM_CALL_FAILED',
      `remove the cgroups of ${id}: ${failures.map((one) => (one as Error).message).join('; ')}; end its processes first`,
      {
        cause: failures.length === 1 ? first : new AggregateError(failures),
        syscall: 'rmdir',
        errno: errnoOf(first),
        ...(first.path === undefined ? {} : { path: first.path }),
      },
    )
  }

  async list(pod?: string): Promise<string[]> {
    const parents = this.#parents().map((parent) => (pod === undefined ? parent : join(parent, pod)))
    const names = await Promise.all(parents.map((parent) => childDirectories(parent)))
    const ids = [...new Set(names.flat())].filter((name) => !WARM_SLOT.test(name)).sort()
    return pod === undefined ? ids : ids.map((id) => `${pod}/${id}`)
  }

  async prepare(): Promise<void> {
    for (const parent of this.#parents()) {
      if (existsSync(parent)) continue
      try {
        await mkdir(parent, { recursive: true, mode: 0o755 })
        const cpuset = this.places.facts.cpuset
        if (cpuset !== undefined && parent === this.places.v1.get('cpuset')) {
          await writeValue(join(parent, 'cpuset.cpus'), cpuset.cpus)
          await writeValue(join(parent, 'cpuset.mems'), cpuset.mems)
        }
        if (parent !== this.places.unified) continue
        for (const [name, state] of this.places.v2) {
          if (state === true) await writeValue(join(parent, 'cgroup.subtree_control'), `+${name}`)
        }
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw failure('mkdir', 'make the parent cgroup', parent, error)
      }
    }
  }

  async close(): Promise<void> {
    this.#stats.close()
    for (const parent of this.#parents()) {
      await this.#slotsGone(parent)
      try {
        if ((await childDirectories(parent)).length === 0) await removeDirectory(parent)
      } catch (error) {
        // Another runtime put a container there in the meantime.
        if (errnoOf(error) !== 'EBUSY' && errnoOf(error) !== 'ENOTEMPTY') {
          throw failure('rmdir', 'remove the empty parent cgroup', parent, error)
        }
      }
    }
  }

  /** The launcher that was closed before takes its slots along a moment later; those of another runtime stay. */
  async #slotsGone(parent: string): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const children = await childDirectories(parent)
      if (children.length === 0 || !children.every((name) => WARM_SLOT.test(name))) return
      await sleep(10)
    }
  }

  /** The container's directories for these controllers; controllers that share a hierarchy share one. */
  protected v1Directories(id: string, controllers: readonly string[]): string[] {
    const parents = controllers.flatMap((controller) => this.places.v1.get(controller) ?? [])
    return [...new Set(parents)].map((parent) => join(parent, id))
  }

  protected v1Directory(controller: string, id: string): string | undefined {
    const parent = this.places.v1.get(controller)
    return parent === undefined ? undefined : join(parent, id)
  }

  /** Every hierarchy's parent directory once. */
  #parents(): string[] {
    const { v1, unified } = this.places
    return [...new Set([...v1.values(), ...(unified === undefined ? [] : [unified])])]
  }

  protected oomEvents(id: string): { oomEvents?: string } {
    const v1 = this.v1Directory('memory', id)
    if (v1 !== undefined) return { oomEvents: join(v1, 'memory.oom_control') }
    const { unified, v2 } = this.places
    if (unified === undefined || typeof v2.get('memory') !== 'boolean') return {}
    return { oomEvents: join(unified, id, 'memory.events') }
  }

  #mustExist(id: string): void {
    if (!this.exists(id)) throw notRunning(id)
  }

  /** A swap alone is measured against the limit in force. */
  #withCurrentMemory(id: string, resources: LinuxResources): LinuxResources {
    const { memory } = resources
    if (memory?.swap === undefined || memory.swap <= 0 || memory.limit !== undefined) return resources
    const { memory: current } = this.stats(id)
    if (current?.limit === undefined) return resources
    return { ...resources, memory: { ...memory, limit: current.limit } }
  }

  /** v1 refuses by itself what it can't reclaim; v2 takes such a limit, and kills. */
  #checkMemoryInUse(id: string, { memory }: LinuxResources): void {
    if (memory?.checkBeforeUpdate !== true || memory.limit === undefined || memory.limit <= 0) return
    if (this.places.v1.has('memory')) return
    const { memory: current } = this.stats(id)
    if (current === undefined || current.workingSet <= memory.limit) return
    throw new PodlingError(
      'LIMIT_REFUSED',
      `memory.limit: ${String(memory.limit)} is below the ${String(current.workingSet)} bytes that ${id} uses now`,
    )
  }

  /** v1 wants memory <= memory and swap at each moment: a limit that grows past the latter needs the latter first. */
  async #inSafeOrder(writes: readonly Write[]): Promise<readonly Write[]> {
    const memsw = writes.find(({ path }) => path.endsWith('/memory.memsw.limit_in_bytes'))
    const limit = writes.find(({ path }) => path.endsWith('/memory.limit_in_bytes'))
    if (memsw === undefined || limit === undefined) return writes
    const current = Number(await readFile(memsw.path, 'utf8'))
    const grows = Number(limit.value) < 0 || Number(limit.value) > current
    return grows ? [memsw, ...writes.filter((write) => write !== memsw)] : writes
  }

  async #write(id: string, { path, value, optional }: Write): Promise<void> {
    try {
      await writeValue(path, value)
    } catch (error) {
      if (optional === true) return
      if (isGone(error)) this.#mustExist(id)
      throw refusedLimit(id, value, path, error)
    }
  }

  /** Move all processes into one more v1 hierarchy, again until no fork was missed. */
  async #moveInto(id: string, directory: string): Promise<void> {
    for (;;) {
      const inside = new Set(await processesBelow(directory))
      const outside = (await this.processes(id)).filter((pid) => !inside.has(pid))
      if (outside.length === 0) return
      for (const pid of outside) {
        try {
          await writeValue(join(directory, 'cgroup.procs'), String(pid))
        } catch (error) {
          if (errnoOf(error) !== 'ESRCH') throw failure('write', `move a process of ${id}`, directory, error)
        }
      }
    }
  }
}

function isQuota({ path }: Write): boolean {
  return path.endsWith('/cpu.cfs_quota_us')
}

function isInvalid(error: unknown): boolean {
  return error instanceof PodlingError && error.errno === 'EINVAL'
}

function refusedLimit(id: string, value: string, path: string, cause: unknown): PodlingError {
  const errno = errnoOf(cause)
  const why =
    errno === 'EBUSY' && path.includes('/memory.')
      ? 'it uses more than that, and the kernel could not take enough of it back'
      : 'the kernel takes no such value here; those of the cgroups above bound it'
  return new PodlingError('LIMIT_REFUSED', `set a limit of ${id} to "${value}": ${errno}: ${why} (${path})`, {
    cause,
    syscall: 'write',
    errno,
    path,
  })
}

function notRunning(id: string): PodlingError {
  return new PodlingError('CGROUP_NOT_FOUND', `${id} has no cgroup: it is not running`)
}
