import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { LogOptions } from '../../../lib/container/log/log-options.js'
import { readLog } from '../../../lib/container/log/read-log.js'

const time = (second: number) => `2026-11-24T14:21:${String(second).padStart(2, '0')}.000000001+00:00`
const file = (path: string) => ({ driver: 'k8s-file', path, rotates: false }) as const
const over = Promise.resolve()

async function texts(path: string, options: LogOptions = {}, ended: Promise<unknown> = over): Promise<string[]> {
  const lines = []
  for await (const line of readLog(file(path), options, ended)) lines.push(line.text)
  return lines
}

t.test('a log that is not there has no lines', async (t) => {
  t.strictSame(await texts(join(t.testdir(), 'none')), [])
})

t.test('all lines, one stream, since, until, timestamps', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(
    path,
    [1, 2, 3, 4].map((n) => `${time(n)} ${n % 2 ? 'stdout' : 'stderr'} F line ${String(n)}\n`).join(''),
  )
  t.strictSame(await texts(path), ['line 1', 'line 2', 'line 3', 'line 4'])
  t.strictSame(await texts(path, { stream: 'stderr' }), ['line 2', 'line 4'])
  t.strictSame(await texts(path, { since: new Date('2026-11-24T14:21:03Z') }), ['line 3', 'line 4'])
  t.strictSame(await texts(path, { until: new Date('2026-11-24T14:21:03Z') }), ['line 1', 'line 2'])
  t.strictSame(await texts(path, { tail: 1, timestamps: true }), [`${time(4)} line 4`])
})

t.test('the tail of a log of any shape is the end of the whole', async (t) => {
  const path = join(t.testdir(), 'log')
  // Long lines, so that block borders fall everywhere; pieces, so that lines span entries.
  let content = ''
  for (let n = 0; n < 400; n++) {
    const stream = n % 3 === 0 ? 'stderr' : 'stdout'
    if (n % 5 === 0) content += `${time(n % 60)} ${stream} P ${'p'.repeat((n * 37) % 5000)}\n`
    content += `${time(n % 60)} ${stream} F ${String(n)} ${'x'.repeat((n * 61) % 3000)}\n`
  }
  await writeFile(path, content)
  for (const stream of [undefined, 'stdout', 'stderr'] as const) {
    const options = stream === undefined ? {} : { stream }
    const all = await texts(path, options)
    for (const tail of [0, 1, 2, 7, 100, all.length - 1, all.length, all.length + 5]) {
      t.strictSame(
        await texts(path, { ...options, tail }),
        tail === 0 ? [] : all.slice(-tail),
        `${String(stream)} ${String(tail)}`,
      )
    }
  }
})

t.test('follow gives what is written later, to the last line', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, `${time(0)} stdout F first\n`)
  let end = () => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const seen: string[] = []
  const reading = (async () => {
    for await (const line of readLog(file(path), { follow: true }, ended)) {
      seen.push(line.text)
      if (line.text === 'first') await appendFile(path, `${time(1)} stdout F sec`)
      if (seen.length === 1) await appendFile(path, `ond\n${time(2)} stdout F third\n`)
      if (line.text === 'third') {
        await appendFile(path, `${time(3)} stdout F last\n`)
        end()
      }
    }
  })()
  await reading
  t.strictSame(seen, ['first', 'second', 'third', 'last'])
})

t.test('an abort ends a follow quietly', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, `${time(0)} stdout F only\n`)
  const controller = new AbortController()
  const seen: string[] = []
  for await (const line of readLog(file(path), { follow: true, signal: controller.signal }, new Promise(() => {}))) {
    seen.push(line.text)
    setImmediate(() => {
      controller.abort()
    })
  }
  t.strictSame(seen, ['only'])
})

t.test('`until` ends a follow when the wall clock shows it, also one that is set back meanwhile', async (t) => {
  const path = join(t.testdir(), 'log')
  await writeFile(path, `${time(0)} stdout F only\n`)
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const until = new Date(now() + 50)
  const lines = readLog(file(path), { follow: true, until }, new Promise(() => {}))
  t.match(await lines.next(), { value: { text: 'only' } })
  const ended = lines.next()
  Date.now = () => now() - 100
  t.same(await ended, { done: true, value: undefined })
  t.ok(Date.now() >= until.getTime())
})
