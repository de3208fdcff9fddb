/** Lets verbs of one container run one after the other, in the order of their calls. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve()

  /** Run `work` when all that was queued before has settled. Its failure is the caller's alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }
}
