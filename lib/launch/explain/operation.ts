/** What the kernel has against a step of a plan. Pure. */
import { signalName } from '../../sys/signal-name.js'
import type { Operation } from '../operation.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'

export function explainOperation(failure: Failure, errno: string, operation: Operation): Explanation | undefined {
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
