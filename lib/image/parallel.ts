/**
 * Work through a list, at most `limit` at a time. The first failure aborts the others through their signal; the
 * promise settles only when all have ended, so that nothing goes on behind the caller's back.
 */
export async function forEachParallel<T>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController()
  const joined = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal
  let next = 0
  const failures: unknown[] = []
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const item = items[next]!
      next += 1
      try {
        await work(item, joined)
      } catch (error) {
        failures.push(error)
        controller.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
}
