/** Why a process could not be started, in the words of runc that engines look for. Pure. */
import type { PodlingError } from '../errors.js'
import type { Plan } from '../launch/plan.js'
import { OciError } from './oci-error.js'

export function startFailure(error: PodlingError, plan: Plan): OciError {
  const program = plan.operations.flatMap((operation) => (operation.op === 'part' ? [operation.program] : []))[0] ?? ''
  const why = programFailure(error, program) ?? error.message
  return new OciError(`unable to start container process: ${why}`, { cause: error })
}

function programFailure({ code, errno }: PodlingError, program: string): string | undefined {
  const exec = `exec: ${JSON.stringify(program)}`
  if (code === 'COMMAND_NOT_FOUND') {
    if (!program.includes('/')) return `${exec}: executable file not found in $PATH`
    return `${exec}: stat ${program}: no such file or directory`
  }
  if (code !== 'COMMAND_NOT_EXECUTABLE') return undefined
  const words: Readonly<Record<string, string>> = { ENOEXEC: 'exec format error', EISDIR: 'is a directory' }
  return `${exec}: ${words[errno ?? ''] ?? 'permission denied'}`
}
