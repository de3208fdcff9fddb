import { readFile } from 'node:fs/promises'
import t from 'tap'
import { PodlingError } from '../../../lib/errors.js'
import { readElf, type Elf } from '../../../lib/image/from-host/elf.js'
import { makeElf } from './make-elf.js'

/** A source that fails the test when the reader asks for what isn't there. */
async function read(bytes: Uint8Array): Promise<Elf | undefined> {
  return readElf(
    {
      size: bytes.length,
      read(position, length) {
        if (!(position >= 0 && length >= 0 && position + length <= bytes.length)) {
          throw new Error(`read of ${String(length)} at ${String(position)} of ${String(bytes.length)}`)
        }
        return Promise.resolve(bytes.subarray(position, position + length))
      },
    },
    '/bin/x',
  )
}

for (const bits of [32, 64] as const) {
  for (const littleEndian of [true, false]) {
    t.test(`a ${String(bits)} bit ${littleEndian ? 'little' : 'big'} endian file`, async (t) => {
      const shape = {
        bits,
        littleEndian,
        machine: 21,
        interpreter: '/lib/ld.so.1',
        soname: 'libx.so.1',
        needed: ['libc.so.6', 'libm.so.6', 'l'.repeat(700)],
        rpath: '$ORIGIN/../lib:/opt/lib',
        runpath: '/run/lib',
        noDefaultLibraries: true,
      }
      t.strictSame(await read(makeElf(shape)), shape)
    })
  }
}

t.test('a library without anything', async (t) => {
  t.strictSame(await read(makeElf({})), {
    bits: 64,
    littleEndian: true,
    machine: 62,
    needed: [],
    noDefaultLibraries: false,
  })
})

t.test('other files are none', async (t) => {
  for (const text of ['', '\x7fEL', '#!/bin/sh\n', '\x7fELX'.padEnd(100)]) {
    t.equal(await read(Buffer.from(text, 'latin1')), undefined)
  }
})

t.test('a file cut short anywhere is an error, or none', async (t) => {
  const whole = makeElf({ interpreter: '/lib/ld.so.1', needed: ['libc.so.6'], soname: 'x' })
  for (let length = 0; length < whole.length; length++) {
    const answer = await read(whole.subarray(0, length)).catch((error: unknown) => error)
    if (length < 4) t.equal(answer, undefined)
    else if (!(answer instanceof PodlingError && answer.code === 'ELF_INVALID'))
      t.fail(`cut at ${String(length)}: ${String(answer)}`)
  }
})

t.test('messages name the file and what is wrong', async (t) => {
  const cases: [string, (file: Buffer) => void][] = [
    ['its class is 9', (file) => (file[4] = 9)],
    ['its byte order is 0', (file) => (file[5] = 0)],
    ['its program headers lies beyond its end', (file) => file.writeBigUInt64LE(1n << 40n, 32)],
    ['its program header offset is 18446744073709551615', (file) => file.fill(255, 32, 40)],
    ['its program headers have 8 bytes', (file) => file.writeUInt16LE(8, 54)],
    ['it has 65535 program headers', (file) => file.writeUInt16LE(65535, 56)],
  ]
  for (const [message, damage] of cases) {
    const file = makeElf({ needed: ['libc.so.6'] })
    damage(file)
    await t.rejects(read(file), {
      code: 'ELF_INVALID',
      path: '/bin/x',
      message: `/bin/x is not a valid ELF file: ${message}`,
    })
  }
})

t.test('damaged files end in a typed error or an answer, never elsewhere', async (t) => {
  const random = generator(20240517)
  const node = await readFile(process.execPath)
  const originals = [
    makeElf({ interpreter: '/lib/ld.so.1', needed: ['libc.so.6', 'libm.so.6'], rpath: '/x:/y', soname: 's' }),
    makeElf({ bits: 32, littleEndian: false, interpreter: '/lib/ld.so.1', needed: ['a', 'b'], runpath: '$ORIGIN' }),
    node.subarray(0, 4096),
  ]
  let errors = 0
  for (let round = 0; round < 6000; round++) {
    const bytes = Buffer.from(originals[round % originals.length]!)
    for (let changes = 1 + random(6); changes > 0; changes--) {
      const at = random(3) === 0 ? random(bytes.length) : random(Math.min(400, bytes.length))
      bytes[at] = [0, 255, 127, random(256)][random(4)]!
    }
    try {
      await read(bytes.subarray(0, random(8) === 0 ? random(bytes.length) : bytes.length))
    } catch (error) {
      errors++
      if (!(error instanceof PodlingError && error.code === 'ELF_INVALID')) throw error
    }
  }
  t.ok(errors > 1000, `${String(errors)} of 6000 were refused`)
})

/** mulberry32, so that a failure can be had again. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}
