/**
 * Blobs by digest: `sha256/<hex>` below the store's directory, and beside it `partial/`, where what is being written
 * stands until it is whole, verified and synced. A blob that can be seen is right.
 *
 * The partial file of a digest has one name, and is locked by who writes to it. So an interrupted download goes on
 * where it stopped, in any process, and of two writers of one digest the second waits, and then finds the blob.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { open, opendir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import type { Stamps } from './blob-stamps.js'
import { BlobWriter } from './blob-writer.js'
import { parseDigest } from './digest-path.js'
import { fileError, isErrno } from './file-error.js'
import { lockFile, tryLockFile } from './lock.js'
import { digestOfFile, stampOf, type Stamp } from './stamp.js'
import { syncPath } from '../sys/sync-path.js'

/** Bytes that {@link ContentStore.read} returns at most unless told otherwise: manifests and configs are far smaller. */
const defaultReadLimit = 16 * 1024 * 1024

/** Milliseconds after which an interrupted download is not worth its room. */
const partialLifetime = 7 * 24 * 3600 * 1000

/** Bytes that are sooner downloaded again than looked after, when they are fewer. */
const worthKeeping = 1024 * 1024

export class ContentStore {
  readonly #directory: string
  readonly #stamps: Stamps | undefined

  private constructor(directory: string, stamps: Stamps | undefined) {
    this.#directory = directory
    this.#stamps = stamps
  }

  /**
   * Open the store in `directory`, made when missing. What killed processes left half-made is removed.
   * @param stamps by which blobs that change on disk are found. @default none: they aren't looked for
   */
  static async open(directory: string, stamps?: Stamps): Promise<ContentStore> {
    try {
      mkdirSync(join(directory, 'sha256'), { recursive: true, mode: 0o700 })
      mkdirSync(join(directory, 'partial'), { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, `make the blob store ${directory}`)
    }
    const store = new ContentStore(directory, stamps)
    store.#removeLeftovers()
    return Promise.resolve(store)
  }

  /** Where it is. */
  get directory(): string {
    return this.#directory
  }

  /** Whether the blob is there, whole. One that was changed since counts as missing, so that who brings it replaces it. */
  async has(digest: string): Promise<boolean> {
    const matches = this.#stamps?.matches(digest, this.path(digest))
    if (matches === false) return (await this.verify(digest)) === 'sound'
    return matches ?? (await this.#stat(digest)) !== undefined
  }

  /** Whether the blob is there as it was verified, by the looks of its file. False: {@link verify} knows. */
  looksSound(digest: string): boolean {
    return this.#stamps?.matches(digest, this.path(digest)) === true
  }

  /** Read the blob for nothing but its digest, and remember how its file looks when it is right. */
  async verify(digest: string): Promise<'sound' | 'altered' | 'missing'> {
    const path = this.path(digest)
    // Before it is read: what changes meanwhile must show.
    const stamp = stampOf(path)
    let actual: string | undefined
    try {
      actual = await digestOfFile(path)
    } catch (error) {
      throw fileError(error, `read blob ${digest}`)
    }
    if (actual === undefined || stamp === undefined) return 'missing'
    if (actual !== digest) return 'altered'
    this.#stamps?.take(digest, stamp)
    await this.#stamps?.save([digest])
    return 'sound'
  }

  /** Another thread has verified the blob, and its file looked so. */
  takeStamp(digest: string, stamp: Stamp): void {
    this.#stamps?.take(digest, stamp)
  }

  /** Within a transaction: write down how these blobs looked when they were verified. */
  saveStamps(digests: readonly string[]): void {
    void this.#stamps?.save(digests)
  }

  /** Forget how blobs looked, but for these. */
  async keepStamps(digests: ReadonlySet<string>): Promise<void> {
    await this.#stamps?.keepOnly(digests)
  }

  /** Where the blob is, or would be. The file must not be written to. */
  path(digest: string): string {
    const { algorithm, hex } = parseDigest(digest)
    return join(this.#directory, algorithm, hex)
  }

  /** Bytes of the blob. @throws PodlingError BLOB_NOT_FOUND */
  async size(digest: string): Promise<number> {
    const size = await this.#stat(digest)
    if (size === undefined) throw this.#notFound(digest)
    return size
  }

  /**
   * The whole blob, verified once more.
   * @param limit - bytes; a larger blob is refused before it is read. Default 16 MiB.
   * @throws PodlingError BLOB_NOT_FOUND, SIZE_MISMATCH (larger than the limit), DIGEST_MISMATCH (damaged on disk)
   */
  async read(digest: string, limit = defaultReadLimit): Promise<Buffer> {
    const path = this.path(digest)
    const size = await this.size(digest)
    if (size > limit) {
      throw new PodlingError('SIZE_MISMATCH', `blob ${digest} has ${String(size)} bytes, more than ${String(limit)}`, {
        path,
      })
    }
    let bytes: Buffer
    try {
      bytes = await readFile(path)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw this.#notFound(digest)
      throw fileError(error, `read blob ${digest}`)
    }
    if (sha256(bytes) !== digest) {
      throw new PodlingError('DIGEST_MISMATCH', `blob ${digest} is damaged on disk: remove the image and get it anew`, {
        path,
      })
    }
    return bytes
  }

  /** Store bytes that are in memory. Storing what is there already is cheap. */
  async put(bytes: Uint8Array): Promise<{ digest: string; size: number }> {
    const digest = sha256(bytes)
    if (await this.has(digest)) return { digest, size: bytes.length }
    return this.ingest([bytes])
  }

  /**
   * Store a stream whose digest shows at its end. Nothing of it is left when it fails.
   * @throws PodlingError DISK_FULL, and whatever `chunks` throws, as it is
   */
  async ingest(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<{ digest: string; size: number }> {
    const path = join(this.#directory, 'partial', `put-${randomUUID()}`)
    const lock = tryLockFile(path)
    if (lock === undefined) throw new PodlingError('SYSTEM_CALL_FAILED', `lock ${path}, which nobody else knows`)
    const hash = createHash('sha256')
    let size = 0
    try {
      const file = await open(path, 'r+')
      try {
        for await (const chunk of chunks) {
          hash.update(chunk)
          size += chunk.byteLength
          await inStore(file.writeFile(chunk))
        }
        await inStore(file.datasync())
      } finally {
        await file.close()
      }
      const digest = `sha256:${hash.digest('hex')}`
      await inStore(this.#publish(path, digest))
      lock.release()
      return { digest, size }
    } catch (error) {
      lock.release({ unlink: true })
      throw error
    }
  }

  /**
   * Start or resume a download. Waits while another writer, of any process, has the same digest in work.
   * Each writer must be ended by one of its commit(), keep() and discard().
   * @param expected - `size` in bytes where it is known: a longer blob is then refused as it comes.
   * @throws PodlingError ABORTED by the signal while waiting
   */
  async writer(
    expected: { readonly digest: string; readonly size?: number },
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<BlobWriter> {
    const { algorithm, hex } = parseDigest(expected.digest)
    const lock = await lockFile(join(this.#directory, 'partial', `${algorithm}-${hex}`), options.signal)
    try {
      const there = (await this.has(expected.digest)) ? await this.#stat(expected.digest) : undefined
      if (there !== undefined) lock.release({ unlink: true })
      return await BlobWriter.open({
        ...expected,
        there,
        lock,
        publish: async () => {
          await this.#publish(lock.path, expected.digest)
        },
      })
    } catch (error) {
      lock.release()
      throw fileError(error, `write blob ${expected.digest}`)
    }
  }

  /** Remove a blob. 'Already gone' is success. */
  async remove(digest: string): Promise<void> {
    try {
      await unlink(this.path(digest))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, `remove blob ${digest}`)
    }
  }

  /**
   * Take a blob back out of the store that nobody needs now and that an interrupted download has brought: it stands among the
   * partial ones, as they do for a week, and a writer of its digest goes on from there. A small or older one is removed.
   * @param since milliseconds since the epoch
   */
  async setAside(digest: string, since: number): Promise<void> {
    const path = this.path(digest)
    const { algorithm, hex } = parseDigest(digest)
    try {
      // By the time that it got its name: what an earlier download brought keeps the time of its last byte.
      const { size, ctimeMs } = await stat(path)
      if (size < worthKeeping || ctimeMs < since) await this.remove(digest)
      else await rename(path, join(this.#directory, 'partial', `${algorithm}-${hex}`))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, `set blob ${digest} aside`)
    }
  }

  /** The digests of all blobs, in no order. */
  async *list(): AsyncIterable<string> {
    for await (const entry of await opendir(join(this.#directory, 'sha256'))) yield `sha256:${entry.name}`
  }

  async #stat(digest: string): Promise<number | undefined> {
    try {
      return (await stat(this.path(digest))).size
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw fileError(error, `look up blob ${digest}`)
    }
  }

  async #publish(from: string, digest: string): Promise<void> {
    const path = this.path(digest)
    await publish(from, path)
    const stamp = stampOf(path)
    if (stamp !== undefined) this.#stamps?.take(digest, stamp)
  }

  #notFound(digest: string): PodlingError {
    return new PodlingError('BLOB_NOT_FOUND', `there is no blob ${digest} in ${this.#directory}`)
  }

  /** Halves of put() whose process is gone, and downloads that nobody resumed for a week. */
  #removeLeftovers(): void {
    const directory = join(this.#directory, 'partial')
    for (const name of readdirSync(directory)) {
      const path = join(directory, name)
      const found = statSync(path, { throwIfNoEntry: false })
      if (found === undefined) continue
      const resumable = !name.startsWith('put-') && Date.now() - found.mtimeMs < partialLifetime
      if (!resumable) tryLockFile(path)?.release({ unlink: true })
    }
  }
}

/** A failure of the store's own files, told from one of the stream that is stored. */
async function inStore<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw fileError(error, 'store a blob')
  }
}

/** Give a whole, synced file its name, and make the name itself durable. */
async function publish(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncPath(join(to, '..'))
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
