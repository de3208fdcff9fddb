/** A layer kept as its plain tar, with an index over it beside it: two files, and nothing is extracted. */
import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { fileError } from '../file-error.js'
import type { OperationSink } from '../unpack-operations.js'
import { makeIndex, type ErofsIndex } from './image.js'
import { LayerTree } from './tree.js'

/** Bytes after which what was written is sent to the disk, while more comes: so that little is left to wait for at the end. */
const syncInterval = 32 * 1024 * 1024

const sync = promisify(fdatasync)

/**
 * @param paths of files that aren't there yet, in a directory that nobody else writes to
 * @param read writes the tar with `write`, and what it says to the sink
 */
export async function indexTar<T>(
  paths: { readonly tar: string; readonly index: string },
  read: (sink: OperationSink, write: (chunk: Buffer) => void) => Promise<T>,
): Promise<T> {
  const tree = new LayerTree()
  const tar = openSync(paths.tar, 'wx+', 0o600)
  try {
    let size = 0
    let synced = 0
    let syncing: Promise<void> | undefined
    let failure: unknown
    const result = await read(tree, (chunk) => {
      if (failure !== undefined) throw fileError(failure, `write ${paths.tar}`)
      writeAll(tar, chunk, size, paths.tar)
      size += chunk.length
      if (size - synced < syncInterval || syncing !== undefined) return
      synced = size
      syncing = sync(tar)
        .catch((error: unknown) => {
          failure = error
        })
        .finally(() => {
          syncing = undefined
        })
    }).finally(() => syncing)
    // The kernel reads whole blocks of the tar; who wrote it may have left out the padding behind its end.
    const padding = (512 - (size % 512)) % 512
    if (padding > 0) writeAll(tar, Buffer.alloc(padding), size, paths.tar)
    writeIndex(paths.index, makeIndex(tree.root, size), tar)
    await sync(tar)
    return result
  } finally {
    closeSync(tar)
  }
}

function writeIndex(path: string, { bytes, size, copies }: ErofsIndex, tar: number): void {
  const index = openSync(path, 'wx', 0o600)
  try {
    writeAll(index, bytes, 0, path)
    if (size > bytes.length) ftruncateSync(index, size)
    for (const { at, offset, length } of copies) copy(tar, offset, index, at, length, path)
    fsyncSync(index)
  } catch (error) {
    throw fileError(error, `write ${path}`)
  } finally {
    closeSync(index)
  }
}

function copy(from: number, offset: number, to: number, at: number, length: number, path: string): void {
  const piece = Buffer.allocUnsafe(Math.min(length, 1024 * 1024))
  for (let done = 0; done < length;) {
    const got = readSync(from, piece, 0, Math.min(piece.length, length - done), offset + done)
    writeAll(to, piece.subarray(0, got), at + done, path)
    done += got
  }
}

function writeAll(fd: number, bytes: Buffer, at: number, path: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done)
  } catch (error) {
    throw fileError(error, `write ${path}`)
  }
}
