import type { PodlingError } from '../errors.js'
import type { ExitRecord } from '../launch/protocol.js'
import { signalName } from '../sys/signal-name.js'

/** How a container ended. */
export interface ExitStatus {
  /** 0 to 255; 128 plus the signal's number when a signal ended it. */
  readonly exitCode: number
  /** The signal that ended it, such as `'SIGKILL'`. */
  readonly signal?: string
  /** The kernel killed one of its processes because the memory limit was reached. */
  readonly oomKilled: boolean
  /**
   * Lines of its output that its log lacks, since the disk was full: the container goes on without them.
   * @default 0
   */
  readonly lostLogLines: number
  /** How often its restart policy had started it again. @default 0 */
  readonly restartCount: number
  /** It was told to: by `stop()`, or by `kill()` with its stop signal or SIGKILL. @default false */
  readonly stoppedByUser: boolean
  /** It was to be started again, and could not be: `exitCode` is 127, 126 or 125 then. */
  readonly startError?: PodlingError
  readonly startedAt: Date
  readonly finishedAt: Date
}

export function exitStatus(record: ExitRecord, startError?: PodlingError): ExitStatus {
  return {
    exitCode: record.exitCode,
    ...(record.signal === undefined ? {} : { signal: signalName(record.signal) }),
    oomKilled: record.oomKilled,
    lostLogLines: record.lostLogLines,
    restartCount: record.restartCount,
    stoppedByUser: record.stoppedByUser,
    ...(startError === undefined ? {} : { startError }),
    startedAt: new Date(record.startedAt),
    finishedAt: new Date(record.finishedAt),
  }
}
