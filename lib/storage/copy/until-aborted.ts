import { abortedError } from '../../image/progress.js'

/**
 * The same chunks, until the caller cancels: at once, also while the next of them is waited for, which may never come.
 * @throws PodlingError ABORTED
 */
export async function* untilAborted<T>(
  chunks: AsyncIterable<T>,
  what: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* chunks
    return
  }
  const iterator = chunks[Symbol.asyncIterator]()
  let giveUp = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => {
      reject(abortedError(what, signal))
    }
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
  })
  aborted.catch(() => undefined)
  try {
    for (;;) {
      const next = await Promise.race([aborted, iterator.next()])
      if (next.done) return
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', giveUp)
    // Not waited for: a generator comes to its end only after what it waits for.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}
