/** What a spec says of a process, as Linux has it. Pure. */
import type { SpecProcess } from '../launch/oci-spec.js'
import { grantable } from './grantable.js'

/** @param process of a spec as somebody wrote it, whose `username` is of Windows (config.md, "User") */
export function linuxProcess(process: SpecProcess, warn: (message: string) => void): SpecProcess {
  const { username: _, ...user } = process.user
  return grantable({ ...process, user }, warn)
}
