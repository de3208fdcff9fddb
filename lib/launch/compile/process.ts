/** The steps that pid 1 and the processes that join it have in common, but for who they are. Pure. */
import type { SpecProcess } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import type { PlanStdio } from '../plan.js'
import { rlimitNumbers, rlimitValue } from '../rlimits.js'
import type { LaunchInput } from './input.js'

export function terminalOperations(
  process: SpecProcess | undefined,
  { stdin }: PlanStdio,
  console: boolean,
): Operation[] {
  const { width = 0, height = 0 } = process?.consoleSize ?? {}
  return stdin === 'terminal' ? [{ op: 'terminal', columns: width, rows: height, console }] : []
}

export function limitOperations(process: SpecProcess): Operation[] {
  return (process.rlimits ?? []).map(({ type, soft, hard }) => ({
    op: 'rlimit',
    // The spec was validated: its names are known ones.
    resource: rlimitNumbers[type] ?? 0,
    soft: rlimitValue(soft),
    hard: rlimitValue(hard),
  }))
}

export function scoreOperations(process: SpecProcess | undefined): Operation[] {
  return process?.oomScoreAdj === undefined ? [] : [{ op: 'oom-score-adj', value: process.oomScoreAdj }]
}

export function partOperations({ args = [], env = [] }: SpecProcess, parts: LaunchInput['parts']): Operation[] {
  if (parts === undefined) return []
  return [{ op: 'part', program: args[0] ?? '', env, awaitsStart: parts === 'until-start' }]
}

export function execOperation(process: SpecProcess): Operation {
  return { op: 'exec', argv: process.args ?? [], env: process.env ?? [] }
}
