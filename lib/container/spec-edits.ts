import type { DeviceRule } from '../cgroup/resources.js'
import type { SpecDevice, SpecHook, SpecHooks, SpecMount } from '../launch/oci-spec.js'

/** What devices, those of the host and those of the Container Device Interface, bring into a container's spec. */
export interface SpecEdits {
  /** `NAME=value`. */
  readonly env: readonly string[]
  readonly devices: readonly SpecDevice[]
  readonly rules: readonly DeviceRule[]
  readonly mounts: readonly SpecMount[]
  readonly additionalGids: readonly number[]
  readonly hooks: SpecHooks
}

export const noEdits: SpecEdits = { env: [], devices: [], rules: [], mounts: [], additionalGids: [], hooks: {} }

/** One after the other. */
export function joinEdits(edits: readonly SpecEdits[]): SpecEdits {
  const hooks: Record<string, SpecHook[]> = {}
  for (const { hooks: some } of edits) {
    for (const [stage, list] of Object.entries(some))
      hooks[stage] = [...(hooks[stage] ?? []), ...(list as readonly SpecHook[])]
  }
  return {
    env: edits.flatMap(({ env }) => env),
    devices: edits.flatMap(({ devices }) => devices),
    rules: edits.flatMap(({ rules }) => rules),
    mounts: edits.flatMap(({ mounts }) => mounts),
    additionalGids: [...new Set(edits.flatMap(({ additionalGids }) => additionalGids))],
    hooks,
  }
}
