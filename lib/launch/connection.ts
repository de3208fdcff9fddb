/**
 * One end of a stream to the launcher or a monitor: requests with descriptors out, frames in. Nothing here ever waits
 * for the other side in the event loop: a full socket is tried again later, and what is big goes through Node's stream.
 */
import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { sendDescriptors } from '../sys/unix-sockets.js'
import { FrameReader, encodeRequest, type Frame, type RequestKind } from './protocol.js'

/** Close descriptors that were to be given away. */
export function closeAll(descriptors: readonly number[]): void {
  for (const fd of descriptors) close(fd)
}

/** The error for an other side that is gone. */
export function goneError(what: 'LAUNCHER_DIED' | 'MONITOR_DIED', cause?: unknown): PodlingError {
  const message =
    what === 'LAUNCHER_DIED'
      ? 'The launcher process has died'
      : 'The monitor of the container has died; its container dies with it'
  return new PodlingError(what, message, cause === undefined ? {} : { cause })
}

export interface ConnectionEvents {
  readonly onFrame: (frame: Frame) => void
  /** Once; after the last frame. */
  readonly onClose: () => void
}

export class Connection {
  readonly #fd: number
  readonly #socket: Socket
  /** Requests go out one after the other, also when one had to wait. */
  #last: Promise<void> = Promise.resolve()
  #waiting = 0
  #holds = 0

  /** Takes over a non-listening unix stream socket. It does not keep the process alive unless {@link hold} is called. */
  constructor(fd: number, events: ConnectionEvents) {
    this.#fd = fd
    this.#socket = new Socket({ fd, readable: true, writable: true })
    const reader = new FrameReader()
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) events.onFrame(frame)
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : undefined)
      }
    })
    /* Each error is followed by 'close', and says no more than that. */
    this.#socket.on('error', () => undefined)
    this.#socket.on('close', () => {
      events.onClose()
    })
    this.#socket.unref()
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }

  /** Keep the event loop alive until as many {@link release} calls. */
  hold(): void {
    if (this.#holds++ === 0) this.#socket.ref()
  }

  release(): void {
    if (--this.#holds === 0) this.#socket.unref()
  }

  /** Keep the event loop alive while a promise is pending. */
  async holdWhile<T>(work: Promise<T>): Promise<T> {
    this.hold()
    try {
      return await work
    } finally {
      this.release()
    }
  }

  /**
   * Send one request with copies of these descriptors, which stay the caller's.
   * @throws PodlingError of the system call when the other side is gone.
   */
  async send(
    kind: RequestKind,
    id: number,
    first: number,
    second: number,
    descriptors: readonly number[],
  ): Promise<void> {
    const bytes = encodeRequest(kind, id, first, second)
    if (this.#waiting === 0 && this.#try(bytes, descriptors)) return
    this.#waiting++
    const mine = this.#last.then(async () => {
      for (let pause = 1; !this.#try(bytes, descriptors); pause = Math.min(pause * 2, 32)) await delay(pause)
    })
    this.#last = mine.catch(() => undefined)
    try {
      await mine
    } finally {
      this.#waiting--
    }
  }

  #try(bytes: Uint8Array, descriptors: readonly number[]): boolean {
    /* The number may be another file's by now. */
    if (this.#socket.destroyed)
      throw new PodlingError('SYSTEM_CALL_FAILED', 'The connection is closed', { errno: 'EPIPE' })
    return sendDescriptors(this.#fd, bytes, descriptors)
  }

  /** Write bytes of any size; Node's stream waits for room. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }
}
