/** How many are kept between two looks. */
const MOST = 10_000

/** How long starts took, for whoever looks now and then. */
export class StartTimes {
  #seconds: number[] = []

  note(seconds: number): void {
    if (this.#seconds.length < MOST) this.#seconds.push(seconds)
  }

  /** Those since the last look. */
  take(): number[] {
    const taken = this.#seconds
    this.#seconds = []
    return taken
  }
}
