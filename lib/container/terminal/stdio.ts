import type { PlanStdio } from '../../launch/plan.js'
import { passes } from '../log/pass-streams.js'
import type { ContainerRecord } from '../record.js'

/** What the monitor does with the streams of a container. */
export function containerStdio(record: ContainerRecord): PlanStdio {
  const { options } = record
  if (passes(record)) return { stdin: 'pass', stdout: 'pass', stderr: 'pass' }
  if (hasTerminal(record)) return { stdin: 'terminal', stdout: 'terminal', stderr: 'terminal' }
  const stdin = options.stdin ? (options.stdinOnce ? 'once' : 'open') : 'null'
  // Without a log it is read all the same, for those who attach.
  return { stdin, stdout: 'log', stderr: 'log' }
}

export function hasTerminal({ spec }: Pick<ContainerRecord, 'spec'>): boolean {
  return spec.process?.terminal === true
}
