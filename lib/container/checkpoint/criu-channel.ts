/** The socket to a `criu swrk`: one message a packet (https://criu.org/RPC). */
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { PodlingError } from '../../errors.js'
import { decodeMessage, encodeMessage, type Message } from '../../schema/protobuf.js'
import { close, packetSocketPair, sendMessage } from '../../sys/libc.js'
import { request, requestTypes, response, type CriuOptions, type CriuResponse } from './criu-messages.js'

const readPacket = promisify(read)

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
   * The next answer. Waits on a thread of Node's pool, of which there are four.
   * @returns undefined when CRIU has ended
   * @throws ProtobufError
   */
  async receive(): Promise<CriuResponse | undefined> {
    try {
      const { bytesRead, buffer } = await readPacket(this.#ours, Buffer.alloc(ROOM), 0, ROOM, null)
      return bytesRead === 0 ? undefined : decodeMessage(response, buffer.subarray(0, bytesRead))
    } catch (error) {
      // It ended without having read what we said.
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return undefined
      throw error
    }
  }

  close(): void {
    this.given()
    close(this.#ours)
  }
}
