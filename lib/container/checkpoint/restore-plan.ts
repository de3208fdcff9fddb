/** The launch plan of a container that is restored: what leads up to CRIU, in the place of what leads up to a program. Pure. */
import type { NamespaceType, Operation, Plan, PlanMonitor } from '../../launch/plan.js'
import { PodlingError } from '../../errors.js'
import { criuEnvironment } from './criu.js'

/** Where CRIU finds things among its descriptors. Its socket comes as its stdin. */
export const NETWORK_FD = 4

/** CRIU makes those of the checkpoint; these it finds ready. */
const ready: readonly NamespaceType[] = ['mount', 'network', 'cgroup', 'user']

export interface RestorePlanInput {
  /** The path of CRIU. */
  readonly criu: string
  /** The targets of the mounts that came from outside. */
  readonly mounts: readonly string[]
  /** An empty directory of the host, over which they are put together, in the container's own mount namespace. */
  readonly directory: string
}

/** Where a mount from outside stands until CRIU puts it in its place: no name of the container's leads there. */
export function mountPlace(directory: string, index: number): string {
  return `${directory}/${String(index)}`
}

/**
 * Its monitor can't restore it again: by then the checkpoint may be gone, and CRIU has nobody to talk to. Nor is it to be
 * checked before it is restored.
 */
function onceOnly({ restart: _, health, ...monitor }: PlanMonitor): PlanMonitor {
  return { ...monitor, ...(health === undefined ? {} : { health: { ...health, whenRestored: true } }) }
}

/**
 * The root and all that comes from outside are mounted as for a start, each of the latter in a place of its own beside the
 * root, where nothing that is in the container counts; namespaces other than those of mounts, network and cgroups are
 * CRIU's to make, and so is the rest of what a start does.
 * @throws PodlingError `CHECKPOINT_INVALID` where a mount of the checkpoint is none of the container's
 */
export function restorePlan(plan: Plan, { criu, mounts, directory }: RestorePlanInput): Plan {
  const pivot = plan.operations.findIndex(({ op }) => op === 'pivot-root')
  const first = plan.operations.findIndex(({ op }) => op.startsWith('root-'))
  const before = plan.operations.slice(0, pivot)
  if (before.some(({ op }) => op === 'keep-root')) {
    throw new PodlingError('CHECKPOINT_INVALID', "restore a container: mounts of images can't be restored yet")
  }
  const binds = new Map(
    before.flatMap((operation) => (operation.op === 'bind' ? [[operation.target, operation] as const] : [])),
  )
  const outside = mounts.map((target, index): Operation => {
    const bind = binds.get(target)
    if (bind !== undefined) return { ...bind, target: mountPlace(directory, index) }
    throw new PodlingError(
      'CHECKPOINT_INVALID',
      `restore a container: the checkpoint has a mount at ${target}, and the container has none; give it by the same options as before`,
    )
  })
  const after = plan.operations.slice(pivot).filter(({ op }) => ['loopback-up', 'netlink', 'barrier'].includes(op))
  return {
    ...plan,
    ...(plan.monitor === undefined ? {} : { monitor: onceOnly(plan.monitor) }),
    create: plan.create.filter((type) => ready.includes(type)),
    stdio: { ...plan.stdio, stdin: 'pass' },
    operations: [
      ...before.slice(0, first).filter(({ op }) => op !== 'bind'),
      {
        op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: directory,
        attributes: { noSuid: true, noDev: true, noExec: true }, options: ['mode=700', 'size=64k'],
      },
      ...outside,
      ...before.slice(first).filter(({ op }) => op.startsWith('root-')),
      ...after,
      { op: 'open-network', fd: NETWORK_FD },
      { op: 'exec', argv: [criu, 'swrk', '0'], env: [`PATH=${criuEnvironment.PATH}`] },
    ],
  } // prettier-ignore
}
