/** The writing end of an unpacker: small things are gathered, large ones go straight through. Blocks; for a worker. */
import { writeSync } from 'node:fs'
import {
  operationSize,
  writeInteger,
  writeOperation,
  type Head,
  type OperationSink,
  type UnpackOperation,
} from './unpack-operations.js'

/** As much as the pipe holds at most. */
const bufferSize = 256 * 1024

/** Contents of more bytes than this aren't copied together with what is around them. */
const largePiece = 32 * 1024

export class UnpackStream implements OperationSink {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafeSlow(bufferSize)
  #used = 0

  constructor(fd: number) {
    this.#fd = fd
  }

  operation(operation: UnpackOperation, head: Head): void {
    const size = operationSize(head)
    if (this.#used + size > bufferSize) this.flush()
    this.#used = writeOperation(this.#buffer, this.#used, operation, head)
  }

  chunk(offset: number, length: number): void {
    if (this.#used + 16 > bufferSize) this.flush()
    writeInteger(this.#buffer, this.#used, offset)
    writeInteger(this.#buffer, this.#used + 8, length)
    this.#used += 16
  }

  contents(bytes: Buffer): void {
    if (bytes.length >= largePiece) {
      this.flush()
      writeAll(this.#fd, bytes)
      return
    }
    if (this.#used + bytes.length > bufferSize) this.flush()
    bytes.copy(this.#buffer, this.#used)
    this.#used += bytes.length
  }

  flush(): void {
    const used = this.#used
    this.#used = 0
    if (used > 0) writeAll(this.#fd, this.#buffer.subarray(0, used))
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at)
}
