/** The status of a pod, of those of its parts. Pure. */
import type { ContainerStatus } from '../container/status.js'
import type { PodStatus } from './options.js'

/** @param parts its containers and its holder, but for init containers that have done their work */
export function podStatus(parts: readonly ContainerStatus[]): PodStatus {
  const count = (...statuses: readonly ContainerStatus[]): number =>
    parts.filter((status) => statuses.includes(status)).length
  const running = count('running', 'restarting', 'stopping')
  if (running > 0) return running === parts.length ? 'running' : 'degraded'
  const paused = count('paused')
  if (paused > 0) return paused === parts.length ? 'paused' : 'degraded'
  const ended = count('exited')
  if (ended > 0) return ended === parts.length ? 'exited' : 'stopped'
  return 'created'
}
