/** The bytes of a blob of the store, read for somebody else. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import type { Descriptor } from './manifest.js'

const chunkSize = 256 * 1024

/** The bytes of a blob from `start` on, not verified. */
export async function* blobBytes(store: BlobStore, digest: string, start = 0): AsyncGenerator<Buffer> {
  const file = await openBlob(store, digest)
  try {
    yield* file.createReadStream({ start, autoClose: false, highWaterMark: chunkSize }) as AsyncIterable<Buffer>
  } finally {
    await file.close()
  }
}

/**
 * The bytes of a blob, verified as they go by: the last of them come only when all of them are right, so that who reads
 * them to the end has the blob.
 * @throws {PodlingError} BLOB_NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH
 */
export async function* verifiedBytes(
  store: BlobStore,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let length = 0
  let held: Buffer | undefined
  for await (const chunk of blobBytes(store, digest)) {
    hash.update(chunk)
    length += chunk.length
    if (held) yield held
    held = chunk
  }
  if (length !== size)
    throw damaged('SIZE_MISMATCH', store, digest, `it has ${String(length)} bytes, not ${String(size)}`)
  if (`sha256:${hash.digest('hex')}` !== digest) throw damaged('DIGEST_MISMATCH', store, digest, 'it has other bytes')
  if (held) yield held
}

/** Read a blob for nothing but its digest. @throws {PodlingError} as {@link verifiedBytes} */
export async function verifyBlob(store: BlobStore, descriptor: Pick<Descriptor, 'digest' | 'size'>): Promise<void> {
  for await (const _ of verifiedBytes(store, descriptor));
}

async function openBlob(store: BlobStore, digest: string): Promise<Awaited<ReturnType<typeof open>>> {
  const path = store.path(digest)
  try {
    return await open(path)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? String(cause)
    if (errno !== 'ENOENT')
      throw new PodlingError('SYSTEM_CALL_FAILED', `read blob ${digest}: ${errno}`, { cause, path, errno })
    throw new PodlingError('BLOB_NOT_FOUND', `blob ${digest} is not here any more: pull or load its image again`, {
      path,
    })
  }
}

function damaged(
  code: 'SIZE_MISMATCH' | 'DIGEST_MISMATCH',
  store: BlobStore,
  digest: string,
  why: string,
): PodlingError {
  return new PodlingError(code, `blob ${digest} is damaged on disk: ${why}; remove its image and get it anew`, {
    path: store.path(digest),
  })
}
