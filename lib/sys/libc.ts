/**
 * The only FFI of Podling: every C function that lib/ calls is declared here. koffi loads its own prebuilt binary, and
 * the functions are looked up in the C library that Node itself runs on.
 *
 * All calls but one are synchronous, so only calls that can't block stand here; what enters namespaces or works in a hostile
 * tree is the helper's business (native/).
 */
import type Koffi from 'koffi'
import { constants } from 'node:os'
import { PodlingError, type ErrorCode } from '../errors.js'
import { late } from '../late.js'

const loadKoffi = late('koffi') as () => typeof Koffi

/** The functions by their C names. Koffi is loaded by the first call: whoever only reads files does without. */
function declare() {
  const koffi = loadKoffi()
  const library = koffi.load(null)
  /*
   * struct iovec and msghdr of sendmsg(2), as every 64-bit Linux has them. They have no names, since koffi keeps names for
   * the whole process: a second copy of this package in it could not be loaded.
   */
  const iovec = koffi.struct({ base: 'void *', length: 'size_t' })
  const msghdr = koffi.struct({
    name: 'void *',
    nameLength: 'uint32_t',
    parts: koffi.pointer(iovec),
    partCount: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  })

  return {
    errno: () => koffi.errno(),
    pipe2: library.func('int pipe2(_Out_ int *fds, int flags)'),
    socketpair: library.func('int socketpair(int domain, int type, int protocol, _Out_ int *fds)'),
    close: library.func('int close(int fd)'),
    fcntl: library.func('int fcntl(int fd, int command, ...)'),
    linkat: library.func('int linkat(int from, const char *path, int to, const char *name, int flags)'),
    flock: library.func('int flock(int fd, int operation)'),
    fallocate: library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
    ioctl: library.func('int ioctl(int fd, unsigned long request, _Inout_ int *value)'),
    ioctlStruct: library.func('int ioctl(int fd, unsigned long request, _Inout_ void *bytes)'),
    socket: library.func('int socket(int domain, int type, int protocol)'),
    connect: library.func('int connect(int fd, const void *address, uint32_t length)'),
    sendmsg: library.func('sendmsg', 'int64_t', ['int', koffi.pointer(msghdr), 'int']),
    posix_spawn: library.func(
      'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)',
    ),
    posix_spawn_file_actions_init: library.func('int posix_spawn_file_actions_init(void *actions)'),
    posix_spawn_file_actions_destroy: library.func('int posix_spawn_file_actions_destroy(void *actions)'),
    posix_spawn_file_actions_addopen: library.func(
      'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, uint32_t mode)',
    ),
    posix_spawn_file_actions_adddup2: library.func(
      'int posix_spawn_file_actions_adddup2(void *actions, int fd, int as)',
    ),
    waitpid: library.func('int waitpid(int pid, _Out_ int *status, int options)'),
    bind: library.func('int bind(int fd, const void *address, uint32_t length)'),
    listen: library.func('int listen(int fd, int backlog)'),
    shutdown: library.func('int shutdown(int fd, int how)'),
    setsockopt: library.func('int setsockopt(int fd, int level, int option, const int *value, uint32_t length)'),
    getsockname: library.func('int getsockname(int fd, _Out_ void *address, _Inout_ uint32_t *length)'),
    getsockopt: library.func(
      'int getsockopt(int fd, int level, int option, _Out_ void *value, _Inout_ uint32_t *length)',
    ),
    recvmsg: library.func('recvmsg', 'int64_t', ['int', koffi.pointer(msghdr), 'int']),
    poll: library.func('int poll(void *fds, unsigned long count, int timeout)'),
    send: library.func('int64_t send(int fd, const void *bytes, size_t length, int flags)'),
    recv: library.func('int64_t recv(int fd, _Out_ void *bytes, size_t length, int flags)'),
    syscall: library.func('long syscall(long number, long a, long b, long c, long d, long e)'),
    openat2: library.func('syscall', 'long', ['long', 'int', 'const char *', 'const void *', 'size_t']),
    mkfifo: library.func('int mkfifo(const char *path, uint32_t mode)'),
    lsetxattr: library.func(
      'int lsetxattr(const char *path, const char *name, const char *value, size_t size, int flags)',
    ),
    quotactl: library.func('long syscall(long number, long fd, long command, long id, _Inout_ void *bytes)'),
  } as const
}

let declared: ReturnType<typeof declare> | undefined

/** The C functions, for the files beside this one alone: each gives its failures their words. @internal */
export const c = (): ReturnType<typeof declare> => (declared ??= declare())

// Two names can have one number: EAGAIN is EWOULDBLOCK. The first one, by the alphabet, is the one that man pages lead with.
const errnoNames = new Map(
  Object.entries(constants.errno)
    .sort(([a], [b]) => (a < b ? 1 : -1))
    .map(([name, number]) => [number, name]),
)

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
    case 'E2BIG':
      return 'LIMIT_REACHED'
    case 'EPERM':
    case 'EACCES':
    case 'EROFS':
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

/** The result of a call, or its errno as an error. @internal */
export function check(result: number, syscall: string, what: string, path?: string): number {
  if (result >= 0) return result
  throw systemError(syscall, errnoName(c().errno()), what, path)
}

/**
 * A system call by its number, with up to three numbers as arguments and zeros behind them. For probes, and for what the C
 * library has no function for: all else is called through that.
 */
export function rawSystemCall(number: number, a: number, b: number, c0: number): { value: number; errno?: string } {
  const value = Number(c().syscall(number, a, b, c0, 0, 0))
  return value < 0 ? { value, errno: errnoName(c().errno()) } : { value }
}
