/** The thread that fetches: it speaks with registries and writes blobs. See fetch-thread.ts for the other end. */
import { closeSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import type { ArrivingBlob } from '../image/blob-growth.js'
import { fetchBlob } from '../image/fetch-blob.js'
import type { Credentials } from '../image/registry-auth.js'
import { RegistryClient } from '../image/registry.js'
import type { Stamps } from './blob-stamps.js'
import { ContentStore } from './content.js'
import type { FetchJob, FetchResult, FromFetcher, ToFetcher } from './fetch-messages.js'
import { errorOf, plainError } from './plain-error.js'
import { LatestProgress } from './latest-progress.js'
import { giveWay } from '../sys/give-way.js'
import { stampOf, type Stamp } from './stamp.js'

interface Session {
  readonly client: RegistryClient
  readonly store: Promise<ContentStore>
  readonly stamps: OwnStamps
}

/**
 * Whether a blob that is there is the right one only the database knows, and that is the other thread's. So what this one
 * has not written itself is read before it is believed.
 */
class OwnStamps implements Stamps {
  readonly #known = new Map<string, Stamp>()

  matches(digest: string, path: string): boolean {
    const known = this.#known.get(digest)
    return known !== undefined && known === stampOf(path)
  }

  take(digest: string, stamp: Stamp): void {
    this.#known.set(digest, stamp)
  }

  get(digest: string): Stamp | undefined {
    return this.#known.get(digest)
  }

  save(): Promise<void> {
    return Promise.resolve()
  }

  keepOnly(): Promise<void> {
    return Promise.resolve()
  }
}

const sessions = new Map<number, Session>()
const cancels = new Map<number, AbortController>()
/** Who waits for a word of the other thread. */
const beginnings = new Map<number, () => void>()
const questions = new Map<number, { resolve(credentials: Credentials | undefined): void; reject(error: Error): void }>()
let asked = 0

giveWay()

const port = parentPort
port?.on('message', (message: ToFetcher) => {
  switch (message.is) {
    case 'open':
      sessions.set(message.session, open(message))
      break
    case 'close':
      sessions.get(message.session)?.client.close()
      sessions.delete(message.session)
      break
    case 'manifest':
    case 'blob':
      void perform(message)
      break
    case 'begun':
      beginnings.get(message.job)?.()
      break
    case 'cancel':
      cancels.get(message.job)?.abort(errorOf(message.reason))
      break
    case 'answer': {
      const question = questions.get(message.question)
      questions.delete(message.question)
      if (message.error !== undefined) question?.reject(errorOf(message.error))
      else question?.resolve(message.credentials)
    }
  }
})

function post(message: FromFetcher): void {
  port?.postMessage(message)
}

function open({ session, registry, options, store }: Extract<ToFetcher, { is: 'open' }>): Session {
  const credentials = (repository: string): Promise<Credentials | undefined> =>
    new Promise((resolve, reject) => {
      const question = asked++
      questions.set(question, { resolve, reject })
      post({ is: 'question', question, session, repository })
    })
  const stamps = new OwnStamps()
  return {
    client: new RegistryClient(registry, { ...options, credentials }),
    store: ContentStore.open(store, stamps),
    stamps,
  }
}

async function perform(message: FetchJob): Promise<void> {
  const { job } = message
  const cancel = new AbortController()
  cancels.set(job, cancel)
  try {
    post({ is: 'done', job, result: await fetch(message, cancel.signal) })
  } catch (error) {
    post({ is: 'failed', job, error: plainError(error) })
  } finally {
    cancels.delete(job)
  }
}

async function fetch(message: FetchJob, signal: AbortSignal): Promise<FetchResult> {
  const session = sessions.get(message.session)
  if (session === undefined) throw new Error(`there is no session ${String(message.session)}`)
  const { client, store, stamps } = session
  if (message.is === 'manifest') return client.manifest(message.repository, message.reference, signal)
  const { job, repository, digest, size, kind, follows, reports } = message
  const progress = new LatestProgress((latest) => {
    post({ is: 'progress', job, progress: latest })
  })
  try {
    await fetchBlob(client, await store, {
      repository,
      digest,
      size,
      kind,
      signal,
      ...(reports
        ? {
            onProgress: (each) => {
              progress.push(each)
            },
          }
        : {}),
      ...(follows ? { begin: (blob) => begin(job, blob) } : {}),
    })
  } finally {
    progress.flush()
  }
  return { stamp: stamps.get(digest) }
}

/** The other thread opens the file for itself: no descriptor is closed by another thread than the one that opened it. */
async function begin(job: number, { fd, growth }: ArrivingBlob): Promise<void> {
  try {
    await new Promise<void>((resolve) => {
      beginnings.set(job, resolve)
      post({ is: 'begin', job, fd, growth: growth.shared })
    })
  } finally {
    beginnings.delete(job)
    closeSync(fd)
  }
}
