/** The launch plan of a container that is restored: what leads up to CRIU, in the place of what leads up to a program. Pure. */
import type { Operation } from '../../launch/operation.js'
import type { NamespaceType, Plan, PlanMonitor, PlanStdio } from '../../launch/plan.js'
import { PodlingError } from '../../errors.js'
import { criuEnvironment } from './criu.js'
import { isKept } from './dump-options.js'

export interface RestorePlanInput {
  /** The path of CRIU. */
  readonly criu: string
  /** The targets of the mounts that came from outside. */
  readonly mounts: readonly string[]
  /** An empty directory of the host, over which they are put together, in the container's own mount namespace. */
  readonly directory: string
  /** The namespaces that CRIU finds ready; the others of the checkpoint are its own to make. */
  readonly ready: readonly NamespaceType[]
  readonly stdio: PlanStdio
  /** Where CRIU finds its socket among its descriptors, and the network namespace where that is ready. */
  readonly descriptors: { readonly socket: number; readonly network?: number }
}

/** The targets of all that a plan brings in from outside: what CRIU doesn't keep itself. */
export function outsideTargets({ operations }: Plan): string[] {
  return operations.flatMap((operation) => (isOutside(operation) ? [operation.target] : []))
}

type Outside = Extract<Operation, { op: 'bind' | 'mount' }>

function isOutside(operation: Operation): operation is Outside {
  return operation.op === 'bind' || (operation.op === 'mount' && !isKept(operation.fstype))
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
 * root, where nothing that is in the container counts; namespaces that are not ready are CRIU's to make, and so is the rest of
 * what a start does.
 * @throws PodlingError `CHECKPOINT_INVALID` where a mount of the checkpoint is none of the container's
 */
export function restorePlan(plan: Plan, input: RestorePlanInput): Plan {
  const { criu, mounts, directory, ready, stdio, descriptors } = input
  const pivot = plan.operations.findIndex(({ op }) => op === 'pivot-root')
  const before = plan.operations.slice(0, pivot)
  // Roots that are kept are those of images that it has mounted; its own comes behind them.
  const kept = before.findLastIndex(({ op }) => op === 'keep-root')
  const first = before.findIndex(({ op }, index) => index > kept && op.startsWith('root-'))
  const binds = new Map(
    before.flatMap((operation) => (isOutside(operation) ? [[operation.target, operation] as const] : [])),
  )
  const outside = mounts.map((target, index): Operation => {
    const bind = binds.get(target)
    if (bind !== undefined) return { ...bind, target: mountPlace(directory, index) }
    throw new PodlingError(
      'CHECKPOINT_INVALID',
      `restore a container: the checkpoint has a mount at ${target}, and the container has none; give it by the same options as before`,
    )
  })
  const lasting = ready.includes('network') ? ['loopback-up', 'netlink', 'barrier'] : ['barrier']
  const after = plan.operations.slice(pivot).filter(({ op }) => lasting.includes(op))
  const { socket, network } = descriptors
  return {
    ...plan,
    ...(plan.monitor === undefined ? {} : { monitor: onceOnly(plan.monitor) }),
    create: plan.create.filter((type) => ready.includes(type)),
    join: plan.join.filter(({ type }) => ready.includes(type)),
    stdio,
    operations: [
      ...before.slice(0, first).filter(({ op }) => op !== 'bind'),
      {
        op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: directory,
        attributes: { noSuid: true, noDev: true, noExec: true }, options: ['mode=700', 'size=64k'],
      },
      ...outside,
      ...before.slice(first).filter(({ op }) => op.startsWith('root-')),
      ...after,
      ...(network === undefined ? [] : [{ op: 'open-network', fd: network } as const]),
      { op: 'exec', argv: [criu, 'swrk', String(socket)], env: [`PATH=${criuEnvironment.PATH}`] },
    ],
  } // prettier-ignore
}
