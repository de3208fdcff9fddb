/** The cgroup of a pod, in which those of its containers stand. Pure. */
import { join } from 'node:path'
import type { CgroupPlan } from './cgroups.js'
import { placeLimits, podOf, type Places, type Write } from './places.js'
import type { LinuxResources } from './resources.js'

/**
 * What the plan of a container has beside its own, nothing for one that is in no pod.
 * @param limits of the pod; undefined: they are set already
 */
export function podCgroup(
  places: Places,
  id: string,
  limits: LinuxResources | undefined,
): { readonly plan: Pick<CgroupPlan, 'shared'>; readonly writes: readonly Write[] } {
  const pod = podOf(id)
  if (pod === undefined) return { plan: {}, writes: [] }
  const { unified, v1 } = places
  // In every hierarchy there is, as a limit that is asked for later needs a place there.
  const shared = [...new Set([...v1.values(), ...(unified === undefined ? [] : [unified])])].map((parent) =>
    join(parent, pod),
  )
  return { plan: { shared }, writes: [...handDown(places, pod), ...podLimits(places, pod, limits)] }
}

function podLimits(places: Places, pod: string, limits: LinuxResources | undefined): readonly Write[] {
  if (limits === undefined) return []
  const { writes } = placeLimits(places, pod, limits)
  const cpuset = places.v1.get('cpuset')
  const asked = cpuset === undefined || writes.some(({ path }) => path.startsWith(`${join(cpuset, pod)}/`))
  // An empty v1 cpuset takes nobody, nor do those below it.
  return asked
    ? writes
    : [...placeLimits(places, pod, { cpu: { cpus: places.facts.cpuset?.cpus ?? '' } }).writes, ...writes]
}

/** What the parent hands down to containers, the pod hands on to its own. */
function handDown({ unified, v2 }: Places, pod: string): Write[] {
  const controllers = [...v2].flatMap(([name, state]) => (state === true ? [`+${name}`] : []))
  if (unified === undefined || controllers.length === 0) return []
  return [{ path: join(unified, pod, 'cgroup.subtree_control'), value: controllers.join(' ') }]
}
