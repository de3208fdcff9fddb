/** A bundle to the plan of its pid 1: where the launch path's pieces come together. */
import { openCgroups } from '../cgroup/open.js'
import type { CgroupPlan } from '../cgroup/cgroups.js'
import { cgroupMounts } from '../container/cgroup-mounts.js'
import { hooksInside } from '../container/hooks/hooks-inside.js'
import { hooksOf } from '../container/hooks/hook-state.js'
import { seccompListener } from '../container/seccomp-listener.js'
import { compilePlan } from '../launch/compile/container.js'
import type { SpecProcess } from '../launch/oci-spec.js'
import type { Plan, PlanStdio } from '../launch/plan.js'
import type { Bundle } from './bundle.js'
import { askedResources } from './resources.js'
import { isConfinedHere } from './confined.js'
import { cgroupPlace, type CgroupPlace } from './cgroup-place.js'

export interface Prepared {
  readonly plan: Plan
  readonly place: CgroupPlace
  readonly cgroup: CgroupPlan
  /** It stops before its root is its own, for programs of the host to be run. */
  readonly stopsForHooks: boolean
}

export interface PrepareOptions {
  readonly keepsKeyring: boolean
}

/** @throws PodlingError for limits that can't be had here */
export async function prepare(id: string, { path, rootfs, spec }: Bundle, options: PrepareOptions): Promise<Prepared> {
  const place = cgroupPlace(spec.linux?.cgroupsPath, id)
  const cgroups = await openCgroups({ parent: place.parent, rootless: isConfinedHere(), everyHierarchy: true })
  const cgroup = cgroups.plan(place.name, askedResources(spec.linux?.resources ?? {}))
  const hooks = hooksInside({ id, spec }, { runDirectory: path })
  const stopsForHooks = (['prestart', 'createRuntime'] as const).some((at) => hooksOf(spec.hooks, at).length > 0)
  const below = place.parent === '/' ? `/${place.name}` : `/${place.parent}/${place.name}`
  const plan = compilePlan({
    spec,
    root: [{ op: 'root-bind', source: rootfs }],
    cgroup,
    cgroupMounts: cgroupMounts(cgroups.mode, cgroup, below),
    stdio: stdioOf(spec.process),
    init: false,
    hooks,
    ...seccompListener({ id, spec }, path),
    parts: 'until-start',
    confined: isConfinedHere() || (spec.linux?.namespaces ?? []).some(({ type }) => type === 'user'),
    keepsKeyring: options.keepsKeyring,
    flagsOfTop: true,
    ...(stopsForHooks ? { barrier: 'before-pivot' } : {}),
  })
  return { plan, place, cgroup, stopsForHooks }
}

export function stdioOf(process: SpecProcess | undefined): PlanStdio {
  const mode = process?.terminal === true ? 'terminal' : 'pass'
  return { stdin: mode, stdout: mode, stderr: mode }
}
