/** The socket to a `criu swrk`: one message a packet (https://criu.org/RPC). */
import { PodlingError } from '../../errors.js'
import { decodeMessage, encodeMessage, type Message } from '../../schema/protobuf.js'
import { close, readable } from '../../sys/descriptors.js'
import { sendMessage } from '../../sys/sockets.js'
import { packetSocketPair, receiveDescriptor } from '../../sys/unix-sockets.js'
import { request, requestTypes, response, type CriuOptions, type CriuResponse } from './criu-messages.js'

/** Bytes of the longest answer. */
const ROOM = 64 * 1024

export class CriuChannel {
  readonly #ours: number
  #theirs: number | undefined

  private constructor(ours: number, theirs: number) {
    this.#ours = ours
    this.#theirs = theirs
  }

  static open(): CriuChannel {
    return new CriuChannel(...packetSocketPair())
  }

  /** The end that CRIU inherits. */
  get theirs(): number {
    if (this.#theirs === undefined) throw new RangeError('the end of CRIU was given away')
    return this.#theirs
  }

  /** It has inherited its end: from now on its death is the end of the channel. */
  given(): void {
    if (this.#theirs !== undefined) close(this.#theirs)
    this.#theirs = undefined
  }

  /** Give its end away, to whoever closes what is given. */
  give(): number {
    const given = this.theirs
    this.#theirs = undefined
    return given
  }

  /** To a CRIU that has ended already it says nothing: {@link receive} tells that. */
  send(type: keyof typeof requestTypes, more: { readonly opts?: CriuOptions } & Message = {}): void {
    try {
      sendMessage(this.#ours, encodeMessage(request, { ...more, type: requestTypes[type] }), 'ask CRIU')
    } catch (error) {
      if (!(error instanceof PodlingError && (error.errno === 'EPIPE' || error.errno === 'ECONNRESET'))) throw error
    }
  }

  /**
   * The next answer.
   * @returns with the descriptor that came along, which is the caller's to close; undefined when CRIU has ended
   * @throws ProtobufError
   */
  async receive(): Promise<{ readonly answer: CriuResponse; readonly fd: number | undefined } | undefined> {
    await readable(this.#ours)
    const room = Buffer.alloc(ROOM)
    let fd: number | undefined
    try {
      const received = receiveDescriptor(this.#ours, room, 'hear CRIU')
      fd = received.fd
      return received.size === 0 ? undefined : { answer: decodeMessage(response, room.subarray(0, received.size)), fd }
    } catch (error) {
      if (fd !== undefined) close(fd)
      // It ended without having read what we said.
      if (error instanceof PodlingError && error.errno === 'ECONNRESET') return undefined
      throw error
    }
  }

  close(): void {
    this.given()
    close(this.#ours)
  }
}
