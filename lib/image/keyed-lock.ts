import { throwIfAborted } from './progress.js'

/** One at a time per key: two pulls that want the same blob fetch it once. Waiters go on in the order they came. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>()

  /** Run `work` when nobody else holds the key. An abort ends the wait, not the holder's work. */
  async run<T>(key: string, what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    let release!: () => void
    const mine = before.then(() => new Promise<void>((resolve) => (release = resolve)))
    const held = before.then(() => undefined)
    this.#tails.set(key, mine)
    void mine.then(() => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
    })
    try {
      await orAbort(held, what, signal)
      return await work()
    } finally {
      // An aborted waiter gives its turn on as soon as it comes.
      void held.then(() => {
        release()
      })
    }
  }
}

async function orAbort(turn: Promise<void>, what: string, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(what, signal)
  if (!signal) return turn
  let onAbort!: () => void
  const aborted = new Promise<void>((resolve) => (onAbort = resolve))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([turn, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  throwIfAborted(what, signal)
}
