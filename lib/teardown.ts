import { PodlingError } from './errors.js'

/**
 * Wait for all steps of a teardown. It goes on past failures and reports them together.
 * @throws the failure itself when there is one; an `AggregateError` as the cause when there are more.
 */
export async function settleAll(what: string, steps: readonly Promise<unknown>[]): Promise<void> {
  const failures = (await Promise.allSettled(steps)).flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  )
  if (failures.length === 0) return
  if (failures.length === 1) throw failures[0]
  const messages = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)))
  throw new PodlingError('TEARDOWN_FAILED', `${what}: ${messages.join('; ')}`, {
    cause: new AggregateError(failures, what),
  })
}

/**
 * Take back what was half made when `error` came. The error to throw comes out: the given one, or one that carries both
 * failures when the undoing failed too.
 */
export async function afterUndo(error: unknown, undo: () => Promise<void>): Promise<unknown> {
  try {
    await undo()
    return error
  } catch (second) {
    const message = error instanceof Error ? error.message : String(error)
    return new PodlingError('TEARDOWN_FAILED', `${message}; and what was half made could not be removed`, {
      cause: new AggregateError([error, second]),
    })
  }
}

/** What has been opened, to be closed the other way round, whether all of it was opened or not. */
export class Teardown {
  readonly #steps: (() => Promise<void>)[] = []

  /** Note how to close what has just been opened. */
  add(step: () => Promise<void>): void {
    this.#steps.push(step)
  }

  /** Close all, one after the other, past failures. Running it again closes nothing twice. @throws as {@link settleAll} */
  async run(what: string): Promise<void> {
    const failures: Promise<void>[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const closing = step()
      failures.push(closing)
      await closing.catch(() => undefined)
    }
    await settleAll(what, failures)
  }
}
