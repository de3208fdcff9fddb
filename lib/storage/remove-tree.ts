/** Removing trees that others filled: by an unpacker, confined to the directory above, following no symbolic link. */
import { closeSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { PodlingError } from '../errors.js'
import { codeForErrno } from '../sys/libc.js'
import type { OpenUnpacker } from './layer-types.js'
import { operationSize, unpackVersion, writeOperation, type Head } from './unpack-operations.js'
import { parseUnpackStatus } from './unpack-status.js'

/**
 * Remove `directory/<name>` for each of `names` with all that is in it, however deep and whatever its names.
 * 'Already gone' is success.
 * @throws PodlingError naming the path that could not be removed
 */
export async function removeTrees(
  openUnpacker: OpenUnpacker,
  directory: string,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return
  const heads: Head[] = names.map((name) => ({ path: Buffer.from(name).toString('latin1') }))
  const operations = Buffer.alloc(heads.reduce((sum, head) => sum + operationSize(head), operationSize({}) * 2))
  let at = writeOperation(operations, 0, 'start', { mode: unpackVersion })
  for (const head of heads) at = writeOperation(operations, at, 'remove', head)
  writeOperation(operations, at, 'end', { mode: 0 })
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
  throw new PodlingError(codeForErrno(errno), `remove ${directory}/${path}: ${syscall}: ${errno}`, {
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
