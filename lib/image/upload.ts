/** One blob from the store into a registry: not at all when it is there, by a mount when a neighbour has it, else sent. */
import { stat } from 'node:fs/promises'
import { blobBytes, verifyBlob } from './blob-bytes.js'
import type { BlobStore } from './blob-store.js'
import type { HttpBody } from './http.js'
import type { Descriptor } from './manifest.js'
import { PodlingError } from '../errors.js'
import { abortedError, type ImageProgress, type OnProgress } from './progress.js'
import { answeredStatus } from './registry-session.js'
import type { RegistryUploads, Upload } from './registry-upload.js'

export interface UploadContext {
  readonly uploads: RegistryUploads
  readonly repository: string
  readonly store: BlobStore
  /** Other repositories of the registry that may have a blob. */
  readonly neighbours: (digest: string) => readonly string[]
  readonly onProgress?: OnProgress | undefined
}

/** Bytes up to which a blob goes in one request: it is sent again faster than one asks where it broke off. */
const smallBlob = 4 * 1024 * 1024
/** Neighbours that are asked for a mount. */
const mountTries = 2

/**
 * Bring a blob into a repository. An upload that breaks off goes on where the registry says that it stopped.
 * @throws {PodlingError} BLOB_NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH, REGISTRY_*, ABORTED
 */
export async function uploadBlob(
  context: UploadContext,
  descriptor: Descriptor,
  kind: ImageProgress['kind'],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { uploads, repository } = context
  const { digest, size } = descriptor
  const report = (phase: ImageProgress['phase'], current: number): void => {
    context.onProgress?.({ digest, kind, phase, current, total: size })
  }
  if (await uploads.hasBlob(repository, digest, signal)) {
    report('exists', size)
    return
  }
  const upload = await mountOrBegin(context, digest, signal)
  if (upload === undefined) {
    report('mounted', size)
    return
  }
  const transfer = new Transfer(context, descriptor, report, signal)
  await transfer.run(upload)
  report('done', size)
}

/** @returns undefined when a neighbour's blob was mounted */
async function mountOrBegin(
  { uploads, repository, neighbours }: UploadContext,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<Upload | undefined> {
  let opened: Upload | undefined
  for (const from of neighbours(digest).slice(0, mountTries)) {
    if (opened) await uploads.cancel(repository, opened)
    try {
      opened = await uploads.mount(repository, digest, from, signal)
      if (opened === undefined) return undefined
    } catch (error) {
      // A neighbour that we may not read is no reason not to send.
      if (answeredStatus(error) === undefined && !isRefusal(error)) throw error
      opened = undefined
    }
  }
  return opened ?? uploads.begin(repository, `push the blob ${digest} to ${uploads.registry}/${repository}`, signal)
}

class Transfer {
  readonly #context: UploadContext
  readonly #descriptor: Descriptor
  readonly #report: (phase: 'upload', current: number) => void
  readonly #signal: AbortSignal | undefined
  readonly #what: string
  /** The furthest that was told: what is sent twice does not count back. */
  #told = 0

  constructor(
    context: UploadContext,
    descriptor: Descriptor,
    report: (phase: 'upload', current: number) => void,
    signal: AbortSignal | undefined,
  ) {
    const { uploads, repository } = context
    this.#context = context
    this.#descriptor = descriptor
    this.#report = report
    this.#signal = signal
    this.#what = `push the blob ${descriptor.digest} to ${uploads.registry}/${repository}`
  }

  /** Send it all. An upload that comes to nothing is given up, so that the registry has nothing half. */
  async run(opened: Upload): Promise<void> {
    const { uploads, repository } = this.#context
    let upload = opened
    let furthest = 0
    this.#report('upload', 0)
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#send(upload)
        return
      } catch (error) {
        try {
          if (this.#signal?.aborted) throw abortedError(this.#what, this.#signal)
          const lost = isLost(error)
          if (!lost || attempt > 1)
            await uploads.beforeNext(attempt, await this.#explain(error), this.#what, this.#signal)
          upload = (lost ? undefined : await this.#resume(upload)) ?? (await this.#anew())
        } catch (failure) {
          await uploads.cancel(repository, upload)
          throw failure
        }
        // As long as it comes further, it may break as often as it likes.
        if (upload.offset > furthest) attempt = 0
        furthest = Math.max(furthest, upload.offset)
      }
    }
  }

  async #send(upload: Upload): Promise<void> {
    const { uploads, repository } = this.#context
    const { digest, size } = this.#descriptor
    if (size <= smallBlob) {
      await uploads.finish(repository, upload, digest, this.#body(0), this.#what, this.#signal)
      return
    }
    const whole =
      upload.offset < size
        ? await uploads.append(repository, upload, this.#body(upload.offset), this.#what, this.#signal)
        : upload
    await uploads.finish(repository, whole, digest, Buffer.alloc(0), this.#what, this.#signal)
  }

  /** Where the registry stands; undefined when it is better to begin anew. */
  async #resume(upload: Upload): Promise<Upload | undefined> {
    const { uploads, repository } = this.#context
    const { size } = this.#descriptor
    if (size <= smallBlob) return undefined
    const found = await uploads.status(repository, upload, this.#what, this.#signal)
    return found !== undefined && found.offset <= size ? found : undefined
  }

  #anew(): Promise<Upload> {
    const { uploads, repository } = this.#context
    return uploads.begin(repository, this.#what, this.#signal)
  }

  #body(start: number): HttpBody {
    const { store } = this.#context
    const { digest, size } = this.#descriptor
    const chunks = async function* (this: Transfer): AsyncGenerator<Buffer> {
      // Of one that is too long, the registry would have all that it was promised, and say so before the rest is seen.
      const found = await stat(store.path(digest)).catch(() => undefined)
      if (found !== undefined && found.size !== size) await verifyBlob(store, this.#descriptor)
      let sent = start
      for await (const chunk of blobBytes(store, digest, start)) {
        yield chunk
        sent += chunk.length
        if (sent > this.#told) this.#report('upload', (this.#told = sent))
      }
      // The registry would wait for what is missing.
      if (sent !== size) await verifyBlob(store, this.#descriptor)
    }
    return { length: size - start, chunks: chunks.call(this) }
  }

  /** A registry that says that bytes are wrong may be right: then it is our blob that is damaged, and that is said. */
  async #explain(error: unknown): Promise<unknown> {
    if (answeredStatus(error) !== 400) return error
    try {
      await verifyBlob(this.#context.store, this.#descriptor)
      return error
    } catch (damage) {
      return damage
    }
  }
}

/** The registry has forgotten the upload, or its bytes are not those that it has seen. */
function isLost(error: unknown): boolean {
  const status = answeredStatus(error)
  return status === 404 || status === 416
}

function isRefusal(error: unknown): boolean {
  return error instanceof PodlingError && error.code === 'REGISTRY_UNAUTHORIZED'
}
