/**
 * A netlink socket of this process's own network namespace: the one effect of lib/network/netlink. The kernel does the
 * work of a request inside send(2), so its answers are there when that returns; nothing waits, and a request takes some
 * 20 µs.
 */
import { PodlingError } from '../../errors.js'
import { close } from '../../sys/descriptors.js'
import { codeForErrno, errnoName } from '../../sys/libc.js'
import { bindSocket, openSocket, receiveMessage, sendMessage, setSocketOption } from '../../sys/sockets.js'
import {
  acknowledgementOf,
  controlTypes,
  decode,
  encode,
  flags,
  type Acknowledgement,
  type Message,
  type Request,
} from './message.js'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOL_SOCKET = 1
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const protocols = { route: 0, netfilter: 12 } as const

/** A publication of a range of ports is one message of some hundred kilobytes. */
const bufferSize = 4 * 1024 * 1024
const interruptedTries = 20

/** A request that the kernel refused. */
export class NetlinkError extends PodlingError {
  /** Which message of a batch it was; 0 for a single one. */
  readonly index: number

  constructor(what: string, { error, text }: Acknowledgement, index: number) {
    const errno = errnoName(error)
    const code = codeForErrno(errno)
    super(
      code === 'SYSTEM_CALL_FAILED' ? 'NETWORK_FAILED' : code,
      `${what}: ${errno}${text === undefined ? '' : ` (${text})`}`,
      {
        syscall: 'netlink',
        errno,
      },
    )
    this.index = index
  }
}

export class NetlinkSocket {
  readonly #fd: number
  readonly #room = Buffer.alloc(64 * 1024)
  #sequence = 1
  #closed = false

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** @throws PodlingError `KERNEL_UNSUPPORTED` where the kernel has no such protocol. */
  static open(protocol: keyof typeof protocols, make: typeof openSocket = openSocket): NetlinkSocket {
    const what = `open a netlink socket (${protocol})`
    let fd: number
    try {
      fd = make(AF_NETLINK, SOCK_RAW, protocols[protocol], what)
    } catch (error) {
      if (!(error instanceof PodlingError) || error.errno !== 'EPROTONOSUPPORT') throw error
      const module = protocol === 'netfilter' ? 'nfnetlink and nf_tables' : 'rtnetlink'
      throw new PodlingError('KERNEL_UNSUPPORTED', `${what}: this kernel has no ${module}`, {
        cause: error,
        syscall: 'socket',
        errno: error.errno,
      })
    }
    try {
      const address = Buffer.alloc(12)
      address.writeUInt16LE(AF_NETLINK, 0)
      bindSocket(fd, address, what)
      setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, what)
      setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, what)
      growBuffers(fd, what)
      return new NetlinkSocket(fd)
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /** Ask for something to be done or told. @returns what was told before the acknowledgement. */
  request(request: Request, what: string): Message[] {
    const sequence = this.#send([{ ...request, flags: request.flags | flags.request | flags.ack }], what)
    return this.#await(sequence, what)
  }

  #await(sequence: number, what: string): Message[] {
    const told: Message[] = []
    for (;;) {
      for (const message of this.#receive(what, true) ?? []) {
        if (message.sequence !== sequence) continue
        if (message.type !== controlTypes.error) {
          // The room is used again for the next datagram.
          told.push({ ...message, body: Buffer.from(message.body) })
          continue
        }
        const answer = acknowledgementOf(message)
        if (answer.error !== 0) throw new NetlinkError(what, answer, 0)
        return told
      }
    }
  }

  /** Send a message that is bytes already, as {@link encode} made them, with its ACK flag set. */
  send(message: Buffer, what: string): void {
    const sequence = this.#sequence++
    message.writeUInt32LE(sequence, 8)
    this.#assertOpen(what)
    sendMessage(this.#fd, message, what)
    this.#await(sequence, what)
  }

  /** Ask for all there is of something. A list that was changed while it was told is asked for again. */
  dump(request: Request, what: string): Message[] {
    for (let tries = 0; ; tries++) {
      const { messages, whole } = this.#dumpOnce(request, what)
      if (whole || tries === interruptedTries) return messages
    }
  }

  #dumpOnce(request: Request, what: string): { messages: Message[]; whole: boolean } {
    const sequence = this.#send([{ ...request, flags: request.flags | flags.request | flags.dump }], what)
    const messages: Message[] = []
    let whole = true
    for (;;) {
      for (const message of this.#receive(what, true) ?? []) {
        if (message.sequence !== sequence) continue
        if ((message.flags & flags.interrupted) !== 0) whole = false
        if (message.type === controlTypes.done || message.type === controlTypes.error) {
          const answer = acknowledgementOf(message)
          if (answer.error !== 0) throw new NetlinkError(what, answer, 0)
          return { messages, whole }
        }
        messages.push({ ...message, body: Buffer.from(message.body) })
      }
    }
  }

  /**
   * Send messages that are done all or none (nf_tables). The first and last are the marks of a batch.
   * @throws NetlinkError for the first message that the kernel refused, counted with the mark in front.
   */
  batch(requests: readonly Request[], what: string): void {
    const last = requests.length - 2
    const sequence = this.#send(
      requests.map((request, index) => ({
        ...request,
        flags: request.flags | flags.request | (index === last ? flags.ack : 0),
      })),
      what,
    )
    this.#awaitBatch(sequence, requests.length, what)
  }

  /** Send a batch that is bytes already, numbered from 1 on, and whose last message but the mark has its ACK flag set. */
  sendBatch(bytes: Buffer, what: string): void {
    this.#assertOpen(what)
    sendMessage(this.#fd, bytes, what)
    this.#awaitBatch(1, decode(bytes).length, what)
  }

  #awaitBatch(sequence: number, count: number, what: string): void {
    let failure: NetlinkError | undefined
    let answered = false
    for (;;) {
      const messages = this.#receive(what, false)
      if (messages === undefined) break
      for (const message of messages) {
        const index = message.sequence - sequence
        if (message.type !== controlTypes.error || index < 0 || index >= count) continue
        answered = true
        const answer = acknowledgementOf(message)
        if (answer.error !== 0) failure ??= new NetlinkError(what, answer, index)
      }
    }
    if (failure !== undefined) throw failure
    if (!answered) throw new PodlingError('NETWORK_FAILED', `${what}: the kernel did not answer`)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    close(this.#fd)
  }

  /** @returns the sequence number of the first. */
  #send(requests: readonly Request[], what: string): number {
    this.#assertOpen(what)
    const first = this.#sequence
    this.#sequence += requests.length
    if (this.#sequence > 0x7fffffff) this.#sequence = 1
    const messages = requests.map((request, index) => encode(request, first + index))
    sendMessage(this.#fd, messages.length === 1 ? messages[0]! : Buffer.concat(messages), what)
    return first
  }

  #assertOpen(what: string): void {
    if (this.#closed) throw new PodlingError('RUNTIME_CLOSED', `${what}: the runtime was closed`)
  }

  #receive(what: string, needed: boolean): Message[] | undefined {
    const bytes = receiveMessage(this.#fd, this.#room, what)
    if (bytes !== undefined) return decode(bytes)
    if (needed) throw new PodlingError('NETWORK_FAILED', `${what}: the kernel did not answer`)
    return undefined
  }
}

/** Larger than the host's limit where this process may; a smaller one serves but for long ranges of ports. */
function growBuffers(fd: number, what: string): void {
  for (const option of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
    try {
      setSocketOption(fd, SOL_SOCKET, option, bufferSize, what)
    } catch (error) {
      if (!(error instanceof PodlingError) || error.errno !== 'EPERM') throw error
    }
  }
}
