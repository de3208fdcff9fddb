/** Operations that stand on their own, without the contents of files: an unpacker performs them and ends. */
import { closeSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { PodlingError } from '../errors.js'
import { codeForErrno } from '../sys/libc.js'
import type { OpenUnpacker } from './layer-types.js'
import { operationSize, unpackVersion, writeOperation, type Head, type UnpackOperation } from './unpack-operations.js'
import { parseUnpackStatus } from './unpack-status.js'

/**
 * Perform operations in a directory, in their order.
 * @param what begins the message of a failure, whose path below the directory follows: `remove`
 * @param synced whether all of it is on the disk then
 * @throws PodlingError naming the path that it could not be done to
 */
export async function runOperations(
  openUnpacker: OpenUnpacker,
  directory: string,
  list: readonly (readonly [UnpackOperation, Head])[],
  what: string,
  synced = false,
): Promise<void> {
  const all: (readonly [UnpackOperation, Head])[] = [
    ['start', { mode: unpackVersion }],
    ...list,
    ['end', { mode: synced ? 1 : 0 }],
  ]
  const operations = Buffer.alloc(all.reduce((sum, [, head]) => sum + operationSize(head), 0))
  let at = 0
  for (const [operation, head] of all) at = writeOperation(operations, at, operation, head)
  const { stream, status } = await openUnpacker(directory)
  const result = readAll(status)
  try {
    writeSync(stream, operations)
  } catch {
    // It stopped reading: its status says why.
  } finally {
    closeSync(stream)
  }
  const failure = parseUnpackStatus(await result)
  if (failure === undefined) return
  const { syscall, errno, path } = failure
  throw new PodlingError(codeForErrno(errno), `${what} ${directory}/${path}: ${syscall}: ${errno}`, {
    syscall,
    errno,
    path,
  })
}

/** All of a pipe or socket to its end, without a thread that waits. Closes the descriptor. */
async function readAll(fd: number): Promise<Buffer> {
  const socket = new Socket({ fd, readable: true, writable: false })
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
