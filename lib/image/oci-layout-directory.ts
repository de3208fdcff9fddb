/** An OCI image layout that lies as a directory. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import type { LoadContext } from './load-context.js'
import { digestHex, sha256 } from './digest.js'
import { maxDocumentBytes } from './json.js'
import type { Descriptor } from './manifest.js'
import type { Layout } from './oci-layout.js'
import { throwIfAborted } from './progress.js'
import { sourceFailure } from './source.js'

export async function openLayoutDirectory(directory: string, context: LoadContext): Promise<Layout> {
  const what = `load ${directory}`
  const index = await readSmall(join(directory, 'index.json'), what)
  if (!index) {
    throw new PodlingError('ARCHIVE_INVALID', `${what}: is not an OCI image layout: it has no index.json`, {
      path: directory,
    })
  }
  const blob = (digest: string): string => join(directory, 'blobs', 'sha256', digestHex(digest))
  return {
    what,
    index,
    layout: await readSmall(join(directory, 'oci-layout'), what),
    async has(digest) {
      const file = await openFile(blob(digest), what)
      await file?.close()
      return file !== undefined
    },
    async read(digest) {
      const bytes = await readSmall(blob(digest), what)
      if (!bytes || sha256(bytes) !== digest) {
        throw new PodlingError('DIGEST_MISMATCH', `${what}: the blob ${digest} has other bytes`, { path: blob(digest) })
      }
      return bytes
    },
    bring: (descriptor, kind) => copyBlob(blob(descriptor.digest), descriptor, kind, what, context),
  }
}

/** Only a regular file: a FIFO would block for ever. undefined when there is none. */
async function openFile(path: string, what: string): Promise<FileHandle | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined
    throw new PodlingError('ARCHIVE_INVALID', `${what}: open ${path}: ${String(errno)}`, { cause, path })
  }
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new PodlingError('ARCHIVE_INVALID', `${what}: ${path} is not a regular file`, { path })
}

async function readSmall(path: string, what: string): Promise<Buffer | undefined> {
  const file = await openFile(path, what)
  if (!file) return undefined
  try {
    const { size } = await file.stat()
    if (size > maxDocumentBytes) {
      throw new PodlingError(
        'ARCHIVE_INVALID',
        `${what}: ${path} has ${String(size)} bytes; at most ${String(maxDocumentBytes)} are read`,
        { path },
      )
    }
    return await file.readFile()
  } finally {
    await file.close()
  }
}

async function copyBlob(
  path: string,
  { digest, size }: Descriptor,
  kind: 'manifest' | 'config' | 'layer',
  what: string,
  { store, onProgress, signal }: LoadContext,
): Promise<void> {
  const report = (phase: 'copy' | 'done' | 'exists', current: number): void => {
    onProgress?.({ digest, kind, phase, current, total: size })
  }
  if (await store.has(digest)) {
    report('exists', size)
    return
  }
  const file = await openFile(path, what)
  if (!file) throw new PodlingError('ARCHIVE_INVALID', `${what}: the ${kind} ${digest} is missing`, { path })
  const writer = await store.writer({ digest, size })
  try {
    const stream = file.createReadStream({ start: writer.offset, autoClose: false, highWaterMark: 256 * 1024 })
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      throwIfAborted(what, signal)
      await writer.write(chunk)
      report('copy', writer.offset)
    }
  } catch (error) {
    await writer.discard()
    throw sourceFailure(`${what}: copy the ${kind} ${digest}`, error, signal)
  } finally {
    await file.close()
  }
  try {
    await writer.commit()
  } catch (cause) {
    if (!(cause instanceof PodlingError)) throw cause
    throw new PodlingError(cause.code, `${what}: the ${kind} ${path}: ${cause.message}`, { cause, path })
  }
  report('done', size)
}
