/** Files as a tar (POSIX ustar): root's, of the epoch, so that the same files make the same bytes. Pure but for what it reads. */
import type { SavedMember } from './save-types.js'

const blockSize = 512

export async function* tarBytes(members: AsyncIterable<SavedMember>): AsyncGenerator<Uint8Array> {
  for await (const { name, size, body } of members) {
    yield header(name, size)
    let length = 0
    for await (const chunk of body) {
      length += chunk.byteLength
      yield chunk
    }
    if (length !== size) throw new Error(`${name} has ${String(length)} bytes, and its header says ${String(size)}`)
    if (size % blockSize !== 0) yield Buffer.alloc(blockSize - (size % blockSize))
  }
  yield Buffer.alloc(2 * blockSize)
}

function header(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`${name} is too long for a header`)
  const bytes = Buffer.alloc(blockSize)
  bytes.write(name, 0)
  octal(bytes, 0o644, 100, 8)
  octal(bytes, 0, 108, 8)
  octal(bytes, 0, 116, 8)
  if (size < 8 ** 11) octal(bytes, size, 124, 12)
  else {
    // Base 256, as GNU tar writes what is too large for octal digits and all readers know.
    bytes[124] = 0x80
    bytes.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(bytes, 0, 136, 12)
  bytes.fill(' ', 148, 156)
  bytes.write('0', 156)
  bytes.write('ustar\u000000', 257)
  const sum = bytes.reduce((a, b) => a + b, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

function octal(bytes: Buffer, value: number, at: number, length: number): void {
  bytes.write(value.toString(8).padStart(length - 1, '0'), at)
}
