/** What keeps a process from being made: limits of the machine, a log that can't be, values that cgroups refuse. Pure. */
import { constants } from 'node:os'
import { signalName } from '../../sys/signal-name.js'
import type { Plan } from '../plan.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'

/** Limits of namespaces(7), which the kernel reports as it reports a full disk. */
const namespaceLimits = '/proc/sys/user/max_*_namespaces'

export function explainStage({ stage, error, index }: Failure, errno: string, plan: Plan): Explanation | undefined {
  switch (stage) {
    case 'died':
      return { code: 'START_FAILED', why: `it was killed by ${signalName(error)}`, ...remedyForDeath(error, plan) }
    case 'ended':
      return { code: 'INVALID_STATE', why: 'it does not run', remedy: 'start it again' }
    case 'clone':
      if (errno === 'ENOSPC' || errno === 'EUSERS') {
        return {
          code: 'LIMIT_REACHED',
          why: `there can be no more namespaces of a kind (${errno})`,
          remedy: `raise the limits in ${namespaceLimits}, or end some containers`,
        }
      }
      if (errno === 'EAGAIN') {
        return {
          code: 'LIMIT_REACHED',
          why: 'there can be no more processes (EAGAIN)',
          remedy: 'raise pids.max of the cgroups above, RLIMIT_NPROC or /proc/sys/kernel/pid_max',
        }
      }
      return undefined
    case 'cgroup-directory':
      return errno === 'EAGAIN' || errno === 'ENOSPC'
        ? {
            code: 'LIMIT_REACHED',
            why: `there can be no more cgroups (${errno})`,
            remedy: 'raise cgroup.max.descendants of the cgroups above, or end some containers',
          }
        : undefined
    case 'cgroup-write':
      return explainLimit(plan.cgroup.writes[index]?.path ?? '', errno)
    case 'log':
      return explainLog(errno)
    case 'listener':
      return {
        code: 'START_FAILED',
        why: `nobody takes it (${errno})`,
        remedy: "have a program listen on the profile's listenerPath first",
      }
    default:
      return undefined
  }
}

/** A log is appended to; what can't be is the caller's to choose otherwise. */
function explainLog(errno: string): Explanation | undefined {
  const kinds: Readonly<Record<string, string>> = {
    EISDIR: 'a directory',
    ELOOP: 'a symbolic link',
    EINVAL: 'no regular file',
    ENXIO: 'no regular file',
  }
  const kind = kinds[errno]
  if (kind !== undefined) {
    return { code: 'INVALID_OPTION', why: `it is ${kind} (${errno})`, remedy: 'choose the path of a file' }
  }
  return errno === 'ENOENT' || errno === 'ENOTDIR'
    ? { code: 'INVALID_OPTION', why: `there is no such directory (${errno})`, remedy: 'make it first' }
    : undefined
}

function remedyForDeath(signal: number, plan: Plan): { remedy?: string } {
  const filtered = plan.operations.some(({ op }) => op === 'seccomp')
  if (filtered && (signal === constants.signals.SIGSYS || signal === constants.signals.SIGSEGV)) {
    return { remedy: 'the seccomp profile must allow execve and what the program begins with' }
  }
  const limited = plan.cgroup.writes.some(({ path }) => path.includes('/memory.'))
  if (limited && signal === constants.signals.SIGKILL) return { remedy: 'its memory limit may be too small to start' }
  return {}
}

/** Values that the kernel refuses are the caller's to change. */
function explainLimit(path: string, errno: string): Explanation | undefined {
  const file = path.slice(path.lastIndexOf('/') + 1)
  const refused = errno === 'EINVAL' || errno === 'ERANGE' || errno === 'EACCES'
  if (refused && file.startsWith('cpuset.')) {
    return {
      code: 'INVALID_OPTION',
      why: `there is no such ${file === 'cpuset.mems' ? 'memory node' : 'cpu'} for this cgroup (${errno})`,
      remedy: `cpuset can name those in ${file} of the cgroup above`,
    }
  }
  if (refused || errno === 'EBUSY') {
    return {
      code: 'INVALID_OPTION',
      why: `the kernel takes no such limit here (${errno})`,
      remedy: 'choose another value; those of the cgroups above bound it',
    }
  }
  return undefined
}
