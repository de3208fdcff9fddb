/** Who waits for what is on its way. */
export class Arrivals {
  readonly #items = new Map<
    string,
    { readonly promise: Promise<void>; arrive: () => void; fail: (error: unknown) => void }
  >()

  constructor(names: readonly string[]) {
    for (const name of names) {
      let arrive!: () => void
      let fail!: (error: unknown) => void
      const promise = new Promise<void>((resolve, reject) => {
        arrive = resolve
        fail = reject
      })
      // Nobody need wait for each of them.
      promise.catch(() => undefined)
      this.#items.set(name, { promise, arrive, fail })
    }
  }

  wait(name: string): Promise<void> {
    return this.#items.get(name)?.promise ?? Promise.reject(new Error(`${name} is not on its way`))
  }

  arrive(name: string): void {
    this.#items.get(name)?.arrive()
  }

  /** Nothing more comes. */
  fail(error: unknown): void {
    for (const { fail } of this.#items.values()) fail(error)
  }
}
