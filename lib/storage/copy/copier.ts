/** What copies into and out of trees need: a process that can't leave the tree, and two pipes. */
import { Socket } from 'node:net'
import { operationSize, unpackVersion, writeOperation, type Head } from '../unpack-operations.js'

/** A tree: a directory, or the root of a mount namespace, by an open descriptor. */
export interface Tree {
  readonly kind: 'directory' | 'namespace'
  readonly descriptor: number
  /** A user namespace, whose ids files have. @default this process's */
  readonly users?: number
}

/**
 * Start a copier (native/copy.c) in a tree. Injected, since the launcher that forks it stands further down.
 * @returns descriptors that the caller owns: `input` is read by it, `output` written
 */
export type OpenCopier = (tree: Tree, way: 'in' | 'out' | 'ask') => Promise<{ input: number; output: number }>

/** The first operation: where in the tree to begin, and how. @param path a byte string */
export function startOperation(path: string, flags: number): Buffer {
  return operationBytes('start', { mode: unpackVersion, path, major: flags })
}

export function operationBytes(operation: 'start', head: Head): Buffer {
  const bytes = Buffer.alloc(operationSize(head))
  writeOperation(bytes, 0, operation, head)
  return bytes
}

/** A pipe's reading end as a stream, which owns the descriptor. */
export function readEnd(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: false })
}

/** A pipe's writing end. That nobody reads any more is told by the other side, in its own words. */
export function writeEnd(fd: number): Socket {
  const socket = new Socket({ fd, readable: false, writable: true })
  socket.on('error', () => undefined)
  return socket
}

/** A path as the byte string that names are here. */
export function bytePath(path: string): string {
  return Buffer.from(path).toString('latin1')
}
