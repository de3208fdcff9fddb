import type { Operation } from '../operation.js'
import type { Plan } from '../plan.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'

export function explainLandlock(
  { reason }: Failure,
  errno: string,
  plan: Plan,
  operation?: Operation,
): Explanation | undefined {
  if (operation?.op === 'landlock' && errno === 'ENOENT') {
    return {
      code: 'INVALID_OPTION',
      why: 'a path of its rules is not in the container (ENOENT)',
      remedy: 'leave it out',
    }
  }
  const confined = plan.operations.some((one) => one.op === 'landlock' && (one.files & 1n) === 1n)
  if (operation?.op !== 'exec' || errno !== 'EACCES' || reason !== 'command-not-executable' || !confined)
    return undefined
  return {
    code: 'COMMAND_NOT_EXECUTABLE',
    why: `not executable (${errno})`,
    remedy:
      "landlock must allow 'execute' and 'read' on it and on its loader or interpreter, and its mode must as well",
  }
}
