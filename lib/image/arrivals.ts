/** Who waits for what is on its way: that it begins to come, and that all of it is there. */
import { closeSync } from 'node:fs'
import type { ArrivingBlob } from './blob-growth.js'

/** The layers of an image, for those who use them while others are still on their way. */
export interface LayerArrivals {
  /** Resolves when a blob begins to come, with the blob to be read behind its writer; undefined when it is in the store. */
  begun(digest: string): Promise<ArrivingBlob | undefined>
  /** Resolves when a blob is in the store, verified. */
  wait(digest: string): Promise<void>
}

/** When all of them are in the store. */
export const allArrived: LayerArrivals = { begun: () => Promise.resolve(undefined), wait: () => Promise.resolve() }

export class Arrivals implements LayerArrivals {
  readonly #items: ReadonlyMap<
    string,
    { readonly begun: Outcome<ArrivingBlob | undefined>; readonly whole: Outcome<void> }
  >
  readonly #blobs: ArrivingBlob[] = []

  constructor(digests: readonly string[]) {
    this.#items = new Map(digests.map((digest) => [digest, { begun: new Outcome(), whole: new Outcome() }]))
  }

  begun(digest: string): Promise<ArrivingBlob | undefined> {
    return this.#items.get(digest)?.begun.promise ?? Promise.reject(new Error(`${digest} is not on its way`))
  }

  wait(digest: string): Promise<void> {
    return this.#items.get(digest)?.whole.promise ?? Promise.reject(new Error(`${digest} is not on its way`))
  }

  /** A blob begins to come. Of several beginnings the first one counts. */
  begin(digest: string, blob: ArrivingBlob): void {
    this.#blobs.push(blob)
    this.#items.get(digest)?.begun.resolve(blob)
  }

  arrive(digest: string): void {
    this.#items.get(digest)?.begun.resolve(undefined)
    this.#items.get(digest)?.whole.resolve()
  }

  /** Nothing more comes. */
  fail(error: unknown): void {
    for (const { begun, whole } of this.#items.values()) {
      begun.reject(error)
      whole.reject(error)
    }
  }

  /** Close the files of blobs. Nobody may be reading them any more. */
  close(): void {
    for (const { fd } of this.#blobs.splice(0)) closeSync(fd)
  }
}

/** A promise with its ends. Nobody need wait for it. */
class Outcome<T> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void
  reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.promise.catch(() => undefined)
  }
}
