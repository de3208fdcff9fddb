/** Descriptors that no JavaScript object owns, and what waits in them. */
import { c, check } from './libc.js'

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const F_SETPIPE_SZ = 1031
const F_DUPFD_CLOEXEC = 1030
const POLLIN = 0x001
const FIONREAD = 0x541b

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

/** Close a descriptor that no JavaScript object owns. Closing one that is closed already is a bug and throws. */
export function close(fd: number): void {
  check(c().close(fd) as number, 'close', `close descriptor ${String(fd)}`)
}

/** Another descriptor of the same open file, closed by exec. */
export function duplicate(fd: number): number {
  return check(c().fcntl(fd, F_DUPFD_CLOEXEC, 'int', 3) as number, 'fcntl', 'copy a descriptor')
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

/** How many bytes a read of this pipe or socket would give at once (FIONREAD). */
export function readableBytes(fd: number): number {
  const value = [0]
  check(c().ioctl(fd, FIONREAD, value) as number, 'ioctl', 'count the bytes in a pipe')
  return value[0]!
}
