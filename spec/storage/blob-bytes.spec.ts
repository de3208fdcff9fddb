import t from 'tap'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { BlobGrowth } from '../../lib/image/blob-growth.js'
import { BlobLost, readBlob, type BlobInput } from '../../lib/storage/blob-bytes.js'
import { temporaryDirectory, type Teardown } from '../fixtures/directory.js'

/** Some MB that pack by a half, so that both sides take many pieces, of lengths that nothing divides. */
const plain = Buffer.concat(
  Array.from({ length: 999 }, (_, i) => Buffer.concat([randomBytes(1000 + i), Buffer.alloc(1500)])),
)
const [first, second] = [plain.subarray(0, 1_000_001), plain.subarray(1_000_001)]

const blobs: Readonly<Record<string, Buffer>> = {
  'as it is': plain,
  gzip: gzipSync(plain),
  'gzip of two members': Buffer.concat([gzipSync(first), gzipSync(second)]),
  'gzip with zeros behind its end': Buffer.concat([gzipSync(plain), Buffer.alloc(1_000_000)]),
  zstd: execFileSync('zstd', ['-q', '-c'], { input: plain, maxBuffer: 2 ** 26 }),
}

async function fileOf(t: Teardown, bytes: Uint8Array): Promise<{ blob: number; path: string }> {
  const path = join(await temporaryDirectory(t), 'blob')
  writeFileSync(path, bytes)
  const blob = openSync(path, 'r')
  t.teardown(() => {
    closeSync(blob)
  })
  return { blob, path }
}

async function read(input: Omit<BlobInput, 'name'>): Promise<Buffer> {
  const parts: Buffer[] = []
  await readBlob(
    { ...input, name: 'a layer' },
    (chunk) => parts.push(Buffer.from(chunk)),
    () => undefined,
  )
  return Buffer.concat(parts)
}

for (const [name, bytes] of Object.entries(blobs)) {
  t.test(`${name}: what went in comes out`, async (t) => {
    t.ok((await read(await fileOf(t, bytes))).equals(plain))
  })

  t.test(`${name}: behind a writer, to the end that says that it was right`, async (t) => {
    const { blob, path } = await fileOf(t, new Uint8Array())
    const growth = BlobGrowth.start(bytes.length, 0)
    let isWhole = false
    const reading = read({ blob, growth: growth.shared }).then((got) => {
      t.ok(isWhole)
      return got
    })
    const writer = openSync(path, 'a')
    for (let at = 0; at < bytes.length; at += 300_000) {
      const end = Math.min(at + 300_000, bytes.length)
      writeSync(writer, bytes, at, end - at)
      growth.reach(end)
      await new Promise(setImmediate)
    }
    closeSync(writer)
    isWhole = true
    growth.end()
    t.ok((await reading).equals(plain))
  })
}

t.test('a writer that gives up', async (t) => {
  const { blob } = await fileOf(t, blobs['gzip']!)
  const growth = BlobGrowth.start(blobs['gzip']!.length, 500_000)
  const reading = read({ blob, growth: growth.shared })
  growth.lose()
  t.ok((await reading.catch((error: unknown) => error)) instanceof BlobLost)
})

t.test('damaged and cut short', async (t) => {
  for (const name of ['gzip', 'zstd']) {
    const bytes = Buffer.from(blobs[name]!)
    await t.rejects(read(await fileOf(t, bytes.subarray(0, 1_000_000))), { code: 'LAYER_INVALID' })
    bytes.fill(0xff, 600_000, 700_000)
    await t.rejects(read(await fileOf(t, bytes)), { code: 'LAYER_INVALID' })
  }
})

t.test('who takes it may refuse', async (t) => {
  for (const [name, bytes] of Object.entries(blobs)) {
    const refusal = new BlobLost('enough')
    let taken = 0
    const reading = readBlob({ ...(await fileOf(t, bytes)), name }, () => {
      if (++taken === 3) throw refusal
    }, () => undefined) // prettier-ignore
    await t.rejects(reading, refusal)
    t.equal(taken, 3)
  }
})

t.test('memory is free again as soon as its bytes are taken', async (t) => {
  const { blob } = await fileOf(t, gzipSync(Buffer.alloc(96 * 1024 ** 2)))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  await readBlob({ blob, name: 'zeros' }, () => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }, () => undefined) // prettier-ignore
  t.ok(most < 8 * 1024 ** 2, `${String(most)} bytes`)
})
