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
const c = (): ReturnType<typeof declare> => (declared ??= declare())

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

function check(result: number, syscall: string, what: string, path?: string): number {
  if (result >= 0) return result
  throw systemError(syscall, errnoName(c().errno()), what, path)
}

const O_RDWR = 0o2
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const O_NOCTTY = 0o400
const F_SETPIPE_SZ = 1031
const F_DUPFD_CLOEXEC = 1030
/** The same on every machine. */
const SYS_OPENAT2 = 437
const SYS_PIDFD_OPEN = 434
const RESOLVE_NO_XDEV = 0x01
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_IN_ROOT = 0x10
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SO_RCVTIMEO = 20
const SCM_RIGHTS = 1
const MSG_DONTWAIT = 0x40
const POLLIN = 0x001
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000
const WNOHANG = 1
const FALLOC_FL_KEEP_SIZE = 1
const FIONREAD = 0x541b
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const AT_FDCWD = -100
const AT_SYMLINK_FOLLOW = 0x400
const SOCK_SEQPACKET = 5
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

/**
 * A pipe(7), close-on-exec at both ends; neither end is non-blocking unless asked.
 * @param options.size how many bytes it shall hold, 65536 without it. A wish: the kernel gives an unprivileged user only
 * so much. With 1 MiB a fast writer and Node pass 2 GB/s where they pass 1 GB/s otherwise.
 */
export function pipe(options: { readonly nonBlocking?: boolean; readonly size?: number } = {}): {
  read: number
  write: number
} {
  const fds = [0, 0]
  check(c().pipe2(fds, O_CLOEXEC | (options.nonBlocking ? O_NONBLOCK : 0)) as number, 'pipe2', 'make a pipe')
  if (options.size !== undefined) c().fcntl(fds[0]!, F_SETPIPE_SZ, 'int', options.size)
  return { read: fds[0]!, write: fds[1]! }
}

/** A connected pair of unix(7) stream sockets, close-on-exec. */
export function socketPair(): [number, number] {
  const fds = [0, 0]
  check(c().socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds) as number, 'socketpair', 'make a socket pair')
  return [fds[0]!, fds[1]!]
}

/** A connected pair of unix(7) sockets that keep messages apart (SOCK_SEQPACKET), close-on-exec. */
export function packetSocketPair(): [number, number] {
  const fds = [0, 0]
  check(c().socketpair(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, fds) as number, 'socketpair', 'make a socket pair')
  return [fds[0]!, fds[1]!]
}

/** Close a descriptor that no JavaScript object owns. Closing one that is closed already is a bug and throws. */
export function close(fd: number): void {
  check(c().close(fd) as number, 'close', `close descriptor ${String(fd)}`)
}

/** `struct sockaddr_un`, of an abstract address too. */
function unixAddress(path: string): Buffer {
  const address = Buffer.alloc(110)
  const size = address.write(path, 2)
  if (size !== Buffer.byteLength(path) || size > 107)
    throw systemError('connect', 'ENAMETOOLONG', `connect to ${path}`, path)
  address.writeUInt16LE(AF_UNIX, 0)
  return address
}

/**
 * Connect to a unix(7) stream socket. The address has room for 107 bytes: reach a longer path through an open directory,
 * `/proc/self/fd/N/name`. A local connect never waits for the other side.
 * @param open makes the socket, where it is to be of another network namespace
 * @returns a non-blocking, close-on-exec descriptor.
 */
export function connectUnix(
  path: string,
  open = (): number =>
    check(c().socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0) as number, 'socket', 'make a socket'),
): number {
  const address = unixAddress(path)
  const fd = open()
  if ((c().connect(fd, address, address.length) as number) === 0) return fd
  const errno = errnoName(c().errno())
  close(fd)
  throw systemError('connect', errno, `connect to ${path}`, path)
}

/**
 * Connect to a unix(7) socket that keeps messages apart (SOCK_SEQPACKET).
 * @param patience seconds that a receive waits, then fails with `EAGAIN`
 * @returns a blocking, close-on-exec descriptor
 */
export function connectPackets(path: string, patience: number): number {
  const address = unixAddress(path)
  const fd = check(c().socket(AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0) as number, 'socket', 'make a socket')
  try {
    // struct timeval of a 64-bit machine.
    const time = [patience, 0, 0, 0]
    check(c().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, time, 16) as number, 'setsockopt', `connect to ${path}`)
    check(c().connect(fd, address, address.length) as number, 'connect', `connect to ${path}`, path)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** Receive one message with at most one descriptor, which is closed by exec. Waits as long as the socket does. */
export function receiveDescriptor(
  socket: number,
  room: Buffer,
  what: string,
): { readonly size: number; readonly fd: number | undefined } {
  const control = Buffer.alloc(24)
  const message = {
    name: null,
    nameLength: 0,
    parts: [{ base: room, length: room.length }],
    partCount: 1,
    control,
    controlLength: control.length,
    flags: 0,
  }
  let size: number
  // With a time limit it isn't begun anew by itself after a signal, such as that of a child's end (signal(7)).
  do size = Number(c().recvmsg(socket, message, MSG_CMSG_CLOEXEC))
  while (size < 0 && errnoName(c().errno()) === 'EINTR')
  check(size, 'recvmsg', what)
  const has = control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS
  return { size, fd: has ? control.readInt32LE(16) : undefined }
}

/** Until a descriptor has something to be read, or has ended (poll(2)). Waits on a thread of Node's pool, of which there are four. */
export async function readable(fd: number): Promise<void> {
  // struct pollfd: int fd, short events, short revents.
  const polled = Buffer.alloc(8)
  polled.writeInt32LE(fd, 0)
  polled.writeInt16LE(POLLIN, 4)
  while (polled.readInt16LE(6) === 0) {
    await new Promise((resolve) => {
      c().poll.async(polled, 1, -1, resolve)
    })
  }
}

/**
 * Send bytes with descriptors (SCM_RIGHTS of unix(7)) in one message, without waiting. The kernel takes all of it or
 * nothing, as long as it is small (some hundred bytes).
 * @returns false when the socket is full: try again later.
 * @throws PodlingError when the other end is gone (`errno` `EPIPE` or `ECONNRESET`) or a descriptor is bad.
 */
export function sendDescriptors(socket: number, bytes: Uint8Array, descriptors: readonly number[]): boolean {
  let control: Buffer | null = null
  if (descriptors.length > 0) {
    /* struct cmsghdr: size_t length, int level, int type; then the descriptors, padded to 8 bytes. */
    const size = 16 + 4 * descriptors.length
    const rights = Buffer.alloc((size + 7) & ~7)
    rights.writeBigUInt64LE(BigInt(size), 0)
    rights.writeInt32LE(SOL_SOCKET, 8)
    rights.writeInt32LE(SCM_RIGHTS, 12)
    descriptors.forEach((fd, i) => rights.writeInt32LE(fd, 16 + 4 * i))
    control = rights
  }
  const message = {
    name: null,
    nameLength: 0,
    parts: [{ base: bytes, length: bytes.length }],
    partCount: 1,
    control,
    controlLength: control?.length ?? 0,
    flags: 0,
  }
  if (Number(c().sendmsg(socket, message, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0) return true
  const errno = errnoName(c().errno())
  /* ETOOMANYREFS: too many descriptors are in flight; it passes when the other side has received some. */
  if (errno === 'EAGAIN' || errno === 'EWOULDBLOCK' || errno === 'ENOBUFS' || errno === 'ETOOMANYREFS') return false
  throw systemError('sendmsg', errno, 'send to the helper')
}

/**
 * Start a program that gets `control` as descriptor 3, /dev/null as 0 to 2, and an empty environment. posix_spawn(3)
 * shares the memory until the exec, so the time that it takes doesn't grow with the size of this process, as that of
 * node:child_process does.
 * @returns its pid, to be reaped with {@link reap}.
 */
export function spawnHelper(path: string, args: readonly string[], control: number): number {
  const actions = Buffer.alloc(512) /* posix_spawn_file_actions_t is opaque, and 80 bytes in glibc and musl */
  const check0 = (result: unknown): void => {
    if (result !== 0) throw systemError('posix_spawn', errnoName(result as number), `start ${path}`, path)
  }
  check0(c().posix_spawn_file_actions_init(actions))
  try {
    for (const fd of [0, 1, 2]) check0(c().posix_spawn_file_actions_addopen(actions, fd, '/dev/null', O_RDWR, 0))
    check0(c().posix_spawn_file_actions_adddup2(actions, control, 3))
    const pid = [0]
    check0(c().posix_spawn(pid, path, actions, null, [path, ...args, null], [null]))
    return pid[0]!
  } finally {
    c().posix_spawn_file_actions_destroy(actions)
  }
}

/**
 * Take the exit status of a child that was started with {@link spawnHelper}, without waiting.
 * @returns false while it lives.
 */
export function reap(pid: number): boolean {
  return (c().waitpid(pid, [0], WNOHANG) as number) !== 0
}

/** Another descriptor of the same open file, closed by exec. */
export function duplicate(fd: number): number {
  return check(c().fcntl(fd, F_DUPFD_CLOEXEC, 'int', 3) as number, 'fcntl', 'copy a descriptor')
}

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
 * A system call by its number, with up to three numbers as arguments and zeros behind them. For probes alone: what the
 * C library has a function for is called through that.
 */
export function rawSystemCall(number: number, a: number, b: number, c0: number): { value: number; errno?: string } {
  const value = Number(c().syscall(number, a, b, c0, 0, 0))
  return value < 0 ? { value, errno: errnoName(c().errno()) } : { value }
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

/** How many bytes a read of this pipe or socket would give at once (FIONREAD). */
export function readableBytes(fd: number): number {
  const value = [0]
  check(c().ioctl(fd, FIONREAD, value) as number, 'ioctl', 'count the bytes in a pipe')
  return value[0]!
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

const QUOTACTL_FD = 443

/** quotactl_fd(2), for the file system that an open file is on. @returns the errno when it fails */
export function quotactl(fd: number, command: number, id: number, bytes: Buffer): string | undefined {
  return Number(c().quotactl(QUOTACTL_FD, fd, command, id, bytes)) === 0 ? undefined : errnoName(c().errno())
}

/** A non-blocking, close-on-exec socket(2); the numbers are those of the C headers. */
export function openSocket(domain: number, type: number, protocol: number, what: string): number {
  return check(c().socket(domain, type | O_CLOEXEC | O_NONBLOCK, protocol) as number, 'socket', what)
}

/** bind(2) to an address in the bytes of its `struct sockaddr`. */
export function bindSocket(fd: number, address: Uint8Array, what: string): void {
  check(c().bind(fd, address, address.length) as number, 'bind', what)
}

/** listen(2) and, at once, shutdown(2) of the receiving side: what that is good for is said where it is called. */
export function listenAndShut(fd: number, what: string): void {
  check(c().listen(fd, 1) as number, 'listen', what)
  check(c().shutdown(fd, 0) as number, 'shutdown', what)
}

/** setsockopt(2) of an option that is an int. */
export function setSocketOption(fd: number, level: number, option: number, value: number, what: string): void {
  check(c().setsockopt(fd, level, option, [value], 4) as number, 'setsockopt', what)
}

/** getsockname(2): the bytes of the `struct sockaddr` that a socket is bound to. */
export function socketAddress(fd: number): Buffer {
  const address = Buffer.alloc(128)
  const length = [address.length]
  check(c().getsockname(fd, address, length) as number, 'getsockname', 'ask for the address of a socket')
  return address.subarray(0, length[0])
}

/**
 * The pid of the process that has called listen(2) on what a unix(7) socket is connected to (SO_PEERCRED). It may have ended
 * since.
 */
export function listenerPid(fd: number): number {
  const credentials = Buffer.alloc(12)
  check(c().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, [12]) as number, 'getsockopt', 'ask who listens')
  return credentials.readInt32LE(0)
}

/** pidfd_open(2), close-on-exec. @returns undefined when there is no such process */
export function openPidfd(pid: number): number | undefined {
  const fd = Number(c().syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0))
  if (fd >= 0) return fd
  const errno = errnoName(c().errno())
  if (errno === 'ESRCH' || errno === 'EINVAL') return undefined
  throw systemError('pidfd_open', errno, `open a descriptor of process ${String(pid)}`)
}

/** send(2) of one whole message. */
export function sendMessage(fd: number, bytes: Uint8Array, what: string): void {
  check(Number(c().send(fd, bytes, bytes.length, MSG_NOSIGNAL)), 'send', what)
}

/** recv(2) of one message into `room`, without waiting. @returns its bytes; undefined when there is none. */
export function receiveMessage(fd: number, room: Buffer, what: string): Buffer | undefined {
  const size = Number(c().recv(fd, room, room.length, MSG_DONTWAIT))
  if (size >= 0) return room.subarray(0, size)
  const errno = errnoName(c().errno())
  if (errno === 'EAGAIN' || errno === 'EWOULDBLOCK') return undefined
  throw systemError('recv', errno, what)
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
