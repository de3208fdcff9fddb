/** Pure cgroup v1: the freezer stands in for cgroup.kill, and the devices hierarchy filters devices. */
import { join } from 'node:path'
import { BaseCgroups } from './base.js'
import type { CgroupPlan } from './cgroups.js'
import { allowsEverything, deviceRules, v1DeviceLines } from './device-rules.js'
import { killFrozen } from './kill.js'
import { missing } from './limits.js'
import { checkId, type Write } from './places.js'
import type { LinuxResources } from './resources.js'

const KILL_TIMEOUT = 10_000

export class V1Cgroups extends BaseCgroups {
  protected readonly always: readonly string[] = ['memory', 'cpu', 'cpuacct', 'pids', 'freezer', 'devices']

  protected deviceWrites(id: string, resources: LinuxResources): Write[] {
    const rules = deviceRules(resources.devices)
    if (allowsEverything(rules)) return []
    const directory = this.v1Directory('devices', id)
    if (directory === undefined) {
      throw missing('the device filter', 'the devices controller is not mounted', 'mount it or allow all devices')
    }
    return rules.flatMap((rule) =>
      v1DeviceLines(rule).map((value) => ({
        path: join(directory, rule.allow ? 'devices.allow' : 'devices.deny'),
        value,
      })),
    )
  }

  protected extras(id: string): Partial<CgroupPlan> {
    const freezer = this.v1Directory('freezer', id)
    return freezer === undefined ? {} : { freezer }
  }

  async kill(id: string, options: { readonly timeout?: number } = {}): Promise<void> {
    checkId(this.places, id)
    const freezer = this.v1Directory('freezer', id)
    const directory = freezer ?? this.v1Directory('pids', id) ?? this.v1Directory('memory', id)
    if (directory !== undefined) await killFrozen(directory, freezer, options.timeout ?? KILL_TIMEOUT)
  }
}
