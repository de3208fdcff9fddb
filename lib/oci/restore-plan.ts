/** The plans of a restore: what leads up to CRIU, and before it what makes the places of its mounts. */
import { isKept } from '../container/checkpoint/dump-options.js'
import { outsideTargets, mountPlace, restorePlan } from '../container/checkpoint/restore-plan.js'
import type { Operation } from '../launch/operation.js'
import type { Plan } from '../launch/plan.js'
import { placeInside } from './criu-mounts.js'
import { Helper } from './detached.js'

/** Where CRIU finds things among its descriptors. */
const SOCKET_FD = 3
export const NETWORK_FD = 5

/**
 * The plan of CRIU. Of the namespaces it finds those of the mounts and the cgroups, and a network that was there before; the
 * others it makes as they were.
 * @param place an empty directory of the host
 */
export function criuPlan(plan: Plan, criu: string, place: string): Plan {
  const joins = plan.join.some(({ type }) => type === 'network')
  const { idMaps: _, ...rest } = plan
  const operations = plan.operations.filter(
    ({ op }) => !(['barrier', 'loopback-up', 'netlink'] as string[]).includes(op),
  )
  return restorePlan(
    { ...rest, create: plan.create.filter((type) => type !== 'network'), operations },
    {
      criu,
      mounts: outsideTargets(plan),
      directory: place,
      ready: ['mount', 'network', 'cgroup'],
      stdio: { stdin: 'pass', stdout: 'pass', stderr: 'pass' },
      descriptors: { socket: SOCKET_FD, ...(joins ? { network: NETWORK_FD } : {}) },
    },
  )
}

/** What CRIU is told of the mounts from outside: their keys, and where they stand. */
export function givenMounts(
  plan: Plan,
  rootfs: string,
  place: string,
): { readonly key: string; readonly value: string }[] {
  const targets = outsideTargets(plan)
  return [
    ...targets.map((target, index) => ({ key: placeInside(rootfs, target), value: mountPlace(place, index) })),
    // What runc masks files with.
    { key: '/dev/null', value: '/dev/null' },
  ]
}

/** Does it make a place in the root itself? What CRIU keeps comes with what is in it. */
function isShaping(operation: Operation, kept: readonly string[]): boolean {
  switch (operation.op) {
    case 'take':
    case 'propagation':
    case 'root-bind':
      return true
    case 'mount':
    case 'bind':
      return !kept.some((target) => operation.target.startsWith(`${target}/`))
    default:
      return false
  }
}

/**
 * Make in the root what CRIU will mount upon, as a start makes it: all is mounted once, in a mount namespace that is thrown away.
 * A root may come from elsewhere with the images, and lack them.
 */
export async function makeMountPoints(plan: Plan): Promise<void> {
  const pivot = plan.operations.findIndex(({ op }) => op === 'pivot-root')
  const kept = plan.operations.flatMap((one) => (one.op === 'mount' && isKept(one.fstype) ? [one.target] : []))
  const shapes = plan.operations.slice(0, pivot).filter((operation) => isShaping(operation, kept))
  const helper = new Helper(
    {
      create: ['mount'],
      join: [],
      cgroup: { directories: [], writes: [], attach: [] },
      stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
      operations: [...shapes, { op: 'barrier' }, { op: 'exit' }],
    },
    {},
  )
  try {
    await helper.ready()
  } finally {
    await helper.abandon()
  }
}
