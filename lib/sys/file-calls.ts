/** What Node has no function for, of files: locks, blocks, flags, attributes and names. */
import { c, check, errnoName, systemError } from './libc.js'

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const O_NOCTTY = 0o400
/** The same on every machine. */
const SYS_OPENAT2 = 437
const RESOLVE_NO_XDEV = 0x01
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_IN_ROOT = 0x10
const FALLOC_FL_KEEP_SIZE = 1
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const AT_FDCWD = -100
const AT_SYMLINK_FOLLOW = 0x400
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4
const QUOTACTL_FD = 443

/**
 * Try to take a flock(2) without waiting. The kernel gives it back when the last copy of the descriptor is closed,
 * however the process ends.
 * @returns false when another holder has it.
 */
export function tryLock(fd: number, mode: 'shared' | 'exclusive'): boolean {
  if ((c().flock(fd, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) as number) === 0) return true
  const errno = errnoName(c().errno())
  if (errno === 'EAGAIN' || errno === 'EWOULDBLOCK') return false
  throw systemError('flock', errno, 'lock a file')
}

/**
 * Give a file the blocks for its first `bytes`, without changing its size (fallocate(2), FALLOC_FL_KEEP_SIZE).
 * @returns false when its file system can't
 * @throws PodlingError DISK_FULL
 */
export function allocate(fd: number, bytes: number, what: string, path: string): boolean {
  while ((c().fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) as number) !== 0) {
    const errno = errnoName(c().errno())
    if (errno === 'EOPNOTSUPP' || errno === 'ENOTSUP' || errno === 'ENOSYS') return false
    if (errno !== 'EINTR') throw systemError('fallocate', errno, what, path)
  }
  return true
}

/**
 * Give an open file a name, one without (O_TMPFILE) its first (linkat(2)).
 * @returns false when something has that name
 */
export function linkDescriptor(fd: number, path: string): boolean {
  if ((c().linkat(AT_FDCWD, `/proc/self/fd/${String(fd)}`, AT_FDCWD, path, AT_SYMLINK_FOLLOW) as number) === 0)
    return true
  const errno = errnoName(c().errno())
  if (errno === 'EEXIST') return false
  throw systemError('linkat', errno, `name a file ${path}`, path)
}

/**
 * Open a file below a directory for reading, without waiting for what a FIFO or a device would wait for. Links in the path
 * lead nowhere outside of the directory, and nothing that is mounted below it is entered (openat2(2), RESOLVE_IN_ROOT,
 * RESOLVE_NO_XDEV).
 */
export function openBeneath(directory: number, path: string): number {
  const how = new BigUint64Array([
    BigInt(O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
    0n,
    BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS),
  ])
  const result = Number(c().openat2(SYS_OPENAT2, directory, path, how, how.byteLength))
  return check(result, 'openat2', `open ${path} in a directory`, path)
}

/**
 * Set flags of a file or directory beside those it has (FS_IOC_SETFLAGS, ioctl_iflags(2)).
 * @returns false when its file system doesn't know them
 */
export function addInodeFlags(fd: number, flags: number): boolean {
  const value = [0]
  if (c().ioctl(fd, FS_IOC_GETFLAGS, value) as number) return false
  return c().ioctl(fd, FS_IOC_SETFLAGS, [value[0]! | flags]) === 0
}

/** ioctl(2) of a struct, which the kernel reads or writes. */
export function ioctlStruct(fd: number, request: number, bytes: Buffer, what: string, path: string): void {
  check(c().ioctlStruct(fd, request, bytes) as number, 'ioctl', what, path)
}

/** quotactl_fd(2), for the file system that an open file is on. @returns the errno when it fails */
export function quotactl(fd: number, command: number, id: number, bytes: Buffer): string | undefined {
  return Number(c().quotactl(QUOTACTL_FD, fd, command, id, bytes)) === 0 ? undefined : errnoName(c().errno())
}

/** setxattr(2), of a symbolic link itself. @returns its errno name where the file system has no such attributes */
export function setAttribute(path: string, name: string, value: string): 'EOPNOTSUPP' | undefined {
  const result = Number(c().lsetxattr(path, name, value, Buffer.byteLength(value), 0))
  if (result >= 0) return undefined
  const errno = errnoName(c().errno())
  if (errno === 'EOPNOTSUPP' || errno === 'ENOTSUP') return 'EOPNOTSUPP'
  throw systemError('setxattr', errno, `set the attribute ${name} of ${path}`, path)
}

/** mkfifo(3), mode 0600. */
export function makeFifo(path: string): void {
  check(Number(c().mkfifo(path, 0o600)), 'mkfifo', `make the FIFO ${path}`, path)
}
