/** One blob on its way in: see {@link ContentStore.writer}. */
import { createHash, type Hash } from 'node:crypto'
import { openSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import { BlobGrowth, type ArrivingBlob } from '../image/blob-growth.js'
import { fileError } from './file-error.js'
import type { FileLock } from './lock.js'

/** How much is read at once when an interrupted download is hashed again. */
const readSize = 1024 * 1024

interface Parts {
  readonly digest: string
  readonly size?: number
  /** Bytes of the blob when it is there already. */
  readonly there: number | undefined
  readonly lock: FileLock
  readonly publish: () => Promise<void>
}

export class BlobWriter {
  readonly #parts: Parts
  readonly #file: FileHandle | undefined
  readonly #hash: Hash
  #offset: number
  #writing: Promise<void> = Promise.resolve()
  #failure: PodlingError | undefined
  #ended = false
  #growth: BlobGrowth | undefined

  private constructor(parts: Parts, file: FileHandle | undefined, hash: Hash, offset: number) {
    this.#parts = parts
    this.#file = file
    this.#hash = hash
    this.#offset = offset
  }

  /** For the content store: `parts.lock` belongs to the writer from here on. */
  static async open(parts: Parts): Promise<BlobWriter> {
    const hash = createHash('sha256')
    if (parts.there !== undefined) return new BlobWriter(parts, undefined, hash, parts.there)
    const file = await open(parts.lock.path, 'r+')
    try {
      let offset = 0
      const buffer = Buffer.allocUnsafe(readSize)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, readSize, offset)
        if (bytesRead === 0) break
        hash.update(buffer.subarray(0, bytesRead))
        offset += bytesRead
      }
      if (parts.size === undefined || offset <= parts.size) return new BlobWriter(parts, file, hash, offset)
      // Longer than the blob can be: not a part of it.
      await file.truncate(0)
      return new BlobWriter(parts, file, createHash('sha256'), 0)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Bytes that are there: a download starts or goes on at this offset. */
  get offset(): number {
    return this.#offset
  }

  /** True when the whole blob is in the store already, put there by another writer: there is nothing to download. */
  get complete(): boolean {
    return this.#parts.there !== undefined
  }

  /**
   * Append. Resolves when the bytes are written, so that a slow disk slows the download.
   * @throws PodlingError DISK_FULL, SIZE_MISMATCH: what came is then removed when the writer is ended, however that is done
   */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.complete) return
    this.#check()
    const at = this.#offset
    const { digest, size } = this.#parts
    if (size !== undefined && at + chunk.length > size) {
      throw this.#fail(new PodlingError('SIZE_MISMATCH', `blob ${digest} has more than its ${String(size)} bytes`))
    }
    this.#offset += chunk.length
    // In order, so that a failure leaves no hole behind which later bytes would count as there.
    this.#writing = this.#writing.then(() => this.#writeAt(chunk, at))
    await this.#writing
    if (this.#failure !== undefined) throw this.#failure
  }

  /** The blob for who reads behind: see `BlobWriter` of lib/image. Its size must be known. */
  follow(): ArrivingBlob | undefined {
    const { size, lock } = this.#parts
    if (this.complete || size === undefined) return undefined
    this.#check()
    this.#growth ??= BlobGrowth.start(size, this.#offset)
    return { fd: openSync(lock.path, 'r'), growth: this.#growth }
  }

  /**
   * Verify and publish. The writer is ended, also on failure: wrong bytes are removed.
   * @throws PodlingError DIGEST_MISMATCH, SIZE_MISMATCH, DISK_FULL
   */
  async commit(): Promise<void> {
    if (this.complete) {
      this.#ended = true
      return
    }
    this.#check()
    await this.#writing
    const { digest, size, publish, lock } = this.#parts
    try {
      if (this.#failure !== undefined) throw this.#failure
      if (size !== undefined && this.#offset !== size) {
        throw new PodlingError(
          'SIZE_MISMATCH',
          `blob ${digest} has ${String(this.#offset)} bytes, and its descriptor says ${String(size)}`,
        )
      }
      const actual = `sha256:${this.#hash.digest('hex')}`
      if (actual !== digest) {
        throw new PodlingError('DIGEST_MISMATCH', `the bytes that came for blob ${digest} have digest ${actual}`)
      }
      await this.#file?.datasync()
      await publish()
    } catch (error) {
      await this.discard()
      throw fileError(error, `store blob ${digest}`)
    }
    this.#ended = true
    this.#growth?.end()
    await this.#file?.close()
    lock.release()
  }

  /** End, and keep what came for a later writer of the same digest. */
  async keep(): Promise<void> {
    if (this.#failure !== undefined) return this.discard()
    await this.#end(false)
  }

  /** End, and remove what came. */
  async discard(): Promise<void> {
    await this.#end(true)
  }

  async #end(unlink: boolean): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#growth?.lose()
    await this.#writing
    await this.#file?.close()
    this.#parts.lock.release({ unlink })
  }

  async #writeAt(chunk: Uint8Array, at: number): Promise<void> {
    if (this.#failure !== undefined) return
    try {
      for (let done = 0; done < chunk.length;) {
        const written = await this.#file?.write(chunk, done, chunk.length - done, at + done)
        done += written?.bytesWritten ?? 0
      }
      this.#hash.update(chunk)
      this.#growth?.reach(at + chunk.length)
    } catch (error) {
      this.#fail(fileError(error, `write blob ${this.#parts.digest}`))
    }
  }

  /** After a failure what is on disk is of no use: on a full disk it is in the way. */
  #fail(failure: PodlingError): PodlingError {
    this.#failure ??= failure
    return this.#failure
  }

  #check(): void {
    if (this.#ended) throw new PodlingError('INVALID_STATE', `the writer of blob ${this.#parts.digest} has ended`)
    if (this.#failure !== undefined) throw this.#failure
  }
}
