/**
 * The only FFI of Podling: every C function that lib/ calls is declared here. koffi loads its own prebuilt binary, and
 * the functions are looked up in the C library that Node itself runs on.
 *
 * All calls are synchronous, so only calls that can't block stand here; what enters namespaces or works in a hostile
 * tree is the helper's business (native/).
 */
import koffi from 'koffi'
import { constants } from 'node:os'
import { PodlingError, type ErrorCode } from '../errors.js'

const library = koffi.load(null)

const c = {
  pipe2: library.func('int pipe2(_Out_ int *fds, int flags)'),
  socketpair: library.func('int socketpair(int domain, int type, int protocol, _Out_ int *fds)'),
  close: library.func('int close(int fd)'),
  flock: library.func('int flock(int fd, int operation)'),
  syscall: library.func('long syscall(long number, long a, long b, long c, long d, long e)'),
} as const

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** The errno name for a number, `'ENOENT'` for 2; `'errno 4095'` for one that Node doesn't know. */
export function errnoName(number: number): string {
  return errnoNames.get(number) ?? `errno ${String(number)}`
}

/** The error code that fits an errno: a full disk and a used-up limit are told apart from the rest. */
export function codeForErrno(errno: string): ErrorCode {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'DISK_FULL'
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'ENOMEM':
    case 'EUSERS':
      return 'LIMIT_REACHED'
    case 'EPERM':
    case 'EACCES':
      return 'PERMISSION_DENIED'
    default:
      return 'SYSTEM_CALL_FAILED'
  }
}

/** A {@link PodlingError} for a system call that failed: `mount proc at /proc: EPERM`. */
export function systemError(syscall: string, errno: string, what: string, path?: string): PodlingError {
  return new PodlingError(codeForErrno(errno), `${what}: ${errno}`, {
    syscall,
    errno,
    ...(path === undefined ? {} : { path }),
  })
}

function check(result: number, syscall: string, what: string, path?: string): number {
  if (result >= 0) return result
  throw systemError(syscall, errnoName(koffi.errno()), what, path)
}

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const AF_UNIX = 1
const SOCK_STREAM = 1
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

/** A pipe(7), close-on-exec at both ends; neither end is non-blocking unless asked. */
export function pipe(options: { readonly nonBlocking?: boolean } = {}): { read: number; write: number } {
  const fds = [0, 0]
  check(c.pipe2(fds, O_CLOEXEC | (options.nonBlocking ? O_NONBLOCK : 0)) as number, 'pipe2', 'make a pipe')
  return { read: fds[0]!, write: fds[1]! }
}

/** A connected pair of unix(7) stream sockets, close-on-exec. */
export function socketPair(): [number, number] {
  const fds = [0, 0]
  check(c.socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds) as number, 'socketpair', 'make a socket pair')
  return [fds[0]!, fds[1]!]
}

/** Close a descriptor that no JavaScript object owns. Closing one that is closed already is a bug and throws. */
export function close(fd: number): void {
  check(c.close(fd) as number, 'close', `close descriptor ${String(fd)}`)
}

/**
 * Try to take a flock(2) without waiting. The kernel gives it back when the last copy of the descriptor is closed,
 * however the process ends.
 * @returns false when another holder has it.
 */
export function tryLock(fd: number, mode: 'shared' | 'exclusive'): boolean {
  if ((c.flock(fd, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) as number) === 0) return true
  const errno = errnoName(koffi.errno())
  if (errno === 'EAGAIN' || errno === 'EWOULDBLOCK') return false
  throw systemError('flock', errno, 'lock a file')
}

/**
 * A system call by its number, with up to three numbers as arguments and zeros behind them. For probes alone: what the
 * C library has a function for is called through that.
 */
export function rawSystemCall(number: number, a: number, b: number, c0: number): { value: number; errno?: string } {
  const value = Number(c.syscall(number, a, b, c0, 0, 0))
  return value < 0 ? { value, errno: errnoName(koffi.errno()) } : { value }
}
