/**
 * A thread that fetches images, so that the event loop of the host has no part in it: what comes is received, hashed and
 * written there. A certificate store, a request, a piece of a blob each cost a moment, and their garbage costs more.
 * The thread takes 40 ms to start; it waits a while for more to do, which doesn't keep the process alive.
 */
import { openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { PodlingError } from '../errors.js'
import { BlobGrowth } from '../image/blob-growth.js'
import type { BlobRequest, Fetcher } from '../image/fetcher.js'
import { throwIfAborted } from '../image/progress.js'
import type { RegistryOptions } from '../image/registry-session.js'
import type { RegistryManifest } from '../image/registry.js'
import type { ContentStore } from './content.js'
import type { FetchJob, FetchResult, FromFetcher, ToFetcher } from './fetch-messages.js'
import { errorOf, plainError } from './plain-error.js'

/** Milliseconds that an idle thread is kept. */
const idleTime = 5000

/** Omit, for each of several forms. */
type Unnumbered<T> = T extends unknown ? Omit<T, 'job' | 'session'> : never

interface Job {
  readonly request: Partial<BlobRequest>
  resolve(result: FetchResult): void
  reject(error: unknown): void
}

export class FetchThread {
  readonly #content: ContentStore
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  readonly #sessions = new Map<number, RegistryOptions>()
  readonly #jobs = new Map<number, Job>()
  #count = 0

  /** @param content where the blobs go */
  constructor(content: ContentStore) {
    this.#content = content
  }

  /** Speak with a registry. Close it when all that was asked of it has ended. */
  open(registry: string, options: RegistryOptions): Fetcher & { close(): void } {
    const session = this.#count++
    const { credentials: _, scopes: __, ...rest } = options
    this.#sessions.set(session, options)
    this.#post({ is: 'open', session, registry, options: rest, store: this.#content.directory })
    return {
      registry,
      manifest: async (repository, reference, signal) => {
        const name = `${registry}/${repository}`
        const result = await this.#run(session, { is: 'manifest', repository, reference }, { signal }, name)
        const { bytes, digest, mediaType } = result as RegistryManifest
        return { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), digest, mediaType }
      },
      blob: async (request) => {
        const { repository, digest, size, kind, onProgress, begin } = request
        const asks = { reports: onProgress !== undefined, follows: begin !== undefined }
        const what = { is: 'blob', repository, digest, size, kind, ...asks } as const
        const result = await this.#run(session, what, request, `${registry}/${repository}@${digest}`)
        if ('stamp' in result && result.stamp !== undefined) this.#content.takeStamp(digest, result.stamp)
      },
      close: () => {
        this.#post({ is: 'close', session })
        this.#sessions.delete(session)
        if (this.#sessions.size === 0) this.#rest()
      },
    }
  }

  /** End the thread, if it is idle. */
  async close(): Promise<void> {
    if (this.#sessions.size > 0) return
    const worker = this.#worker
    this.#forget(worker)
    await worker?.terminate()
  }

  #post(message: ToFetcher): void {
    this.#running().postMessage(message)
  }

  #running(): Worker {
    clearTimeout(this.#idle)
    if (this.#worker !== undefined) {
      this.#worker.ref()
      return this.#worker
    }
    // Node's own flags, such as `--input-type` or a loader, are for the program of whoever uses us.
    const worker = new Worker(new URL('./fetch-worker.js', import.meta.url), { execArgv: [] })
    const die = (cause: unknown): void => {
      if (worker === this.#worker) this.#forget(worker, cause)
    }
    worker.on('message', (message: FromFetcher) => {
      this.#hear(message)
    })
    worker.on('error', die).on('exit', die)
    this.#worker = worker
    return worker
  }

  #rest(): void {
    const worker = this.#worker
    if (worker === undefined) return
    worker.unref()
    this.#idle = setTimeout(() => {
      this.#forget(worker)
      void worker.terminate()
    }, idleTime).unref()
  }

  /** The thread is gone, and with it what it was at. */
  #forget(worker: Worker | undefined, cause?: unknown): void {
    if (worker === undefined || worker !== this.#worker) return
    clearTimeout(this.#idle)
    this.#worker = undefined
    for (const job of this.#jobs.values()) {
      job.reject(new PodlingError('SYSTEM_CALL_FAILED', 'the thread that fetched an image died', { cause }))
    }
    this.#jobs.clear()
  }

  async #run(
    session: number,
    what: Unnumbered<FetchJob>,
    request: Partial<BlobRequest>,
    name: string,
  ): Promise<FetchResult> {
    const { signal } = request
    throwIfAborted(`pull ${name}`, signal)
    const job = this.#count++
    const cancel = (): void => {
      if (this.#jobs.has(job)) this.#post({ is: 'cancel', job, reason: plainError(signal?.reason) })
    }
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await new Promise<FetchResult>((resolve, reject) => {
        this.#jobs.set(job, { request, resolve, reject })
        this.#post({ ...what, session, job })
      })
    } catch (error) {
      if (signal?.aborted && error instanceof PodlingError && error.code === 'ABORTED')
        throw new PodlingError('ABORTED', error.message, { cause: signal.reason })
      throw error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  #hear(message: FromFetcher): void {
    if (message.is === 'question') {
      void this.#answer(message)
      return
    }
    const job = this.#jobs.get(message.job)
    switch (message.is) {
      case 'progress':
        job?.request.onProgress?.(message.progress)
        return
      case 'begin':
        this.#begin(message)
        return
      case 'done':
        job?.resolve(message.result)
        break
      case 'failed':
        job?.reject(errorOf(message.error))
    }
    this.#jobs.delete(message.job)
  }

  #begin({ job, fd, growth }: Extract<FromFetcher, { is: 'begin' }>): void {
    const begin = this.#jobs.get(job)?.request.begin
    try {
      if (begin !== undefined) {
        void begin({ fd: openSync(`/proc/self/fd/${String(fd)}`, 'r'), growth: new BlobGrowth(growth) })
      }
      this.#post({ is: 'begun', job })
    } catch (error) {
      this.#post({ is: 'cancel', job, reason: plainError(error) })
      this.#post({ is: 'begun', job })
    }
  }

  async #answer({ question, session, repository }: Extract<FromFetcher, { is: 'question' }>): Promise<void> {
    let answer
    try {
      const credentials = await this.#sessions.get(session)?.credentials?.(repository)
      answer = credentials === undefined ? {} : { credentials }
    } catch (error) {
      answer = { error: plainError(error) }
    }
    // Whoever wanted it may have given up meanwhile; the thread rests then, and a message would wake it for good.
    if (this.#sessions.has(session)) this.#post({ is: 'answer', question, ...answer })
  }
}
