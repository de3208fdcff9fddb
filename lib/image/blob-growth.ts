/**
 * How far a blob has come that is still being written, in memory that threads share: who reads its file behind the writer
 * knows how much of it is there, and whether more comes.
 */

const places = { bytes: 0, state: 1, total: 2 } as const
const states = { growing: 0n, whole: 1n, lost: 2n } as const

/** A blob on its way into the store, for those who use its bytes as they come. */
export interface ArrivingBlob {
  /** The file that it is written to, open for reading. Bytes that come stay; all of them are wrong if the blob gets lost. */
  readonly fd: number
  readonly growth: BlobGrowth
}

export class BlobGrowth {
  /** To be handed to other threads. */
  readonly shared: BigInt64Array

  /** @param shared of the same blob's growth in another thread. @default that of a new one */
  constructor(shared: BigInt64Array = new BigInt64Array(new SharedArrayBuffer(8 * 3))) {
    this.shared = shared
  }

  static start(total: number, bytes: number): BlobGrowth {
    const growth = new BlobGrowth()
    Atomics.store(growth.shared, places.total, BigInt(total))
    growth.reach(bytes)
    return growth
  }

  /** So many bytes are there. */
  reach(bytes: number): void {
    Atomics.store(this.shared, places.bytes, BigInt(bytes))
  }

  /** All of it is there, and it is what its digest says. */
  end(): void {
    Atomics.compareExchange(this.shared, places.state, states.growing, states.whole)
  }

  /** No more comes, or what came was wrong. */
  lose(): void {
    Atomics.compareExchange(this.shared, places.state, states.growing, states.lost)
  }

  /** Whether {@link lose} was called. */
  get lost(): boolean {
    return Atomics.load(this.shared, places.state) === states.lost
  }
}

/** What stands in {@link BlobGrowth.shared}. */
export function readGrowth(shared: BigInt64Array): { bytes: number; total: number; whole: boolean; lost: boolean } {
  // The state first: what it says of the bytes must hold for the bytes that are read after it.
  const state = Atomics.load(shared, places.state)
  return {
    bytes: Number(Atomics.load(shared, places.bytes)),
    total: Number(Atomics.load(shared, places.total)),
    whole: state === states.whole,
    lost: state === states.lost,
  }
}
