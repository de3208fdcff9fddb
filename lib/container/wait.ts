import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import { checkKnown } from '../schema/known-options.js'
import { nearestName } from '../schema/nearest-name.js'
import type { ExitStatus } from './exit-status.js'
import type { Lifecycle } from './lifecycle.js'
import { requireHealth } from './health/healthcheck.js'
import { requireStatus, type ContainerStatus } from './status.js'

/** What can be waited for, by the words of podman-wait(1). `stopped` and `exited` are the same; the last two are its health. */
export type WaitCondition =
  'created' | 'running' | 'paused' | 'stopping' | 'stopped' | 'exited' | 'removed' | 'healthy' | 'unhealthy'

export interface WaitOptions {
  /** @default 'stopped' */
  readonly condition?: WaitCondition
  /** Give up. */
  readonly signal?: AbortSignal
}

const conditions: Readonly<Record<WaitCondition, ContainerStatus | 'healthy' | 'unhealthy'>> = {
  created: 'created',
  running: 'running',
  paused: 'paused',
  stopping: 'stopping',
  stopped: 'exited',
  exited: 'exited',
  removed: 'removed',
  healthy: 'healthy',
  unhealthy: 'unhealthy',
}

/** What other processes do to a container that doesn't run here is told by nobody: it is looked for. */
const LOOK_EVERY = 50

/** @returns how it ended, where that is what was waited for */
export async function wait(container: Lifecycle, options: WaitOptions): Promise<ExitStatus | undefined> {
  checkKnown('wait for a container', options, { condition: true, signal: true })
  const { condition = 'stopped', signal } = options
  if (!Object.hasOwn(conditions, condition)) throw unknownCondition(condition)
  const wanted = conditions[condition]
  if (wanted === 'exited') return untilEnded(container, signal)
  if (wanted === 'healthy' || wanted === 'unhealthy') requireHealth(container, 'wait for the health of')
  while (!(await is(container, wanted))) {
    if (container.status === 'removed') requireStatus('wait', 'removed', container.record.name)
    await orAborted(container, signal, (done) => {
      const timer = setTimeout(done, LOOK_EVERY)
      return () => {
        clearTimeout(timer)
      }
    })
  }
  return undefined
}

async function is(container: Lifecycle, wanted: (typeof conditions)[WaitCondition]): Promise<boolean> {
  const holds = (): boolean =>
    container.status === wanted || (container.monitor !== undefined && container.health?.status === wanted)
  if (holds()) return true
  const { records, comingNames } = container.context
  const { id, name } = container.record
  const gone = records.get(id) === undefined && !comingNames.has(name)
  if (gone) container.set('removed')
  else await container.queue.run(() => container.refresh())
  return holds()
}

async function untilEnded(container: Lifecycle, signal: AbortSignal | undefined): Promise<ExitStatus> {
  requireStatus('wait', container.status, container.record.name)
  const { ended } = container
  if (ended === undefined)
    throw new PodlingError(
      'MONITOR_DIED',
      `wait for container ${container.record.name}: its monitor was killed before it could record the exit status`,
    )
  if (signal !== undefined) {
    await orAborted(container, signal, (done) => {
      ended.then(done, done)
      return () => undefined
    })
  }
  return ended
}

/** Until `begin` has called back. @throws PodlingError `ABORTED` */
function orAborted(
  container: Lifecycle,
  signal: AbortSignal | undefined,
  begin: (done: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      forget()
      const cause: unknown = signal?.reason
      reject(new PodlingError('ABORTED', `wait for container ${container.record.name}: it was aborted`, { cause }))
    }
    const forget = begin(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

function unknownCondition(condition: string): PodlingError {
  const near = nearestName(condition, Object.keys(conditions))
  const hint = near === undefined ? '' : `; did you mean '${near}'?`
  const all = Object.keys(conditions).join(', ')
  return new PodlingError(
    'INVALID_OPTION',
    `wait for a container: condition: must be one of ${all}, got ${show(condition)}${hint}`,
  )
}
