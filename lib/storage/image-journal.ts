/**
 * What is under way with images, so that a crash leaves nothing: each work is noted before it makes anything, and its
 * note names the layer references to give back. A note whose worker is gone is made good by the next sweep.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import type { ContentStore } from './content.js'
import type { Database, Table } from './database.js'
import type { ImageLock } from './image-lock.js'
import type { ImageRecord } from './image.js'
import { aborted } from './lock.js'

export interface JournalParts {
  readonly database: Database
  readonly content: Pick<ContentStore, 'list' | 'remove' | 'setAside' | 'keepStamps'>
  readonly layers: LayerReferences
  readonly lock: ImageLock
}

/** What the journal needs of the layers. */
export interface LayerReferences {
  /** Give a reference back; one that is not held is no error. */
  release(chainId: string, holder: string): Promise<void>
}

/** That `holder` needs the layer `chainId`. */
export interface LayerReference {
  readonly chainId: string
  readonly holder: string
}

/** What one work on images may use. Within a transaction it takes part in that. */
export interface Work {
  /** Say which references are to be given back at the end, instead of those said before. */
  giveBack(references: readonly LayerReference[]): Promise<void>
  /** Say that there may be blobs that no image needs any more. */
  wantSweep(): Promise<void>
}

interface Note {
  readonly references: readonly LayerReference[]
  /** When a download began, in milliseconds since the epoch: should it be interrupted, the blobs since then are set aside. */
  readonly began?: number
}

/** What ends a download without a word against what came. */
const interruptions: ReadonlySet<string> = new Set([
  'ABORTED', 'REGISTRY_UNREACHABLE', 'REGISTRY_FAILED', 'REGISTRY_RATE_LIMITED',
]) // prettier-ignore

/** Milliseconds between two looks whether somebody works still. */
const alonePause = 20

/** The note that stands for no work, but for blobs to be swept. */
const sweepKey = 'sweep'

export class ImageJournal {
  readonly #parts: JournalParts
  readonly #notes: Table<Note>

  constructor(parts: JournalParts) {
    this.#parts = parts
    this.#notes = parts.database.table('image-journal')
  }

  /**
   * Do work on images: noted, beside others but never beside a sweep. When it fails, the blobs it brought are swept.
   * @param download whether these are kept for another try when it is interrupted
   */
  async run<T>(signal: AbortSignal | undefined, work: (work: Work) => Promise<T>, download = false): Promise<T> {
    const leave = await this.#parts.lock.enter(signal)
    const key = randomUUID()
    const since = download ? { began: Date.now() } : {}
    const wantSweep = (interrupted = false): Promise<void> => {
      const earlier = this.#notes.get(sweepKey) ?? {}
      return this.#notes.put(sweepKey, { references: [], ...(interrupted ? since : {}), ...earlier })
    }
    const giveBack = (references: readonly LayerReference[]): Promise<void> =>
      this.#notes.put(key, { references, ...since })
    let outcome: { readonly value: T } | { readonly error: unknown }
    try {
      await giveBack([])
      outcome = { value: await work({ giveBack, wantSweep: () => wantSweep() }) }
    } catch (error) {
      outcome = { error }
    }
    try {
      if ('error' in outcome) await wantSweep(isInterruption(outcome.error))
      await this.#settle(key).finally(leave)
      await this.sweep()
    } catch (cleanUp) {
      throw 'error' in outcome ? bothFailures(outcome.error, cleanUp) : cleanUp
    } finally {
      leave()
    }
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }

  /**
   * Make good what dead workers left, and remove blobs that no image needs. Does nothing when nothing is noted, or
   * while anybody works: whoever ends last sweeps.
   */
  async sweep(): Promise<void> {
    if (this.#notes.entries()[Symbol.iterator]().next().done) return
    const leave = this.#parts.lock.tryAlone()
    if (!leave) return
    try {
      // Nobody works, so all notes are of the dead.
      let since = Infinity
      for (const [key, { began = Infinity }] of this.#notes.entries()) {
        since = Math.min(since, began)
        if (key !== sweepKey) await this.#settle(key)
      }
      await this.#sweepBlobs(since)
      await this.#notes.remove(sweepKey)
    } finally {
      leave()
    }
  }

  /** Do something while nobody works on images; waits until that is so. */
  async alone<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (signal?.aborted) throw aborted(signal)
      await this.sweep()
      const leave = this.#parts.lock.tryAlone()
      if (leave === undefined) {
        await sleep(alonePause)
        continue
      }
      try {
        return await work()
      } finally {
        leave()
      }
    }
  }

  /** @param since blobs that came later are set aside */
  async #sweepBlobs(since: number): Promise<void> {
    const { database, content } = this.#parts
    const needed = new Set<string>()
    for (const [, record] of database.table<ImageRecord>('images').entries()) {
      for (const digest of record.blobs) needed.add(digest)
    }
    for await (const digest of content.list()) if (!needed.has(digest)) await content.setAside(digest, since)
    await content.keepStamps(needed)
  }

  async #settle(key: string): Promise<void> {
    const note = this.#notes.get(key)
    if (!note) return
    // Topmost first: a layer that goes takes its reference to the one below along.
    for (const { chainId, holder } of note.references.toReversed()) await this.#parts.layers.release(chainId, holder)
    await this.#notes.remove(key)
  }
}

function isInterruption(error: unknown): boolean {
  return error instanceof PodlingError && interruptions.has(error.code)
}

/** The failure of the work, which tells that its clean-up failed too. The note stays for the next sweep. */
function bothFailures(error: unknown, cleanUp: unknown): PodlingError {
  const text = (one: unknown): string => (one instanceof Error ? one.message : String(one))
  return new PodlingError(
    error instanceof PodlingError ? error.code : 'SYSTEM_CALL_FAILED',
    `${text(error)}; and cleaning up after it failed: ${text(cleanUp)}`,
    { cause: new AggregateError([error, cleanUp]) },
  )
}
