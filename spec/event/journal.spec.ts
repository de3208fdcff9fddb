import { fork } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { NewEvent, RuntimeEvent } from '../../lib/event/event.js'
import type { EventOptions } from '../../lib/event/event-options.js'
import { EventJournal } from '../../lib/event/journal.js'
import { readEvents } from '../../lib/event/read-events.js'
import { temporaryDirectory } from '../fixtures/directory.js'

const worker = fileURLToPath(new URL('../fixtures/event-writer.js', import.meta.url))
const event = (name: string): NewEvent => ({ type: 'volume', action: 'create', name })

async function all(journal: EventJournal, options: EventOptions = { follow: false }): Promise<RuntimeEvent[]> {
  const events: RuntimeEvent[] = []
  for await (const one of readEvents(journal.paths, options, undefined, new AbortController().signal)) events.push(one)
  return events
}

t.test('what was written is read, and a reader from a place on gets what came behind it', async (t) => {
  const journal = EventJournal.open(await temporaryDirectory(t))
  t.same(await all(journal), [], 'nothing yet')
  const start = journal.end()
  journal.write(event('a'))
  const middle = journal.end()
  journal.write(event('b'))
  t.same(
    (await all(journal)).map(({ name }) => name),
    ['a', 'b'],
  )
  for (const [from, names] of [
    [start, ['a', 'b']],
    [middle, ['b']],
  ] as const) {
    const reader = readEvents(journal.paths, { follow: false }, from, new AbortController().signal)
    const seen: (string | undefined)[] = []
    for await (const { name } of reader) seen.push(name)
    t.same(seen, names)
  }
  journal.close()
})

t.test('a torn line costs itself alone', async (t) => {
  const journal = EventJournal.open(await temporaryDirectory(t))
  journal.write(event('a'))
  await appendFile(journal.paths.current, '{"time":1,"type":"vol')
  journal.write(event('b'))
  await appendFile(journal.paths.current, '\n{"time":1,"type":"rubbish","action":"x"}\n[]\nnull\n7\n')
  journal.write(event('c'))
  t.same(
    (await all(journal)).map(({ name }) => name),
    ['a', 'b', 'c'],
  )
  journal.close()
})

t.test('it is bounded, and a reader crosses from file to file without loss', async (t) => {
  const limit = 4096
  const journal = EventJournal.open(await temporaryDirectory(t), limit)
  const stop = new AbortController()
  const reader = readEvents(journal.paths, {}, journal.end(), stop.signal)
  const names = Array.from({ length: 500 }, (_, i) => `n${i}`)
  for (const name of names) {
    journal.write(event(name))
    t.equal((await reader.next()).value?.name, name)
  }
  stop.abort()
  t.same(await reader.next(), { done: true, value: undefined })
  for (const path of [journal.paths.current, journal.paths.previous]) {
    t.ok((await stat(path)).size < limit + 200, 'no file is much larger than the limit')
  }
  const kept = (await all(journal)).map(({ name }) => name)
  t.same(kept, names.slice(-kept.length), 'the newest are kept, in their order')
  t.ok(kept.length > 10)
  journal.close()
})

t.test('a reader that is too slow is told so', async (t) => {
  const journal = EventJournal.open(await temporaryDirectory(t), 1024)
  journal.write(event('first'))
  const stop = new AbortController()
  const reader = readEvents(journal.paths, { since: new Date(0) }, undefined, stop.signal)
  t.equal((await reader.next()).value?.name, 'first')
  for (let i = 0; i < 100; i++) journal.write(event(`n${i}`))
  const actions: string[] = []
  while (actions.at(-1) !== 'n99') {
    const { value } = await reader.next()
    actions.push(value!.type === 'system' ? value!.action : value!.name!)
  }
  t.ok(actions.includes('events_lost'), 'between what it read before and what is still there')
  t.ok(actions.length < 100)
  stop.abort()
  await reader.next()
  journal.close()
})

t.test('several processes write at once, and turn the files over', async (t) => {
  const directory = await temporaryDirectory(t)
  const journal = EventJournal.open(directory)
  const stop = new AbortController()
  const reader = readEvents(journal.paths, {}, journal.end(), stop.signal)
  const count = 3000
  const writers = ['a', 'b', 'c'].map((name) => fork(worker, [directory, name, String(count), String(384 << 10)]))
  const next: Record<string, number> = { a: 0, b: 0, c: 0 }
  for (let seen = 0; seen < 3 * count; seen++) {
    const { value } = await reader.next()
    const [, name, number] = /^([abc])(\d+)$/.exec(value!.name!)!
    if (Number(number) !== next[name!]) t.fail(`${name} ${number} in the place of ${next[name!]}`)
    next[name!] = Number(number) + 1
  }
  t.same(next, { a: count, b: count, c: count }, 'each once, in its order')
  stop.abort()
  await reader.next()
  for (const one of writers) if (one.exitCode === null) await once(one, 'exit')
  journal.close()
})

t.test('a name that leads elsewhere is not followed, and fails nothing', async (t) => {
  const directory = await temporaryDirectory(t)
  const target = `${directory}/target`
  await writeFile(target, 'mine')
  const { symlink, mkdir } = await import('node:fs/promises')
  await mkdir(`${directory}/events`)
  await symlink(target, `${directory}/events/journal`)
  const journal = EventJournal.open(`${directory}/events`)
  journal.write(event('a'))
  t.equal(journal.lost, 1)
  t.equal(await readFile(target, 'utf8'), 'mine')
})
