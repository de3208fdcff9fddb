import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { close, pipe, readableBytes } from '../sys/descriptors.js'

/** The host's end of a process's output. */
export interface Output {
  readonly stream: Readable
  /**
   * Settles when all that was in the pipe at the time of the call has been read. What a process left behind in the
   * background may still hold the pipe open; this doesn't wait for it.
   */
  drained(): Promise<void>
}

/** With the end to give to the process. */
export interface OutputEnd extends Output {
  /** Belongs to whoever starts the process. */
  readonly give: number
}

/** How a pipe is made, with a wish for its size in bytes. */
export type MakePipe = (options?: { readonly size?: number }) => { readonly read: number; readonly write: number }

/** Bytes that a pipe holds. With the usual 64 KiB a fast writer waits for the reader after each of its reads. */
const PIPE_SIZE = 1024 * 1024

/** A pipe that the process writes to directly: a slow reader here slows the writer there, and nothing is copied between. */
export function outputEnd(make: MakePipe = pipe): OutputEnd {
  const { read, write } = make({ size: PIPE_SIZE })
  const socket = openEnd(read, write, { readable: true, writable: false })
  return {
    stream: socket,
    give: write,
    async drained() {
      if (socket.destroyed || socket.readableEnded) return
      const wanted = socket.bytesRead + readableBytes(read)
      await new Promise<void>((resolve) => {
        const look = () => {
          // 'data' is told before bytesRead is looked at again, so what was counted has been handed on.
          if (socket.bytesRead >= wanted && socket.readableLength === 0) finish()
        }
        const finish = () => {
          socket.off('data', look).off('close', finish).off('end', finish)
          resolve()
        }
        socket.on('data', look).on('close', finish).on('end', finish)
        look()
      })
    },
  }
}

/** The host's end of a process's input, and the end to give to the process. */
export function inputEnd(make: MakePipe = pipe): { readonly stream: Writable; readonly give: number } {
  const { read, write } = make()
  const socket = openEnd(write, read, { readable: false, writable: true })
  // A process may end before it has read all: the writer's callback tells, the host must not crash of it.
  socket.on('error', () => undefined)
  return { stream: socket, give: read }
}

function openEnd(ours: number, theirs: number, direction: { readable: boolean; writable: boolean }): Socket {
  try {
    return new Socket({ fd: ours, ...direction })
  } catch (error) {
    close(ours)
    close(theirs)
    throw error
  }
}
