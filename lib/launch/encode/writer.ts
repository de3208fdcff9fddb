import { PodlingError } from '../../errors.js'

/** Bytes that grow. Everything little-endian and unaligned. */
export class Writer {
  #bytes = Buffer.allocUnsafe(4096)
  #length = 0

  #room(size: number): number {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length))
      this.#bytes.copy(larger, 0, 0, at)
      this.#bytes = larger
    }
    return at
  }

  u8(value: number | boolean): void {
    // The room first: making it may replace the bytes.
    const at = this.#room(1)
    this.#bytes.writeUInt8(Number(value), at)
  }

  u32(value: number): void {
    const at = this.#room(4)
    this.#bytes.writeUInt32LE(value >>> 0, at)
  }

  u64(value: bigint): void {
    const at = this.#room(8)
    this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at)
  }

  blob(value: Uint8Array): void {
    this.u32(value.length)
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
  }

  /** @throws PodlingError `INVALID_OPTION` for a NUL, at which C would end the text. */
  text(value: string): void {
    if (value.includes('\0')) {
      throw new PodlingError(
        'INVALID_OPTION',
        `A text of a launch plan must hold no NUL byte, got ${JSON.stringify(value)}`,
      )
    }
    const size = Buffer.byteLength(value)
    this.u32(size)
    const at = this.#room(size + 1)
    this.#bytes.write(value, at)
    this.#bytes.writeUInt8(0, at + size)
  }

  maybe(value: string | undefined): void {
    this.u8(value !== undefined)
    if (value !== undefined) this.text(value)
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.u32(items.length)
    for (const item of items) write(item)
  }

  texts(items: readonly string[]): void {
    this.list(items, (item) => {
      this.text(item)
    })
  }

  blobs(items: readonly Uint8Array[]): void {
    this.list(items, (item) => {
      this.blob(item)
    })
  }

  /** Write with the size of what is written in front. */
  sized(write: () => void): void {
    const at = this.#room(4)
    write()
    this.#bytes.writeUInt32LE(this.#length - at - 4, at)
  }

  take(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}
