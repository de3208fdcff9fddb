/** Sockets of unix(7): pairs, connections, and descriptors in messages. */
import { close } from './descriptors.js'
import { c, check, errnoName, systemError } from './libc.js'

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SO_RCVTIMEO = 20
const SCM_RIGHTS = 1
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000
const SOCK_SEQPACKET = 5

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
 * The pid of the process that has called listen(2) on what a unix(7) socket is connected to (SO_PEERCRED). It may have ended
 * since.
 */
export function listenerPid(fd: number): number {
  const credentials = Buffer.alloc(12)
  check(c().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, [12]) as number, 'getsockopt', 'ask who listens')
  return credentials.readInt32LE(0)
}
