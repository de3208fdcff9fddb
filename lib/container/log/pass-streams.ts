/** `logDriver: 'passthrough'`: the streams of this process become the container's. */
import { isatty } from 'node:tty'
import { PodlingError } from '../../errors.js'
import { close, duplicate } from '../../sys/libc.js'
import type { PlanStdio } from '../../launch/plan.js'
import type { ContainerRecord } from '../record.js'

const streams = ['stdin', 'stdout', 'stderr'] as const

function passes({ options }: ContainerRecord): boolean {
  return options.log.driver === 'passthrough'
}

/**
 * A process that has a terminal can type into it (ioctl_tty(2), TIOCSTI), and the shell behind it would obey.
 * @throws PodlingError `INVALID_STATE`
 */
export function requireNoTerminal(record: ContainerRecord): void {
  const terminals = passes(record) ? streams.filter((_, fd) => isatty(fd)) : []
  if (terminals.length === 0) return
  throw new PodlingError(
    'INVALID_STATE',
    `start container ${record.name}: logDriver 'passthrough' would give it the terminal at ${terminals.join(', ')} of this process; redirect that, to /dev/null or a file`,
  )
}

/** What its process has as streams, as far as the log says. */
export function logStdio(record: ContainerRecord): PlanStdio {
  if (passes(record)) return { stdin: 'pass', stdout: 'pass', stderr: 'pass' }
  const output = record.options.log.driver === 'none' ? 'null' : 'log'
  return { stdin: 'null', stdout: output, stderr: output }
}

/** Copies of the streams, to be given away first of all; none where none is passed. */
export function passedStreams(record: ContainerRecord): number[] {
  const copies: number[] = []
  if (!passes(record)) return copies
  try {
    for (const fd of streams.keys()) copies.push(duplicate(fd))
  } catch (error) {
    for (const fd of copies) close(fd)
    throw error
  }
  return copies
}
