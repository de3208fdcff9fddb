import type { PlanListener } from '../launch/plan.js'
import { notifiesOf } from '../security/seccomp-compile.js'
import { hookState } from './hooks/hook-state.js'
import type { ContainerRecord } from './record.js'

/**
 * Where the listener of a container's seccomp filter goes, where it has one, and what is said with it. Pure.
 * @param pid of the container that another process is brought in to
 */
export function seccompListener(
  container: Pick<ContainerRecord, 'id' | 'spec'>,
  bundle: string,
  pid?: number,
): { listener: PlanListener } | undefined {
  const { seccomp } = container.spec.linux ?? {}
  if (!seccomp?.listenerPath || !notifiesOf(seccomp)) return undefined
  const { status: _, ...state } = hookState(container, bundle, 'creating')
  const { listenerPath, listenerMetadata } = seccomp
  const text = JSON.stringify({
    ociVersion: state.ociVersion,
    fds: ['seccompFd'],
    ...(listenerMetadata === undefined ? {} : { metadata: listenerMetadata }),
    state,
  })
  return {
    listener: { path: listenerPath, state: text.slice(0, -2), ...(pid === undefined ? {} : { container: pid }) },
  }
}
