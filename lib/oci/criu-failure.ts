import { failureReason } from '../container/checkpoint/criu.js'
import type { CriuResponse, requestTypes } from '../container/checkpoint/criu-messages.js'
import { OciError } from './oci-error.js'

/** A failure of CRIU in the words of runc, and with its own reason. */
export async function criuFailed(
  type: keyof typeof requestTypes,
  answer: CriuResponse | undefined,
  logFile: string,
): Promise<OciError> {
  const name = type.toUpperCase().replace('-', '_')
  const reason = await failureReason(answer, logFile)
  return new OciError(`criu failed: type ${name} errno ${String(answer?.errno ?? 0)}: ${reason}\nlog file: ${logFile}`)
}
