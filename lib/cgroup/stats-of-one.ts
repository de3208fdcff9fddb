/** Reads what there is about one container: which file of which hierarchy tells it. */
import { existsSync } from 'node:fs'
import type { KernelFiles } from '../sys/kernel-files.js'
import type { KeptFiles } from '../sys/kept-files.js'
import type { Places } from './places.js'
import { processIo } from './process-io.js'
import { parsePressure, type Pressure } from './pressure.js'
import { cpuTimes, limitOf, optional, parseBlkio, parseIoStat, sumOf, valueOf, type CgroupStats } from './stats.js'

export class StatsOfOne {
  readonly #files: KernelFiles
  readonly #kept: KeptFiles
  /** Its directories, by controller. */
  readonly #v1: ReadonlyMap<string, string>
  readonly #unified: string | undefined
  readonly #countsIo: boolean

  /** @param kept for those of its cgroups; `files` is for those that come and go */
  constructor({ v1, v2, unified }: Places, id: string, kept: KeptFiles, files: KernelFiles) {
    this.#files = files
    this.#kept = kept
    this.#v1 = new Map([...v1].map(([controller, parent]) => [controller, `${parent}/${id}`]))
    this.#unified = unified === undefined ? undefined : `${unified}/${id}`
    this.#countsIo = v2.get('io') === true
  }

  /** @returns undefined for a container that has no cgroup */
  read(): CgroupStats | undefined {
    const { memory, pids, io, pressure } = this.#others()
    // Last: a cgroup that is there now was there when the others were read.
    const cpu = this.#cpu()
    if (cpu === undefined) return undefined
    return {
      cpu,
      ...(memory === undefined ? {} : { memory }),
      ...(pids === undefined ? {} : { pids }),
      ...(io === undefined ? {} : { io }),
      ...(pressure === undefined ? {} : { pressure }),
    }
  }

  #others(): Omit<CgroupStats, 'cpu'> {
    const v2 = this.#unified
    const memory = this.#v1.get('memory')
    return {
      memory: memory === undefined ? this.#memoryV2(v2) : this.#memoryV1(memory),
      pids: this.#pids(this.#v1.get('pids') ?? v2),
      io: this.#io(),
      pressure: this.#pressure(v2),
    } as Omit<CgroupStats, 'cpu'>
  }

  #read(directory: string | undefined, file: string): string | undefined {
    return directory === undefined ? undefined : this.#kept.read(directory, file)
  }

  /** The cgroup2 tree counts the time of processes without any controller; of waiting for a quota tells who has that. */
  #cpu(): CgroupStats['cpu'] | undefined {
    const own = this.#read(this.#unified, 'cpu.stat')
    const waited = this.#read(this.#v1.get('cpu'), 'cpu.stat')
    const times = own === undefined ? this.#cpuV1() : cpuTimes(own)
    if (times === undefined) return undefined
    const { usage, user, system, ...rest } = times
    if (waited === undefined) return { usage, user, system, ...rest }
    return {
      usage,
      user,
      system,
      periods: valueOf(waited, 'nr_periods') ?? 0,
      throttledPeriods: valueOf(waited, 'nr_throttled') ?? 0,
      throttledTime: valueOf(waited, 'throttled_time') ?? 0,
    }
  }

  #cpuV1(): CgroupStats['cpu'] | undefined {
    const account = this.#v1.get('cpuacct')
    const usage = this.#read(account, 'cpuacct.usage')
    if (usage === undefined) return undefined
    return {
      usage: Number(usage),
      user: Number(this.#read(account, 'cpuacct.usage_user') ?? 0),
      system: Number(this.#read(account, 'cpuacct.usage_sys') ?? 0),
      periods: 0,
      throttledPeriods: 0,
      throttledTime: 0,
    }
  }

  #memoryV2(directory: string | undefined): CgroupStats['memory'] {
    const current = this.#read(directory, 'memory.current')
    if (current === undefined) return undefined
    const stat = this.#read(directory, 'memory.stat') ?? ''
    const usage = Number(current)
    return {
      usage,
      cache: valueOf(stat, 'file') ?? 0,
      workingSet: Math.max(0, usage - (valueOf(stat, 'inactive_file') ?? 0)),
      ...optional('swap', this.#read(directory, 'memory.swap.current')),
      ...optional('peak', this.#read(directory, 'memory.peak')),
      ...limitOf(this.#read(directory, 'memory.max')),
      oomKills: valueOf(this.#read(directory, 'memory.events') ?? '', 'oom_kill') ?? 0,
    }
  }

  #memoryV1(directory: string): CgroupStats['memory'] {
    const current = this.#read(directory, 'memory.usage_in_bytes')
    if (current === undefined) return undefined
    const stat = this.#read(directory, 'memory.stat') ?? ''
    const usage = Number(current)
    const swap = valueOf(stat, 'total_swap') ?? valueOf(stat, 'swap')
    return {
      usage,
      cache: valueOf(stat, 'total_cache') ?? valueOf(stat, 'cache') ?? 0,
      workingSet: Math.max(0, usage - (valueOf(stat, 'total_inactive_file') ?? 0)),
      ...(swap === undefined ? {} : { swap }),
      ...optional('peak', this.#read(directory, 'memory.max_usage_in_bytes')),
      ...limitOf(String(valueOf(stat, 'hierarchical_memory_limit') ?? 'max')),
      oomKills: valueOf(this.#read(directory, 'memory.oom_control') ?? '', 'oom_kill') ?? 0,
    }
  }

  #pids(directory: string | undefined): CgroupStats['pids'] {
    const current = this.#read(directory, 'pids.current')
    if (current === undefined) return undefined
    return { current: Number(current), ...limitOf(this.#read(directory, 'pids.max')) }
  }

  #io(): CgroupStats['io'] {
    const v2 = this.#unified
    if (this.#countsIo) {
      const stat = this.#read(v2, 'io.stat')
      if (stat !== undefined) return sumOf(parseIoStat(stat))
    }
    const blkio = this.#v1.get('blkio')
    // Only some containers are in there; to look is cheaper than to fail.
    if (blkio !== undefined && existsSync(blkio)) {
      const bytes = this.#read(blkio, 'blkio.throttle.io_service_bytes_recursive')
      const devices = parseBlkio(bytes ?? '', this.#read(blkio, 'blkio.throttle.io_serviced_recursive') ?? '')
      if (devices.length > 0) return sumOf(devices)
    }
    const directory = v2 ?? this.#v1.get('pids') ?? this.#v1.get('memory')
    return directory === undefined ? undefined : processIo(this.#files, this.#read(directory, 'cgroup.procs'))
  }

  /** Of the cgroup2 tree, in hybrid layouts too: it follows the processes, not the controllers. */
  #pressure(directory: string | undefined): Pressure | undefined {
    const [cpu, memory, io] = (['cpu', 'memory', 'io'] as const).map((resource) => {
      const text = this.#read(directory, `${resource}.pressure`)
      return text === undefined ? undefined : parsePressure(text)
    })
    return cpu === undefined || memory === undefined || io === undefined ? undefined : { cpu, memory, io }
  }
}
