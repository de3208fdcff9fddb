/** OCI runtime spec → launch plan. Pure: every decision of a start is made here, and can be read and tested without root. */
import { PodlingError } from '../../errors.js'
import { notifiesOf } from '../../security/seccomp-compile.js'
import { hasUserNamespace } from '../outside.js'
import type { Operation } from '../operation.js'
import type { Plan } from '../plan.js'
import { hooksAt } from './hooks.js'
import { capabilityOperation, identityOperations } from './identity.js'
import type { LaunchInput } from './input.js'
import { initOperation } from './init.js'
import { labelledRoot } from './labels.js'
import { idMaps } from './mounts.js'
import { namespaceOperations } from './namespaces.js'
import { execOperation, limitOperations, partOperations, scoreOperations } from './process.js'
import { rootOperations } from './root.js'
import { schedulingOperations } from './scheduling.js'

/** The plan that makes a container's pid 1. */
export function compilePlan(input: LaunchInput): Plan {
  const { spec, cgroup, stdio, monitor, network, peer, listener } = input
  refuseListeningHooks(input)
  const linux = spec.linux ?? {}
  const namespaces = linux.namespaces ?? []
  return {
    create: namespaces.filter(({ path }) => path === undefined).map(({ type }) => type),
    join: namespaces.flatMap(({ type, path }) => (path === undefined ? [] : [{ type, path }])),
    ...(peer === undefined ? {} : { peer }),
    ...(listener === undefined ? {} : { listener }),
    ...idMaps(linux),
    cgroup,
    stdio,
    // One that a container may use whose processes have no label of their own, too.
    ...(monitor === undefined || !linux.mountLabel ? {} : { streamLabel: linux.mountLabel }),
    ...(monitor === undefined ? {} : { monitor }),
    ...(network === undefined
      ? {}
      : {
          network: {
            links: network.links,
            teardown: network.teardown,
            unlinks: network.unlinks ?? [],
            ...(network.space === undefined ? {} : { space: network.space }),
          },
        }),
    operations: [
      ...rootOperations(input).map((operation) => labelledRoot(operation, linux.mountLabel ?? '')),
      ...namespaceOperations(spec, network?.operations ?? []),
      ...processOperations(input),
    ],
  }
}

function refuseListeningHooks({ spec, hooks }: LaunchInput): void {
  const { seccomp } = spec.linux ?? {}
  if (seccomp === undefined || !notifiesOf(seccomp) || hooksAt('startContainer', hooks).length === 0) return
  throw new PodlingError(
    'INVALID_OPTION',
    'hooks.startContainer: such a hook has the seccomp filter of the container, and nobody would get its listener; leave the ' +
      'hook out, or SCMP_ACT_NOTIFY',
  )
}

function processOperations({ spec, init, barrier, hold, hooks, parts, keepsKeyring }: LaunchInput): Operation[] {
  const { process } = spec
  if (hold) return holdOperations(barrier === true)
  if (process === undefined) return []
  return [
    ...(barrier === true ? [{ op: 'barrier' } as const] : []),
    ...(keepsKeyring === true ? [] : [{ op: 'keyring' } as const]),
    ...(parts === undefined ? hooksAt('startContainer', hooks) : []),
    ...limitOperations(process),
    ...schedulingOperations(spec, process, false),
    ...(hasUserNamespace(spec.linux ?? {}) ? [] : scoreOperations(process)),
    ...identityOperations(spec, process),
    // What can fail comes before it: the start is not answered.
    ...partOperations(process, parts),
    ...(parts === undefined ? [] : hooksAt('startContainer', hooks)),
    ...(init ? [initOperation(spec)] : []),
    execOperation(process),
  ]
}

/** It needs no right of any kind, nor does anybody else by way of it. */
function holdOperations(barrier: boolean): Operation[] {
  return [
    ...(barrier ? [{ op: 'barrier' } as const] : []),
    { op: 'keyring' },
    { op: 'no-new-privs' },
    capabilityOperation({}),
    { op: 'hold' },
  ]
}
