import { PodlingError } from '../errors.js'

/**
 * Where a container is in its life.
 *
 * | status | meaning |
 * |---|---|
 * | `created` | made, never started |
 * | `running` | pid 1 lives |
 * | `paused` | every process frozen |
 * | `restarting` | pid 1 is gone; its monitor starts it again in a moment, by its restart policy |
 * | `stopping` | told to stop, not yet gone |
 * | `exited` | pid 1 is gone; can be started again |
 * | `removed` | nothing is left of it but this handle |
 */
export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'stopping' | 'exited' | 'removed'

/** What can be asked of a container, and in which states. */
const allowed = {
  start: ['created', 'exited'],
  stop: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
  kill: ['running', 'paused', 'stopping'],
  restart: ['created', 'running', 'paused', 'restarting', 'exited'],
  checkpoint: ['running', 'paused'],
  pause: ['running'],
  unpause: ['paused'],
  wait: ['running', 'paused', 'restarting', 'stopping', 'exited'],
  exec: ['running', 'stopping'],
  healthcheck: ['running'],
  attach: ['created', 'running', 'paused', 'stopping'],
  resize: ['running', 'paused', 'stopping'],
  remove: ['created', 'exited'],
  diff: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
  measure: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
  update: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
  rename: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
  stats: ['running', 'paused', 'stopping'],
  top: ['running', 'paused', 'stopping'],
  commit: ['created', 'running', 'paused', 'restarting', 'stopping', 'exited'],
} as const satisfies Record<string, readonly ContainerStatus[]>

export type Verb = keyof typeof allowed

const advice: Partial<Record<Verb, Partial<Record<ContainerStatus, string>>>> = {
  start: {
    running: 'It runs already.',
    paused: 'Call unpause() to let it go on.',
    restarting: 'It is started again by itself.',
    stopping: 'Await stop() first.',
  },
  exec: {
    created: 'Call start() first.',
    exited: 'Call start() first.',
    paused: 'Call unpause() first: a new process would be frozen at once.',
    restarting: 'It is started again in a moment.',
  },
  attach: { exited: 'Call start() first, or read its logs().' },
  resize: { created: 'Call start() first.', exited: 'Call start() first.' },
  wait: { created: 'Call start() first: there is nothing to wait for.' },
  checkpoint: { created: 'Call start() first.', exited: 'Call start() first.' },
  kill: {
    created: 'It was never started.',
    restarting: 'Call stop() to have it stay so.',
    exited: 'It has ended already.',
  },
  remove: {
    running: 'Call stop() first, or remove({ force: true }).',
    paused: 'Call stop() first, or remove({ force: true }).',
    restarting: 'Call stop() first, or remove({ force: true }).',
    stopping: 'Await stop() first, or call remove({ force: true }).',
  },
}

/** @throws PodlingError `INVALID_STATE` when the verb has no meaning in this state. */
export function requireStatus(verb: Verb, status: ContainerStatus, name: string): void {
  if ((allowed[verb] as readonly ContainerStatus[]).includes(status)) return
  const hint = status === 'removed' ? 'It was removed.' : advice[verb]?.[status]
  throw new PodlingError(
    'INVALID_STATE',
    `${verb} container ${name}: it is ${status}${hint === undefined ? '' : `. ${hint}`}`,
  )
}
