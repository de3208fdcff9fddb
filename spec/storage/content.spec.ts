import t from 'tap'
import { createHash, randomBytes } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ContentStore } from '../../lib/storage/content.js'

const moduleUrl = new URL('../../lib/storage/content.js', import.meta.url).href
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const partials = (directory: string): string[] => readdirSync(join(directory, 'partial'))

await t.test('bytes are stored under their digest', async (t) => {
  const directory = t.testdir()
  const store = await ContentStore.open(directory)
  const bytes = randomBytes(1000)
  const { digest, size } = await store.put(bytes)
  t.equal(digest, digestOf(bytes))
  t.equal(size, 1000)
  t.equal(store.path(digest), join(directory, 'sha256', digest.slice(7)))
  t.equal(await store.has(digest), true)
  t.equal(await store.size(digest), 1000)
  t.strictSame(await store.read(digest), bytes)
  t.equal(statSync(store.path(digest)).mode & 0o777, 0o600)
  await store.put(bytes)
  const found: string[] = []
  for await (const each of store.list()) found.push(each)
  t.strictSame(found, [digest])
  await store.remove(digest)
  await store.remove(digest)
  t.equal(await store.has(digest), false)
  t.strictSame(partials(directory), [])
})

await t.test('what is not there, too large, damaged or no digest is told', async (t) => {
  const store = await ContentStore.open(t.testdir())
  const absent = digestOf(Buffer.from('absent'))
  await t.rejects(store.read(absent), { code: 'BLOB_NOT_FOUND' })
  await t.rejects(store.size(absent), { code: 'BLOB_NOT_FOUND' })
  const { digest } = await store.put(Buffer.from('hello'))
  await t.rejects(store.read(digest, 4), { code: 'SIZE_MISMATCH' })
  writeFileSync(store.path(digest), 'jello')
  await t.rejects(store.read(digest), { code: 'DIGEST_MISMATCH' })
  for (const bad of [
    '',
    'sha256:',
    'sha256:../../../etc/passwd',
    `md5:${'0'.repeat(32)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(64)}\n`,
  ]) {
    t.throws(() => store.path(bad), { code: 'IMAGE_INVALID' }, JSON.stringify(bad))
    await t.rejects(store.writer({ digest: bad }), { code: 'IMAGE_INVALID' })
  }
})

await t.test('a download in pieces, not awaited one by one', async (t) => {
  const directory = t.testdir()
  const store = await ContentStore.open(directory)
  const bytes = randomBytes(500_000)
  const writer = await store.writer({ digest: digestOf(bytes), size: bytes.length })
  t.equal(writer.offset, 0)
  t.equal(writer.complete, false)
  const writes: Promise<void>[] = []
  for (let at = 0; at < bytes.length; at += 70_001) writes.push(writer.write(bytes.subarray(at, at + 70_001)))
  await Promise.all(writes)
  t.equal(await store.has(digestOf(bytes)), false, 'not to be seen before it is whole')
  await writer.commit()
  t.strictSame(await store.read(digestOf(bytes)), bytes)
  t.strictSame(partials(directory), [])
  await t.rejects(writer.write(bytes), { code: 'INVALID_STATE' })
})

await t.test('an interrupted download goes on, also after opening anew', async (t) => {
  const directory = t.testdir()
  const bytes = randomBytes(3_000_000)
  const expected = { digest: digestOf(bytes), size: bytes.length }
  const first = await (await ContentStore.open(directory)).writer(expected)
  await first.write(bytes.subarray(0, 2_000_000))
  await first.keep()
  const store = await ContentStore.open(directory)
  const second = await store.writer(expected)
  t.equal(second.offset, 2_000_000)
  await second.write(bytes.subarray(second.offset))
  await second.commit()
  t.strictSame(await store.read(expected.digest), bytes)
  const third = await store.writer(expected)
  t.equal(third.complete, true)
  t.equal(third.offset, bytes.length)
  await third.commit()
  t.strictSame(partials(directory), [])
})

await t.test('wrong bytes are refused, and not kept', async (t) => {
  const directory = t.testdir()
  const store = await ContentStore.open(directory)
  const digest = digestOf(Buffer.from('right'))
  const wrong = await store.writer({ digest, size: 5 })
  await wrong.write(Buffer.from('wrong'))
  await t.rejects(wrong.commit(), { code: 'DIGEST_MISMATCH' })
  const short = await store.writer({ digest, size: 5 })
  t.equal(short.offset, 0)
  await short.write(Buffer.from('righ'))
  await t.rejects(short.commit(), { code: 'SIZE_MISMATCH' })
  const long = await store.writer({ digest, size: 5 })
  await t.rejects(long.write(Buffer.from('rightx')), { code: 'SIZE_MISMATCH' })
  await long.keep()
  t.strictSame(partials(directory), [])
  const given = await store.writer({ digest })
  await given.write(Buffer.from('rig'))
  await given.discard()
  t.strictSame(partials(directory), [])
  t.equal(await store.has(digest), false)
})

await t.test('two writers of one digest: the second finds the blob', async (t) => {
  const directory = t.testdir()
  const store = await ContentStore.open(directory)
  const bytes = randomBytes(100_000)
  const expected = { digest: digestOf(bytes), size: bytes.length }
  const first = await store.writer(expected)
  const waiting = store.writer(expected)
  const gaveUp = store.writer(expected, { signal: AbortSignal.timeout(50) })
  await t.rejects(gaveUp, { code: 'ABORTED' })
  await first.write(bytes)
  await first.commit()
  const second = await waiting
  t.equal(second.complete, true)
  await second.write(bytes)
  await second.commit()
  t.strictSame(await store.read(expected.digest), bytes)
  t.strictSame(partials(directory), [])
})

await t.test('writers in several processes, one of them killed', async (t) => {
  const directory = t.testdir()
  const bytes = Buffer.alloc(400_000, 'podling')
  const expected = { digest: digestOf(bytes), size: bytes.length }
  const code = (end: string): string => `
    import { ContentStore } from ${JSON.stringify(moduleUrl)}
    const bytes = Buffer.alloc(400_000, 'podling')
    const store = await ContentStore.open(${JSON.stringify(directory)})
    const writer = await store.writer(${JSON.stringify(expected)})
    for (let at = writer.offset; at < bytes.length; at += 10_000) {
      await writer.write(bytes.subarray(at, at + 10_000))
      ${end}
    }
    await writer.commit()`
  const killed = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', code(`if (at > 200_000) process.kill(process.pid, 'SIGKILL')`)],
    { encoding: 'utf8' },
  )
  t.equal(killed.signal, 'SIGKILL', killed.stderr)
  const children = [1, 2, 3].map(() =>
    spawn(process.execPath, ['--input-type=module', '-e', code('')], { stdio: 'inherit' }),
  )
  for (const [status] of await Promise.all(children.map((child) => once(child, 'exit')))) t.equal(status, 0)
  const store = await ContentStore.open(directory)
  t.strictSame(await store.read(expected.digest), bytes)
  t.strictSame(partials(directory), [])
})

await t.test('a full disk', async (t) => {
  const directory = t.testdir()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'podling-spec', directory], { encoding: 'utf8' })
  t.equal(mounted.status, 0, mounted.stderr)
  try {
    const store = await ContentStore.open(directory)
    const bytes = randomBytes(2 * 1024 * 1024)
    await t.rejects(store.put(bytes), { code: 'DISK_FULL', errno: 'ENOSPC' })
    const writer = await store.writer({ digest: digestOf(bytes) })
    await t.rejects(writer.write(bytes), { code: 'DISK_FULL' })
    await t.rejects(writer.commit(), { code: 'DISK_FULL' })
    await writer.keep()
    t.strictSame(partials(directory), [])
    t.equal(existsSync(store.path(digestOf(bytes))), false)
    await store.put(randomBytes(1000))
  } finally {
    t.equal(spawnSync('umount', [directory]).status, 0)
  }
})

await t.test('halves that killed processes left are removed when the store is opened', async (t) => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'partial'), { recursive: true })
  writeFileSync(join(directory, 'partial', 'put-x'), 'half')
  const old = join(directory, 'partial', `sha256-${'0'.repeat(64)}`)
  writeFileSync(old, 'old')
  spawnSync('touch', ['-d', '10 days ago', old])
  writeFileSync(join(directory, 'partial', `sha256-${'1'.repeat(64)}`), 'new')
  await ContentStore.open(directory)
  t.strictSame(partials(directory), [`sha256-${'1'.repeat(64)}`])
})
