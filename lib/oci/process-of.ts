/** Pid 1 of a container: is it alive, and how it is signalled. A number alone may be another's by now. */
import { closeSync, existsSync, readFileSync, readlinkSync } from 'node:fs'
import { openProcess, signalProcess } from '../sys/pidfd.js'
import { isFrozen } from './freezer.js'
import type { ContainerRecord, Status } from './record.js'

interface ProcessStat {
  readonly state: string
  readonly startTime: string
}

/** @returns undefined when there is no such process */
export function processStat(pid: number): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1')
    // The name before it stands in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

/** What a record tells of its pid 1, which is there and is yet to run. */
export function begun(pid: number): Required<Pick<ContainerRecord, 'pid' | 'startTime' | 'streams'>> {
  return { pid, startTime: processStat(pid)?.startTime ?? '', streams: streamsOf(pid) }
}

/** What its standard streams are, as proc_pid_fd(5) shows them. */
export function streamsOf(pid: number): string[] {
  return [0, 1, 2].map((fd) => streamOf(pid, fd))
}

function streamOf(pid: number, fd: number): string {
  try {
    return readlinkSync(`/proc/${String(pid)}/fd/${String(fd)}`)
  } catch {
    return '' // It is closed.
  }
}

/** One that is dead and not waited for yet runs no more. */
export function isAlive({ pid, startTime }: Pick<ContainerRecord, 'pid' | 'startTime'>): boolean {
  if (pid === undefined) return false
  const stat = processStat(pid)
  return stat !== undefined && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X'
}

/** What it does now, as far as the kernel knows. */
export function statusOf(record: ContainerRecord, fifo: string, held: boolean): Status {
  if (record.pid === undefined) return held ? 'creating' : 'stopped'
  if (!isAlive(record)) return 'stopped'
  if (isFrozen(record.cgroup)) return 'paused'
  return existsSync(fifo) ? 'created' : 'running'
}

/** @returns false when it has ended */
export function signalInit(record: ContainerRecord, signal: number): boolean {
  if (record.pid === undefined) return false
  const pidfd = openProcess(record.pid)
  if (pidfd === undefined) return false
  try {
    return isAlive(record) && signalProcess(pidfd, signal)
  } finally {
    closeSync(pidfd)
  }
}
