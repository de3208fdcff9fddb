/** Logs in several files, as monitors leave them, and what others do to such files meanwhile. */
import { appendFile, mkdir, open, rename, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { LogLine } from '../../../lib/container/log/line.js'
import type { LogOptions } from '../../../lib/container/log/log-options.js'
import { readLog } from '../../../lib/container/log/read-log.js'
import { tryLock } from '../../../lib/sys/file-calls.js'

const source = (path: string) => ({ driver: 'k8s-file', path, rotates: true }) as const
const entry = (text: string, partial = false, second = 1) =>
  `2026-11-24T14:21:${String(second).padStart(2, '0')}.000000001+00:00 stdout ${partial ? 'P' : 'F'} ${text}\n`

async function lines(path: string, options: LogOptions = {}, ended: Promise<unknown> = Promise.resolve()) {
  const found: LogLine[] = []
  for await (const line of readLog(source(path), options, ended)) found.push(line)
  return found
}
const texts = async (...given: Parameters<typeof lines>) => (await lines(...given)).map(({ text }) => text)

/** Rotate as native/log_file.c does. */
async function rotate(path: string, number: number) {
  await writeFile(`${path}.podling-new`, '')
  await rename(path, `${path}.${String(number)}`)
  await rename(`${path}.podling-new`, path)
}

t.test('files in the order of their numbers, lines across their borders', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(`${path}.9`, entry('a') + entry('b1', true))
  await writeFile(`${path}.10`, entry('b2', true))
  await writeFile(`${path}.11`, '')
  await writeFile(path, entry('b3') + entry('c'))
  await writeFile(`${path}.x`, entry('no'))
  await writeFile(`${path}.007`, entry('no'))
  await mkdir(`${path}.d`)
  t.strictSame(await texts(path), ['a', 'b1b2b3', 'c'])
  t.strictSame(await texts(path, { tail: 1 }), ['c'])
  t.strictSame(await texts(path, { tail: 2 }), ['b1b2b3', 'c'])
  t.strictSame(await texts(path, { tail: 3 }), ['a', 'b1b2b3', 'c'])
  t.strictSame(await texts(path, { tail: 9 }), ['a', 'b1b2b3', 'c'])
  t.strictSame(await texts(path, { tail: 0 }), [])
  await unlink(path)
  t.strictSame(await texts(path), ['a', 'b1b2'], 'a monitor that was killed between the two renames')
})

t.test('a follower loses nothing by rotations, and holds what it is yet to read', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, entry('0'))
  let end = () => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const seen: string[] = []
  let count = 0
  for await (const { text, gap } of readLog(source(path), { follow: true }, ended)) {
    seen.push(text)
    t.notOk(gap)
    if (text !== String(count)) continue
    if (count === 20) {
      end()
      continue
    }
    // Three files at a time, while the reader stands in the first of them.
    for (let i = 0; i < 3; i++) {
      await rotate(path, ++count)
      await appendFile(path, entry(String(count)))
    }
    const file = await open(`${path}.${String(count - 2)}`)
    t.equal(tryLock(file.fd, 'exclusive'), false, 'the file that it is at is locked')
    await file.close()
    if (count >= 18) {
      await rotate(path, 19)
      await appendFile(path, entry('19') + entry('20'))
      count = 20
    }
  }
  t.strictSame(
    seen,
    Array.from({ length: 21 }, (_, i) => String(i)),
  )
})

t.test('what was removed before it was read is told of', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, entry('1'))
  let end = () => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const seen: (string | true | undefined)[] = []
  for await (const { text, gap } of readLog(source(path), { follow: true }, ended)) {
    seen.push(text, gap)
    if (text === '1') {
      for (const number of [1, 2, 3]) {
        await rotate(path, number)
        await appendFile(path, entry(`in ${String(number + 1)}`))
      }
      await unlink(`${path}.1`)
      await unlink(`${path}.2`)
    } else if (text === 'in 4') end()
  }
  t.strictSame(seen, ['1', undefined, 'in 3', true, 'in 4', undefined])
})

t.test('a file that somebody empties is read from its begin', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, entry('before, and long enough'))
  let end = () => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const seen: string[] = []
  for await (const { text } of readLog({ ...source(path), rotates: false }, { follow: true }, ended)) {
    seen.push(text)
    if (text === 'after') end()
    else {
      await truncate(path, 0)
      await appendFile(path, entry('after'))
    }
  }
  t.strictSame(seen, ['before, and long enough', 'after'])
})

t.test('a clock that was set back: the order is that of writing, each line is asked by itself', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, entry('a', false, 30) + entry('b', false, 10) + entry('c', false, 31))
  const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 14, 21, second))
  t.strictSame(await texts(path), ['a', 'b', 'c'])
  t.strictSame(await texts(path, { since: at(20) }), ['a', 'c'])
  t.strictSame(await texts(path, { until: at(20) }), ['b'])
  t.strictSame(await texts(path, { since: at(20), tail: 1 }), ['c'])
})

t.test('a follow ends when its until has come', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, entry('a'))
  const never = new Promise(() => {})
  t.strictSame(await texts(path, { follow: true, until: new Date(Date.now() + 50) }, never), ['a'])
  t.strictSame(await texts(path, { follow: true, until: new Date(0) }, never), [])
})

t.test('bytes that are no text', async (t) => {
  const path = join(t.testdir(), 'log')
  const odd = Buffer.from([0x61, 0xff, 0x00, 0xfe])
  await writeFile(path, Buffer.concat([Buffer.from(entry('', false).slice(0, -1)), odd, Buffer.from('\n')]))
  const [line] = await lines(path, { bytes: true })
  t.strictSame([...(line?.bytes ?? [])], [...odd])
  t.equal(line?.text, 'a\ufffd\0\ufffd')
  t.equal((await lines(path))[0]?.bytes, undefined)
  await t.rejects(texts(path, { byte: true } as LogOptions), { code: 'INVALID_OPTION', message: /did you mean bytes/ })
})
