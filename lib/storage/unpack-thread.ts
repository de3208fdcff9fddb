/**
 * Threads that unpack layers, so that the event loop is free meanwhile. A thread takes 40 ms to start: one that is done
 * waits a while for the next layer, which doesn't keep the process alive.
 */
import { closeSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { PodlingError, type ErrorCode } from '../errors.js'
import { BlobLost } from './blob-bytes.js'
import { aborted } from './lock.js'
import type { LayerProgress } from './layer-types.js'
import type { UnpackResult } from './unpack-blob.js'
import { unpackFlags, type UnpackJob } from './unpack-flags.js'

export type ThreadMessage =
  | { readonly is: 'progress'; readonly progress: LayerProgress }
  | { readonly is: 'done'; readonly result: UnpackResult }
  | { readonly is: 'lost' }
  | {
      readonly is: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly details: { syscall?: string; errno?: string; path?: string }
    }

/** Milliseconds that an idle thread is kept. */
const idleTime = 5000

/** Threads at work at once. Each has a decompressor beside it on the thread pool, and hashes and writes by itself. */
const mostBusy = Math.max(2, Math.min(4, availableParallelism()))

export class UnpackThreads {
  readonly #idle: { readonly worker: Worker; readonly timer: NodeJS.Timeout }[] = []
  readonly #busy = new Set<Worker>()
  /** Who waits for a place among the busy ones. */
  readonly #waiting: (() => void)[] = []
  #places = mostBusy

  /** Wait until a thread may work. @returns what gives the place back */
  async place(): Promise<() => void> {
    if (this.#places > 0) this.#places--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    let given = false
    return () => {
      if (given) return
      given = true
      const next = this.#waiting.shift()
      if (next === undefined) this.#places++
      else next()
    }
  }

  /** Run a job on a thread of its own. @throws PodlingError, also ABORTED; BlobLost */
  async run(
    job: Omit<UnpackJob, 'flags'>,
    options: {
      readonly signal?: AbortSignal | undefined
      readonly onProgress?: ((progress: LayerProgress) => void) | undefined
    },
  ): Promise<UnpackResult> {
    const { signal, onProgress } = options
    const flags = new Int32Array(new SharedArrayBuffer(12))
    const giveUp = (): void => {
      Atomics.store(flags, unpackFlags.cancel, 1)
    }
    if (signal?.aborted) giveUp()
    signal?.addEventListener('abort', giveUp, { once: true })
    const worker = this.#take()
    try {
      const result = await perform(worker, { ...job, flags }, onProgress)
      this.#keep(worker)
      return result
    } catch (error) {
      if (error instanceof ThreadDied) {
        this.#busy.delete(worker)
        // What it held of the unpacker, so that this ends too.
        if (job.target.to === 'unpacker') {
          if (Atomics.load(flags, unpackFlags.streamClosed) === 0) closeSync(job.target.stream)
          if (Atomics.load(flags, unpackFlags.statusClosed) === 0) closeSync(job.target.status)
        }
      } else {
        this.#keep(worker)
      }
      if (signal?.aborted && error instanceof PodlingError && error.code === 'ABORTED') throw aborted(signal)
      throw error instanceof ThreadDied ? error.failure : error
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** End the idle threads. Those at work end when they are done. */
  async close(): Promise<void> {
    const idle = this.#idle.splice(0)
    for (const { timer } of idle) clearTimeout(timer)
    await Promise.all(idle.map(({ worker }) => worker.terminate()))
  }

  #take(): Worker {
    const idle = this.#idle.pop()
    if (idle !== undefined) clearTimeout(idle.timer)
    // Descriptors of jobs come from outside of the thread, which would warn of closing them. Node's own flags, such as
    // `--input-type` or a loader, are for the program of whoever uses us.
    const worker =
      idle?.worker ??
      new Worker(new URL('./unpack-worker.js', import.meta.url), { trackUnmanagedFds: false, execArgv: [] })
    worker.ref()
    this.#busy.add(worker)
    return worker
  }

  #keep(worker: Worker): void {
    this.#busy.delete(worker)
    worker.unref()
    const timer = setTimeout(() => {
      const at = this.#idle.findIndex((each) => each.worker === worker)
      if (at >= 0) this.#idle.splice(at, 1)
      void worker.terminate()
    }, idleTime)
    timer.unref()
    this.#idle.push({ worker, timer })
  }
}

class ThreadDied extends Error {
  readonly failure: PodlingError
  constructor(cause: unknown) {
    super('an unpacking thread died')
    this.failure = new PodlingError('SYSTEM_CALL_FAILED', 'the thread that unpacked a layer died', { cause })
  }
}

function perform(
  worker: Worker,
  job: UnpackJob,
  onProgress: ((progress: LayerProgress) => void) | undefined,
): Promise<UnpackResult> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      worker.off('message', onMessage).off('error', onDeath).off('exit', onDeath)
    }
    const onMessage = (message: ThreadMessage): void => {
      if (message.is === 'progress') {
        onProgress?.(message.progress)
        return
      }
      done()
      if (message.is === 'done') resolve(message.result)
      else if (message.is === 'lost') reject(new BlobLost('the blob of a layer was lost while it came'))
      else reject(new PodlingError(message.code, message.message, message.details))
    }
    const onDeath = (cause: unknown): void => {
      done()
      reject(new ThreadDied(cause))
    }
    worker.on('message', onMessage).on('error', onDeath).on('exit', onDeath)
    worker.postMessage(job)
  })
}
