import type { ExitRecord } from '../launch/protocol.js'
import { signalName } from './signals.js'

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
  readonly startedAt: Date
  readonly finishedAt: Date
}

export function exitStatus(record: ExitRecord): ExitStatus {
  return {
    exitCode: record.exitCode,
    ...(record.signal === undefined ? {} : { signal: signalName(record.signal) }),
    oomKilled: record.oomKilled,
    lostLogLines: record.lostLogLines,
    startedAt: new Date(record.startedAt),
    finishedAt: new Date(record.finishedAt),
  }
}
