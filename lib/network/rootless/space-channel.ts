/**
 * Questions to the keeper of a shared network namespace (native/space.c has the numbers too). It answers at once, as the
 * kernel does a netlink message, and is waited for in the same way.
 */
import { PodlingError } from '../../errors.js'
import { close } from '../../sys/descriptors.js'
import { errnoName, systemError } from '../../sys/libc.js'
import { receiveMessage } from '../../sys/sockets.js'
import { connectPackets, listenerPid, receiveDescriptor, sendDescriptors } from '../../sys/unix-sockets.js'
import type { Forward } from '../network-space.js'

const kinds = { socket: 1, namespace: 2, read: 3, write: 4, watch: 5, forward: 6, names: 7, wayOut: 8 } as const

/** One that is stopped is as good as dead. */
const patience = 10

/** Sockets that go in one message, beside its stream (unix(7), SCM_MAX_FD). */
const mostForwards = 240

interface Answer {
  readonly error: number
  readonly bytes: Buffer
  readonly fd: number | undefined
}

export class SpaceChannel {
  readonly #fd: number
  readonly #room = Buffer.alloc(64 * 1024 + 4)
  /** Of the keeper. */
  readonly pid: number

  private constructor(fd: number) {
    this.#fd = fd
    this.pid = listenerPid(fd)
  }

  /** @returns undefined where nobody listens */
  static connect(path: string): SpaceChannel | undefined {
    try {
      return new SpaceChannel(connectPackets(path, patience))
    } catch (error) {
      if (error instanceof PodlingError && ['ENOENT', 'ECONNREFUSED'].includes(error.errno ?? '')) return undefined
      throw error
    }
  }

  socket(domain: number, type: number, protocol: number, what: string): number {
    const numbers = Buffer.from(new Uint32Array([domain, type, protocol]).buffer)
    return descriptorOf(this.#must('socket', numbers, [], 'socket', what), what)
  }

  namespace(): number {
    const what = 'open the network namespace of bridges'
    return descriptorOf(this.#must('namespace', Buffer.alloc(0), [], 'open', what), what)
  }

  /** @param path below /proc/sys/net */
  readSysctl(path: string): string | undefined {
    const what = `read the sysctl net.${path.replaceAll('/', '.')}`
    const { error, bytes } = this.#ask('read', Buffer.from(path), [], what)
    if (errnoName(error) === 'ENOENT') return undefined
    if (error !== 0) throw systemError('open', errnoName(error), what, `/proc/sys/net/${path}`)
    return bytes.toString('latin1').trim()
  }

  writeSysctl(path: string, value: string): void {
    const what = `set to ${value} the sysctl net.${path.replaceAll('/', '.')}`
    this.#must('write', Buffer.from(`${path}\0${value}`), [], 'open', what)
  }

  /** @param fd of a pipe: closed there when the keeper ends, written to when the way out does; it stays the caller's here */
  watch(fd: number): void {
    this.#must('watch', Buffer.alloc(0), [fd], 'recvmsg', 'watch the keeper of the network')
  }

  /** @param fd of a pipe whose other end the way out has, kept there as long as the keeper lives; it stays the caller's here */
  keepWayOut(fd: number): void {
    this.#must('wayOut', Buffer.alloc(0), [fd], 'recvmsg', 'keep the way out of bridges')
  }

  get hasWayOut(): boolean {
    return this.#ask('wayOut', Buffer.alloc(0), [], 'look for the way out of bridges').error === 0
  }

  /** @param stream with its end they end; all descriptors stay the caller's */
  forward(stream: number, forwards: readonly Forward[]): void {
    for (let first = 0; first < forwards.length; first += mostForwards) {
      const some = forwards.slice(first, first + mostForwards)
      const fds = [stream, ...some.map(({ fd }) => fd)]
      this.#must('forward', Buffer.concat(some.map(targetBytes)), fds, 'fork', 'forward published ports')
    }
  }

  names(args: readonly string[], report: number): void {
    const texts = Buffer.from(args.map((text) => `${text}\0`).join(''))
    this.#must('names', texts, [report], 'fork', 'begin a responder for names')
  }

  /** It says nothing unasked: whatever there is to hear is its end. */
  get isAlive(): boolean {
    try {
      return receiveMessage(this.#fd, Buffer.alloc(1), 'look for the keeper') === undefined
    } catch {
      return false
    }
  }

  close(): void {
    close(this.#fd)
  }

  #must(kind: keyof typeof kinds, bytes: Buffer, fds: readonly number[], syscall: string, what: string): Answer {
    const answer = this.#ask(kind, bytes, fds, what)
    if (answer.error !== 0) throw systemError(syscall, errnoName(answer.error), what)
    return answer
  }

  #ask(kind: keyof typeof kinds, bytes: Buffer, fds: readonly number[], what: string): Answer {
    const head = Buffer.alloc(4)
    head.writeUInt32LE(kinds[kind])
    try {
      if (!sendDescriptors(this.#fd, Buffer.concat([head, bytes]), fds)) throw gone(what)
      const { size, fd } = receiveDescriptor(this.#fd, this.#room, what)
      if (size < 4) throw gone(what)
      return { error: this.#room.readUInt32LE(0), bytes: Buffer.from(this.#room.subarray(4, size)), fd }
    } catch (error) {
      if (error instanceof PodlingError && ['EPIPE', 'ECONNRESET', 'EAGAIN'].includes(error.errno ?? ''))
        throw gone(what, error)
      throw error
    }
  }
}

function gone(what: string, cause?: unknown): PodlingError {
  return new PodlingError('NETWORK_FAILED', `${what}: the keeper of this user's networks was ended; try again`, {
    cause,
  })
}

function descriptorOf({ fd }: Answer, what: string): number {
  if (fd === undefined) throw gone(what)
  return fd
}

/** `struct forward_target` of native/forward.h */
function targetBytes({ port: { protocol, container }, address }: Forward): Buffer {
  const bytes = Buffer.alloc(20)
  bytes.writeUInt8(protocol === 'udp' ? 1 : 0, 0)
  bytes.writeUInt8(address.length === 4 ? 4 : 6, 1)
  bytes.writeUInt16LE(container, 2)
  bytes.set(address, 4)
  return bytes
}
