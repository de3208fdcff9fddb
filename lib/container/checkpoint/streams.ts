/**
 * The standard streams of a container, whose other ends are its monitor's. CRIU is given the new monitor's pipes in the place of
 * those that were written to; what was in them, the old monitor has read. The pipe of the input holds what is yet to be read, so
 * CRIU makes it anew with that in it, and its other end is taken from one of the processes that have it open.
 */
import { constants } from 'node:fs'
import { open, readdir, readFile, readlink, type FileHandle } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import type { Lifecycle } from '../lifecycle.js'
import { processesOf } from './processes.js'

/** Where a process has something open. */
export interface OpenAt {
  /** In the container's own pid namespace. */
  readonly pid: number
  readonly fd: number
}

export interface CheckpointStreams {
  /** What its stdout and stderr were, as CRIU names them; `''`: a terminal, or closed by now. */
  readonly streams: readonly string[]
  /** Where its input can be found; absent: it has ended, or nobody reads it any more. */
  readonly input?: OpenAt
}

/** The name of a pipe in /proc/PID/fd, as CRIU calls it too; those of files begin with a slash. */
export const PIPE = /^pipe:\[\d+\]$/

const nameOf = (inode: number | undefined): string => (inode === undefined ? '' : `pipe:[${String(inode)}]`)

/** The container must be frozen. */
export async function findStreams(container: Lifecycle, monitor: Monitor): Promise<CheckpointStreams> {
  const { input, output, error } = await monitor.streams()
  const streams = [output, error].map(nameOf)
  if (input === undefined) return { streams }
  const place = await findOpen(nameOf(input), monitor.pid, await processesOf(container))
  return { streams, ...(place === undefined ? {} : { input: place }) }
}

async function findOpen(name: string, first: number, others: readonly number[]): Promise<OpenAt | undefined> {
  const space = await readlink(`/proc/${String(first)}/ns/pid`)
  for (const process of new Set([first, ...others])) {
    const proc = `/proc/${String(process)}`
    // In a namespace below it has another pid for others than for CRIU.
    if ((await readlink(`${proc}/ns/pid`)) !== space) continue
    for (const fd of await readdir(`${proc}/fd`)) {
      const target = await readlink(`${proc}/fd/${fd}`)
      if (target === name) return { pid: await innerPid(process), fd: Number(fd) }
    }
  }
  return undefined
}

/** The pid of a process in its own pid namespace. */
async function innerPid(process: number): Promise<number> {
  const status = await readFile(`/proc/${String(process)}/status`, 'latin1')
  return Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1])
}

/**
 * The end of a pipe that is written to, by way of a process that was restored and doesn't run yet.
 * @param processes by their pids on the host
 * @throws PodlingError `CHECKPOINT_INVALID` where there is no pipe: a checkpoint may name anything
 */
export async function openInput(what: string, { pid, fd }: OpenAt, processes: readonly number[]): Promise<FileHandle> {
  for (const process of processes) {
    if ((await innerPid(process)) !== pid) continue
    const path = `/proc/${String(process)}/fd/${String(fd)}`
    // Of nothing that has a name: to open a device, or to wait for the reader of a FIFO, is not to be had by a checkpoint.
    const name = await readlink(path).catch(() => '')
    if (PIPE.test(name)) return open(path, constants.O_WRONLY | constants.O_NONBLOCK)
  }
  throw new PodlingError('CHECKPOINT_INVALID', `${what}: the checkpoint has no pipe where it says that its input is`)
}
