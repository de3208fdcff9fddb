/** `logDriver: 'passthrough'`: the streams of this process become the container's. */
import { isatty } from 'node:tty'
import { PodlingError } from '../../errors.js'
import { close, duplicate } from '../../sys/descriptors.js'
import type { ContainerRecord } from '../record.js'

const streams = ['stdin', 'stdout', 'stderr'] as const

/** Are its streams those of this process? */
export function passes({ options }: Pick<ContainerRecord, 'options'>): boolean {
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
