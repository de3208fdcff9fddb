/** Sockets of any kind, by the calls of their man pages. */
import { c, check, errnoName, systemError } from './libc.js'

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000

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
