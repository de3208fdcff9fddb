import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import { checkKnown } from '../schema/known-options.js'
import { endInTime } from './end-in-time.js'
import type { ExitStatus } from './exit-status.js'
import type { Lifecycle } from './lifecycle.js'
import { durationWords, parseDuration, type Duration } from '../schema/quantities.js'
import { requireStatus } from './status.js'

export interface StopOptions {
  /** How long to wait after the stop signal before SIGKILL. @default the container's `stopTimeout` */
  readonly timeout?: Duration
}

/** In milliseconds. @throws PodlingError `INVALID_OPTION` */
export function stopTimeout(options: StopOptions): number | undefined {
  const what = 'stop a container'
  checkKnown(what, options, { timeout: true })
  if (options.timeout === undefined) return undefined
  const timeout = parseDuration(options.timeout)
  if (timeout !== undefined) return timeout
  throw new PodlingError('INVALID_OPTION', `${what}: timeout: must be ${durationWords}, got ${show(options.timeout)}`)
}

const { SIGKILL } = constants.signals

/**
 * End a container: its stop signal to pid 1, and SIGKILL to all when the time is over. One that doesn't run is left as it
 * is. @returns how it ended; `undefined` for one that never ran.
 */
export async function stop(container: Lifecycle, timeout: number): Promise<ExitStatus | undefined> {
  requireStatus('stop', container.status, container.record.name)
  const { monitor, ended } = container
  if (monitor === undefined || ended === undefined) return container.exit
  if (container.status === 'paused') await monitor.thaw().catch(unlessEnded)
  container.setWhile(monitor, 'stopping')
  container.tell('stop')
  const signal = container.record.options.stopSignal
  if (signal === SIGKILL || timeout === 0 || !(await canReach(monitor.pid, signal))) {
    await monitor.kill(SIGKILL, { all: true, forGood: true }).catch(unlessEnded)
    return endInTime(container, 'stop', ended)
  }
  await monitor.kill(signal, { forGood: true }).catch(unlessEnded)
  let timer: NodeJS.Timeout | undefined
  const killed = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      // It may have ended in this very moment; then there is nothing left to kill.
      monitor.kill(SIGKILL, { all: true }).catch(() => undefined)
      resolve(undefined)
    }, timeout)
  })
  try {
    return (await Promise.race([ended, killed])) ?? (await endInTime(container, 'stop', ended))
  } finally {
    clearTimeout(timer)
  }
}

/** Send a signal to pid 1. One that is to end it is the last word on it, whatever its restart policy says. */
export async function kill(container: Lifecycle, signal: number): Promise<void> {
  const forGood = signal === SIGKILL || signal === container.record.options.stopSignal
  await container.requireMonitor('kill').kill(signal, { forGood })
}

/** It may have ended by itself at any moment, as it is to. */
function unlessEnded(error: unknown): void {
  if (!(error instanceof PodlingError && error.code === 'INVALID_STATE')) throw error
}

/**
 * The kernel drops a signal for pid 1 of a pid namespace that has no handler for it (pid_namespaces(7)); it isn't even
 * kept for later. Waiting ten seconds for its effect is then waiting for nothing.
 */
async function canReach(pid: number, signal: number): Promise<boolean> {
  try {
    const [status, call] = await Promise.all([
      readFile(`/proc/${String(pid)}/status`, 'latin1'),
      readFile(`/proc/${String(pid)}/syscall`, 'latin1'),
    ])
    return takesSignal(status, call, signal)
  } catch {
    return true
  }
}

/** rt_sigtimedwait(2), by machine. */
const SIGTIMEDWAIT = process.arch === 'arm64' ? '137' : '128'

/**
 * Whether a process takes a signal that it is sent: from proc_pid_status(5) and proc_pid_syscall(5). One that it has
 * blocked is kept for it. Inits mostly sit in sigwaitinfo(2), and while they do, the kernel shows what they wait for as
 * not blocked. Pure.
 */
export function takesSignal(status: string, call: string, signal: number): boolean {
  // In a container with the host's pid namespace every signal arrives as usual.
  if (!/^NSpid:.*\s1$/m.test(status)) return true
  if (call.startsWith(`${SIGTIMEDWAIT} `)) return true
  const mask = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'}`)
  return (((mask('SigCgt') | mask('SigBlk')) >> BigInt(signal - 1)) & 1n) === 1n
}
