import type { Cgroups } from '../../cgroup/cgroups.js'
import type { CgroupStats } from '../../cgroup/stats.js'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import { KernelFiles } from '../../sys/kernel-files.js'
import { isInCgroup, ProcessDirectory } from '../../sys/process-directory.js'
import { parseInterfaces, type InterfaceStats } from './interfaces.js'
import { containerStats, type ContainerStats, type CpuMark } from './stats.js'

/** A container that runs. */
export interface Sampled {
  readonly id: string
  readonly name: string
  /** As {@link Cgroups} names it. */
  readonly cgroup: string
  readonly monitor: Monitor
  /** It shares the network of the host. */
  readonly onHostNetwork: boolean
}

/** Takes samples of containers, all by the same room for what it reads. */
export class Sampler {
  readonly #cgroups: Cgroups
  readonly #files = new KernelFiles()
  readonly #watched = new WeakSet<Monitor>()
  /** Pid 1 of each container that was looked at, for as long as it runs: to open it is dearer than what is read of it. */
  readonly #processes = new WeakMap<Monitor, ProcessDirectory>()

  constructor(cgroups: Cgroups) {
    this.#cgroups = cgroups
  }

  /**
   * One sample, at once.
   * @param before what the processor's percent is counted from @default its start
   * @throws PodlingError `INVALID_STATE` when it has just ended
   */
  sample(container: Sampled, before?: CpuMark): { readonly stats: ContainerStats; readonly mark: CpuMark } {
    const { id, name, monitor, onHostNetwork } = container
    const counts = this.#counts(container)
    this.#watch(container)
    const time = new Date()
    const mark = { at: performance.now() * 1e6, usage: counts.cpu.usage }
    const running = (time.getTime() - monitor.started.startedAt) * 1e6
    const since = before ?? { at: mark.at - running, usage: 0 }
    const network = onHostNetwork ? undefined : this.#network(id, monitor)
    return { stats: containerStats({ id, name, counts, network, since, now: mark, time }), mark }
  }

  #counts({ cgroup, name }: Sampled): CgroupStats {
    try {
      return this.#cgroups.stats(cgroup)
    } catch (error) {
      if (!(error instanceof PodlingError && error.code === 'CGROUP_NOT_FOUND')) throw error
      throw new PodlingError('INVALID_STATE', `stats of container ${name}: it has just ended`, { cause: error })
    }
  }

  /** What is open for its sake is closed at its end. */
  #watch({ monitor, cgroup }: Sampled): void {
    if (this.#watched.has(monitor)) return
    this.#watched.add(monitor)
    const forget = (): void => {
      this.#cgroups.forgetStats(cgroup)
      this.#processes.get(monitor)?.close()
      this.#processes.delete(monitor)
    }
    monitor.observe().then(forget, forget)
  }

  #network(id: string, monitor: Monitor): readonly InterfaceStats[] | undefined {
    const text = this.#process(id, monitor)?.read('net/dev')
    return text === undefined ? undefined : parseInterfaces(text)
  }

  #process(id: string, monitor: Monitor): ProcessDirectory | undefined {
    const known = this.#processes.get(monitor)
    if (known !== undefined) return known
    const opened = ProcessDirectory.open(monitor.pid, isInCgroup(id), this.#files)
    if (opened !== undefined) this.#processes.set(monitor, opened)
    return opened
  }
}
