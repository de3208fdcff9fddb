import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { exec } from '../exec.js'
import type { ExitStatus } from '../exit-status.js'
import type { Lifecycle } from '../lifecycle.js'
import { logSource, readLog } from '../log/read-log.js'
import type { ReadyCondition } from '../normalized-options.js'
import { isListening } from './listening.js'

/** How many of the last log lines an error shows. */
const SHOWN_LINES = 10

/**
 * Wait until a container that has just started is ready for use: all of its conditions hold.
 * @throws PodlingError `EXITED_BEFORE_READY` at once when it ends first, `READY_TIMEOUT`, both with the last log lines;
 * `ABORTED`
 */
export async function waitReady(
  container: Lifecycle,
  ready: readonly ReadyCondition[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { ended } = container
  if (ready.length === 0 || ended === undefined) return
  const over = new AbortController()
  const exited = ended.then(async (exit): Promise<never> => {
    throw await endedFirst(container, exit)
  })
  try {
    await Promise.race([
      exited,
      ...watchAbort(signal, over.signal),
      Promise.all(ready.map((one) => waitFor(container, one, over.signal, exited))),
    ])
  } finally {
    over.abort()
    exited.catch(() => undefined)
  }
}

async function waitFor(
  container: Lifecycle,
  condition: ReadyCondition,
  over: AbortSignal,
  exited: Promise<never>,
): Promise<void> {
  const limit = AbortSignal.timeout(condition.timeout)
  const stop = AbortSignal.any([over, limit])
  if (await holds(container, condition, stop)) return
  if (over.aborted) return
  // Its log is over before its time is: then it is the container that has ended.
  if (!limit.aborted) await exited
  throw new PodlingError(
    'READY_TIMEOUT',
    `wait for container ${container.record.name}: ${describe(condition, container)} not within ${String(condition.timeout)} ms${await lastLines(container)}`,
  )
}

/** Resolves with true once the condition holds, with false when `stop` came first. */
async function holds(container: Lifecycle, condition: ReadyCondition, stop: AbortSignal): Promise<boolean> {
  switch (condition.kind) {
    case 'log':
      return logHas(container, condition.pattern, stop)
    case 'port':
      return poll(() => listens(container, condition.port), stop)
    case 'http':
      return poll(
        async () => (await listens(container, condition.port)) && (await answers(container, condition, stop)),
        stop,
      )
    case 'healthy':
      return poll(async () => Promise.resolve(container.health?.status === 'healthy'), stop)
    case 'command':
      return poll(async () => (await exec(container, condition.command, { signal: stop })).exitCode === 0, stop)
  }
}

async function logHas(container: Lifecycle, pattern: RegExp, stop: AbortSignal): Promise<boolean> {
  const since = new Date(container.monitor?.started.startedAt ?? 0)
  const lines = readLog(
    logSource(container),
    { follow: true, since, signal: stop },
    container.ended ?? Promise.resolve(),
  )
  for await (const { text } of lines) if (pattern.test(text)) return true
  return false
}

async function listens({ monitor }: Lifecycle, port: number): Promise<boolean> {
  return monitor !== undefined && isListening(monitor.pid, port)
}

async function answers(
  container: Lifecycle,
  { port, path, status }: Extract<ReadyCondition, { kind: 'http' }>,
  stop: AbortSignal,
): Promise<boolean> {
  const response = await fetch(`http://${addressOf(container)}:${String(port)}${path}`, {
    signal: stop,
    redirect: 'manual',
  })
  await response.body?.cancel()
  return status === undefined ? response.status >= 200 && response.status < 400 : response.status === status
}

/** Where this host reaches it, as a URL has it: its first address on its networks, or loopback on the host's network. */
function addressOf({ network }: Lifecycle): string {
  const [address = '127.0.0.1'] = network.endpoints.flatMap(({ addresses }) => addresses)
  const [ip = ''] = address.split('/')
  return ip.includes(':') ? `[${ip}]` : ip
}

/** Ask again and again, quickly at first. A probe that fails has not found it ready. */
async function poll(probe: () => Promise<boolean>, stop: AbortSignal): Promise<boolean> {
  for (let pause = 2; !stop.aborted; pause = Math.min(pause * 1.5, 100)) {
    if (await probe().catch(() => false)) return true
    await sleep(pause, undefined, { signal: stop }).catch(() => undefined)
  }
  return false
}

function watchAbort(signal: AbortSignal | undefined, over: AbortSignal): Promise<never>[] {
  if (signal === undefined) return []
  const watching = new Promise<never>((_, reject) => {
    const abort = () => {
      reject(new PodlingError('ABORTED', 'wait for a container: aborted by the caller', { cause: signal.reason }))
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true, signal: over })
  })
  watching.catch(() => undefined)
  return [watching]
}

async function endedFirst(container: Lifecycle, exit: ExitStatus): Promise<PodlingError> {
  const how = exit.signal === undefined ? `exit code ${String(exit.exitCode)}` : exit.signal
  return new PodlingError(
    'EXITED_BEFORE_READY',
    `wait for container ${container.record.name}: it ended (${how}${exit.oomKilled ? ', out of memory' : ''}) before it was ready${await lastLines(container)}`,
  )
}

async function lastLines(container: Lifecycle): Promise<string> {
  const lines: string[] = []
  for await (const { text } of readLog(logSource(container), { tail: SHOWN_LINES }, Promise.resolve()))
    lines.push(`\n  | ${text}`)
  return lines.length === 0 ? '; it has written nothing' : `; its last lines:${lines.join('')}`
}

function describe(condition: ReadyCondition, { health }: Lifecycle): string {
  switch (condition.kind) {
    case 'log':
      return `a log line like ${String(condition.pattern)}`
    case 'port':
      return `port ${String(condition.port)} listening`
    case 'http':
      return `an answer from port ${String(condition.port)} for ${condition.path}`
    case 'healthy': {
      const last = health?.log.at(-1)
      const why =
        last === undefined ? '' : ` (the last check: exit code ${String(last.exitCode)}, ${show(last.output)})`
      return `a successful health check${why}`
    }
    case 'command':
      return `${condition.command.join(' ')} with exit code 0`
  }
}
