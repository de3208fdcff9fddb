/** Why a start or exec failed and what to do about it: from the helper's stage, reason and errno. Pure. */
import { constants } from 'node:os'
import { codeForErrno, errnoName } from '../sys/libc.js'
import type { ErrorCode } from '../errors.js'
import { explainLabels } from './explain-labels.js'
import type { Explanation } from './explanation.js'
import type { Operation } from './operation.js'
import type { Plan } from './plan.js'
import type { Failure } from './protocol.js'

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** The signal's name for a number, `'SIGKILL'` for 9. */
export function signalName(number: number): string {
  return signalNames.get(number) ?? `signal ${String(number)}`
}

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

function explainLandlock(
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

/** In a user namespace there are no more ids than it has been given (user_namespaces(7)). */
function explainIdentity({ syscall }: Failure, errno: string, operation?: Operation): Explanation | undefined {
  if (operation === undefined || errno !== 'EINVAL' || !/^(setresuid|setresgid|setgroups)$/.test(syscall))
    return undefined
  return {
    code: 'SUBIDS_TOO_FEW',
    why: `the user namespace of the container has no such ${syscall === 'setresuid' ? 'user' : 'group'} (${errno})`,
    remedy: 'choose another user, or give a range in /etc/subuid and /etc/subgid; see userNamespace of info()',
  }
}

/** Failures that the helper itself has a word for. */
function explainReason({ reason, syscall }: Failure, errno: string, operation?: Operation): Explanation | undefined {
  const looksUp = operation?.op === 'user' || operation?.op === 'ids'
  const database = looksUp ? 'USER_NOT_FOUND' : 'START_FAILED'
  switch (reason) {
    case 'user-not-found':
      return {
        code: 'USER_NOT_FOUND',
        why: 'no such user in the /etc/passwd of the image',
        remedy: 'name one that is there, or give a uid',
      }
    case 'group-not-found':
      return {
        code: 'USER_NOT_FOUND',
        why: 'no such group in the /etc/group of the image',
        remedy: 'name one that is there, or give a gid',
      }
    case 'command-not-found':
      return {
        code: 'COMMAND_NOT_FOUND',
        why: 'no such program in the container',
        remedy: 'give its absolute path, or see that the image has it in a directory of its PATH',
      }
    case 'interpreter-not-found':
      return {
        code: 'COMMAND_NOT_FOUND',
        why: 'the program is there, but its interpreter or loader is not',
        remedy: 'add to the image what its #! line or its ELF header names',
      }
    case 'command-not-executable':
      return errno === 'ENOEXEC'
        ? {
            code: 'COMMAND_NOT_EXECUTABLE',
            why: 'not a program for this machine (ENOEXEC)',
            remedy: 'a script needs a #! line, a binary must be built for this processor',
          }
        : {
            code: 'COMMAND_NOT_EXECUTABLE',
            why: `not executable (${errno})`,
            remedy: 'it must be a file that the user may execute, on a mount without noexec',
          }
    case 'workdir-invalid':
      return {
        code: 'WORKDIR_INVALID',
        why: errno,
        remedy: 'choose a workdir that is a directory, or that can be made',
      }
    case 'workdir-outside':
      return { code: 'WORKDIR_INVALID', why: 'it lies outside of the root', remedy: 'choose a workdir inside of it' }
    case 'not-procfs':
      return { code: 'START_FAILED', why: '/proc is not the kernel’s procfs', remedy: 'mount nothing else there' }
    case 'not-dev-null':
      return {
        code: 'START_FAILED',
        why: '/dev/null of the container is not the null device',
        remedy: 'leave /dev/null as it is made by default',
      }
    case 'not-devpts':
      return {
        code: 'START_FAILED',
        why: 'what is mounted at /dev/pts of the container is not a devpts',
        remedy: 'leave /dev/pts as it is made by default',
      }
    case 'not-a-file':
      return {
        code: database,
        why: looksUp ? `/${syscall} of the image is not a regular file` : 'not a regular file',
        ...(looksUp ? { remedy: 'mend the image' } : {}),
      }
    case 'too-large':
      return { code: database, why: `/${syscall} is too large`, remedy: 'mend the image' }
    case 'keeps-label':
      return {
        code: 'INVALID_OPTION',
        why: 'what the machine itself is made of keeps its labels',
        remedy: 'mount a directory of its own, or leave z and Z (relabel) out',
      }
    case 'hook-exited':
    case 'hook-killed':
    case 'hook-late':
    case 'syscall':
      return undefined
  }
}

/** Limits of namespaces(7), which the kernel reports as it reports a full disk. */
const namespaceLimits = '/proc/sys/user/max_*_namespaces'

function explainStage({ stage, error, index }: Failure, errno: string, plan: Plan): Explanation | undefined {
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

/** Which file systems can is up to the kernel: ext4, xfs and btrfs can, overlay, NFS and most of FUSE can't. */
function explainIdMap(syscall: string, errno: string): Explanation | undefined {
  if (syscall !== 'mount_setattr idmap' || (errno !== 'EINVAL' && errno !== 'EPERM')) return undefined
  return {
    code: 'KERNEL_UNSUPPORTED',
    why: `this kernel can't map the ids of the file system there (${errno})`,
    remedy:
      'it must be one such as ext4, xfs, btrfs, or tmpfs from Linux 6.3 on; see mount_setattr(2), ID-mapped mounts',
  }
}

function explainOperation(failure: Failure, errno: string, operation: Operation): Explanation | undefined {
  const { syscall } = failure
  switch (operation.op) {
    case 'hook':
      return explainHook(failure, errno, operation.timeout)
    case 'map-ids':
      return explainIdMap(syscall, errno)
    case 'take':
    case 'bind':
    case 'keep-root':
      if (syscall === 'mount_setattr idmap') return explainIdMap(syscall, errno)
      if (syscall === 'open_tree' && errno === 'ENOENT') {
        return {
          code: 'MOUNT_SOURCE_NOT_FOUND',
          why: 'the source is not there (ENOENT)',
          remedy: 'make it on the host first; Podling makes nothing there',
        }
      }
      return explainTarget(syscall, errno)
    case 'mount':
      if (syscall === 'fsconfig' && errno === 'EINVAL') {
        return {
          code: 'INVALID_OPTION',
          why: `${operation.fstype} takes no such option (EINVAL)`,
          remedy: 'see mount(8)',
        }
      }
      return explainTarget(syscall, errno)
    case 'terminal':
      return explainTerminal(syscall, errno)
    case 'rlimit':
      return errno === 'EPERM'
        ? {
            code: 'PERMISSION_DENIED',
            why: 'it is above what this host allows (EPERM)',
            remedy: 'RLIMIT_NOFILE can be at most /proc/sys/fs/nr_open, others need CAP_SYS_RESOURCE to grow',
          }
        : undefined
    case 'oom-score-adj':
    case 'sysctl':
      if (errno === 'ELOOP') {
        return { code: 'START_FAILED', why: '/proc of the image is a symbolic link (ELOOP)', remedy: 'mend the image' }
      }
      if (operation.op !== 'sysctl') return undefined
      if (errno === 'ENOENT') {
        return {
          code: 'INVALID_OPTION',
          why: 'no such sysctl in the namespaces of the container (ENOENT)',
          remedy: 'look below /proc/sys in one',
        }
      }
      return errno === 'EINVAL'
        ? { code: 'INVALID_OPTION', why: 'the kernel takes no such value (EINVAL)', remedy: 'choose another' }
        : undefined
    case 'enter-pids':
      return errno === 'EPERM' || errno === 'ENOSYS'
        ? {
            code: 'PERMISSION_DENIED',
            why: `the seccomp profile of the container forbids it (${errno})`,
            remedy: 'allow clone and setsid in the profile, or set noNewPrivileges',
          }
        : undefined
    case 'exec':
      return errno === 'E2BIG'
        ? {
            code: 'LIMIT_REACHED',
            why: 'its arguments and environment are too large (E2BIG)',
            remedy: 'one string can have 128 KiB, all together a quarter of the stack limit (execve(2)); use a file',
          }
        : undefined
    default:
      return undefined
  }
}

/** What it says is anybody's: nothing of it is to reach a terminal but text. */
function explainHook({ reason, error, said, syscall }: Failure, errno: string, timeout = 0): Explanation {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  const words = said.replace(/[\u0000-\u001f\u007f-\u009f\ufffd]+/g, ' ').trim()
  const why = {
    'hook-exited': `it ended with status ${String(error)}`,
    'hook-killed': `it was ended by ${signalName(error)}`,
    'hook-late': `it was killed after ${String(timeout)} s`,
  }[reason as string]
  if (why === undefined) {
    return {
      code: 'HOOK_FAILED',
      why: syscall === 'execve' ? `it could not be executed: ${errno}` : `${syscall}: ${errno}`,
    }
  }
  return { code: 'HOOK_FAILED', why: words === '' ? why : `${why}: ${words}` }
}

function explainTerminal(syscall: string, errno: string): Explanation | undefined {
  if (errno === 'ELOOP') {
    return { code: 'START_FAILED', why: '/dev/console is a symbolic link (ELOOP)', remedy: 'mount nothing at /dev' }
  }
  // ENOSPC is what /proc/sys/kernel/pty/max and a devpts's own `max` say.
  if (syscall === 'openat2' && errno === 'ENOSPC') {
    return {
      code: 'LIMIT_REACHED',
      why: 'there can be no more terminals (ENOSPC)',
      remedy: 'raise /proc/sys/kernel/pty/max, or end something that has one',
    }
  }
  return undefined
}

function explainTarget(syscall: string, errno: string): Explanation | undefined {
  if (syscall === 'move_mount' && errno === 'EINVAL') {
    return {
      code: 'INVALID_OPTION',
      why: 'one of source and target is a directory and the other is none (EINVAL)',
      remedy: 'mount a directory on a directory, a file on a file',
    }
  }
  if (syscall === 'openat2' && errno === 'ENOTDIR') {
    return {
      code: 'INVALID_OPTION',
      why: 'the target lies below a file of the image (ENOTDIR)',
      remedy: 'choose another target',
    }
  }
  return undefined
}
