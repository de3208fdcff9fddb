/**
 * No cgroups: an ordinary user on whose behalf none were delegated. A container ends with its pid 1 then, whose pid namespace it
 * has to itself; limits, and what else needs a cgroup, are refused with the way to get one.
 */
import { PodlingError } from '../errors.js'
import type { CgroupPlan, Cgroups } from './cgroups.js'
import { askedSections } from './limits.js'
import type { LinuxResources } from './resources.js'
import type { CgroupStats } from './stats.js'

/** 'No limit' is what there is anyhow. */
function askedLimits({ pids, ...resources }: LinuxResources): string[] {
  const limited = (pids?.limit ?? 0) > 0 ? ['pids'] : []
  return [...limited, ...askedSections(resources), ...Object.keys(resources.unified ?? {})]
}

export class NoCgroups implements Cgroups {
  readonly mode = 'none'
  readonly controllers: readonly string[] = []
  readonly obstacle: string

  constructor(obstacle: string) {
    this.obstacle = obstacle
  }

  plan(_id: string, resources: LinuxResources, pod: LinuxResources = {}): CgroupPlan {
    const [asked] = [resources, pod].flatMap(askedLimits)
    if (asked !== undefined) throw this.#refusal(`set a limit (${asked})`)
    return { directories: [], writes: [], attach: [] }
  }

  stats(): CgroupStats {
    throw this.#refusal('count what a container uses')
  }

  forgetStats(): void {
    // Nothing is open.
  }

  update(): Promise<never> {
    return Promise.reject(this.#refusal('set a limit'))
  }

  exists(): boolean {
    return false
  }

  processes(): Promise<number[]> {
    return Promise.resolve([])
  }

  kill(): Promise<void> {
    return Promise.resolve()
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }

  list(): Promise<string[]> {
    return Promise.resolve([])
  }

  prepare(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #refusal(what: string): PodlingError {
    return refusal(what, this.obstacle)
  }
}

/** @throws PodlingError `CGROUP_UNAVAILABLE` where containers have no cgroups */
export function requireCgroups({ obstacle }: Pick<Cgroups, 'obstacle'>, what: string): void {
  if (obstacle !== undefined) throw refusal(what, obstacle)
}

function refusal(what: string, obstacle: string): PodlingError {
  return new PodlingError('CGROUP_UNAVAILABLE', `${what}: ${obstacle}`)
}
