/** Pure cgroup v2: one directory in one tree does it all. */
import { join } from 'node:path'
import { BaseCgroups } from './base.js'
import type { CgroupPlan } from './cgroups.js'
import { DevicePrograms } from './device-programs.js'
import { killUnified } from './kill.js'
import { checkId, type Places, type Write } from './places.js'
import type { LinuxResources } from './resources.js'

const KILL_TIMEOUT = 10_000

export class V2Cgroups extends BaseCgroups {
  protected readonly always: readonly string[] = []
  readonly #devicePrograms = new DevicePrograms()
  readonly #filters: boolean

  /** @param filters whether device programs can be attached */
  constructor(places: Places, filters = true) {
    super(places)
    this.#filters = filters
  }

  protected deviceWrites(): Write[] {
    return []
  }

  protected extras(_id: string, resources: LinuxResources): Partial<CgroupPlan> {
    if (!this.#filters) return {}
    const program = this.#devicePrograms.of(resources.devices)
    return program === undefined ? {} : { deviceProgram: program }
  }

  async kill(id: string, options: { readonly timeout?: number } = {}): Promise<void> {
    checkId(this.places, id)
    if (this.places.unified === undefined) return
    await killUnified(join(this.places.unified, id), options.timeout ?? KILL_TIMEOUT)
  }
}
