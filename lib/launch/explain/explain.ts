/** Why a start or exec failed and what to do about it: from the helper's stage, reason and errno. Pure. */
import type { ErrorCode } from '../../errors.js'
import { codeForErrno, errnoName } from '../../sys/libc.js'
import type { Plan } from '../plan.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'
import { explainIdentity } from './identity.js'
import { explainLabels } from './labels.js'
import { explainLandlock } from './landlock.js'
import { explainOperation } from './operation.js'
import { explainReason } from './reason.js'
import { explainStage } from './stage.js'

/** What there is to know of a failure. */
export function explain(failure: Failure, plan: Plan): Explanation {
  const errno = errnoName(failure.error)
  const operation = failure.stage === 'operation' ? plan.operations[failure.index] : undefined
  const found =
    explainLandlock(failure, errno, plan, operation) ??
    explainLabels(failure, errno, plan, operation) ??
    explainReason(failure, errno, operation) ??
    explainIdentity(failure, errno, operation) ??
    explainStage(failure, errno, plan) ??
    (operation === undefined ? undefined : explainOperation(failure, errno, operation))
  if (found !== undefined) return found
  const code = codeForErrno(errno)
  return { code: code === 'SYSTEM_CALL_FAILED' ? 'START_FAILED' : code, why: errno, ...remedyForCode(code) }
}

function remedyForCode(code: ErrorCode): { remedy?: string } {
  if (code === 'DISK_FULL') return { remedy: 'free space on the disk of the root, or of the mount that this is about' }
  if (code === 'LIMIT_REACHED') return { remedy: 'raise the limit, or end something that counts against it' }
  return {}
}
