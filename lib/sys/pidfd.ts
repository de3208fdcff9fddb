/** Processes by pidfd_open(2): what is done through one is done to that very process, or to none. */
import { rawSystemCall, systemError } from './libc.js'

/** Numbers that every machine shares. */
const PIDFD_SEND_SIGNAL = 424
const PIDFD_OPEN = 434

/**
 * A descriptor, closed by exec; undefined when there is no such process. One of another pid namespace has the pid 0 here, by
 * which nobody finds it (EINVAL).
 */
export function openProcess(pid: number): number | undefined {
  const { value, errno } = rawSystemCall(PIDFD_OPEN, pid, 0, 0)
  if (errno === undefined) return value
  if (errno === 'ESRCH' || errno === 'EINVAL') return undefined
  throw systemError('pidfd_open', errno, `open process ${String(pid)}`)
}

/** @returns false when it has ended */
export function signalProcess(pidfd: number, signal: number): boolean {
  const { errno } = rawSystemCall(PIDFD_SEND_SIGNAL, pidfd, signal, 0)
  if (errno === undefined) return true
  if (errno === 'ESRCH') return false
  throw systemError('pidfd_send_signal', errno, `send signal ${String(signal)}`)
}
