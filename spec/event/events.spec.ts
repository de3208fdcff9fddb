import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime, type EventOptions, type RuntimeEvent } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'

const host = fileURLToPath(new URL('../fixtures/event-host.js', import.meta.url))

async function kept(runtime: Runtime, options: EventOptions = {}): Promise<RuntimeEvent[]> {
  const events: RuntimeEvent[] = []
  for await (const event of runtime.events({ ...options, follow: false })) events.push(event)
  return events
}

const words = (events: readonly RuntimeEvent[]): string[] => events.map(({ type, action }) => `${type} ${action}`)

t.test('the life of a container, in the words of podman-events(1)', async (t) => {
  await using test = await testRuntime()
  const { runtime, image } = test
  const container = await runtime.run({
    image: 'busybox:test', name: 'one', command: ['sleep', '1000'], network: 'none', labels: { app: 'db' },
  }) // prettier-ignore
  await container.pause()
  await container.unpause()
  await container.exec(['true'])
  await container.stop({ timeout: 0 })
  await container.remove()
  const events = await kept(runtime)
  t.same(words(events), [
    'image import', 'container create', 'container start', 'container pause', 'container unpause', 'container exec',
    'container stop', 'container died', 'container remove',
  ]) // prettier-ignore
  const [imported] = events
  t.match(imported, { id: image.id, name: /busybox:test$/ })
  for (const event of events.slice(1)) {
    t.match(event, { id: container.id, name: 'one', image: 'busybox:test', labels: { app: 'db' } })
  }
  t.match(
    events.find(({ action }) => action === 'died'),
    { exitCode: 137, oomKilled: false },
  )
  const times = events.map(({ time }) => time.getTime())
  t.same(
    times,
    [...times].sort((a, b) => a - b),
  )
})

t.test('filters, since and until', async (t) => {
  await using test = await testRuntime()
  const { runtime } = test
  await runtime.volumes.create({ name: 'data', labels: { app: 'db', tier: '1' } })
  await runtime.volumes.create({ name: 'other' })
  await runtime.networks.create({ name: 'back' })
  await runtime.volumes.remove('data')
  const volumes = await kept(runtime, { filters: { type: 'volume' } })
  t.same(
    volumes.map(({ action, name }) => `${action} ${name}`),
    ['create data', 'create other', 'remove data'],
  )
  t.same(words(await kept(runtime, { filters: { volume: 'data', action: ['remove', 'start'] } })), ['volume remove'])
  t.same(words(await kept(runtime, { filters: { label: ['app=db', 'tier'] } })), ['volume create', 'volume remove'])
  t.same(await kept(runtime, { filters: { label: 'app=web' } }), [])
  t.same(words(await kept(runtime, { filters: { network: 'back' } })), ['network create'])
  const [, second] = volumes
  t.same(words(await kept(runtime, { filters: { image: 'busybox:test' } })), [])
  t.ok((await kept(runtime, { since: second!.time })).every(({ time }) => time >= second!.time))
  t.ok((await kept(runtime, { until: second!.time })).every(({ time }) => time < second!.time))
  const until = new Date(Date.now() + 50)
  for await (const event of runtime.events({ until })) t.fail(`nothing happens, but ${event.action}`)
  t.ok(Date.now() >= until.getTime(), 'it ends by itself')
})

t.test('`until` is a time of the wall clock, also of one that is set back meanwhile', async (t) => {
  await using test = await testRuntime()
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const until = new Date(now() + 50)
  const ended = test.runtime.events({ until, filters: { type: 'pod' } }).next()
  Date.now = () => now() - 100
  t.same(await ended, { done: true, value: undefined })
  t.ok(Date.now() >= until.getTime())
})

t.test('pods, and the containers in them', async (t) => {
  await using test = await testRuntime()
  const { runtime } = test
  const pod = await runtime.pods.create({ name: 'group', network: 'none' })
  await runtime.run({ image: 'busybox:test', name: 'member', pod: 'group', command: ['sleep', '1000'] })
  await pod.remove({ force: true })
  const events = await kept(runtime, { filters: { pod: pod.id } })
  const told = words(events.filter(({ type }) => type === 'pod'))
  // That it was killed is told by its killer, that it died by its monitor.
  t.same(
    [...told.slice(0, 2), ...told.slice(2, 4).sort(), ...told.slice(4)],
    ['pod create', 'pod start', 'pod died', 'pod kill', 'pod remove'],
  )
  t.match(
    events.find(({ type, action }) => type === 'container' && action === 'died'),
    { name: 'member', pod: pod.id },
  )
  const named = await kept(runtime, { filters: { pod: 'group' } })
  t.ok(named.length >= 4 && named.every(({ type }) => type === 'pod'))
})

t.test('what another process does is seen, its death too', async (t) => {
  await using test = await testRuntime()
  const { runtime, root } = test
  const events = runtime.events({ filters: { container: 'theirs' } })
  const child = fork(host, [root])
  const seen: string[] = []
  // It has started before its record is on the disk; then there is something to recover.
  child.once('message', () => child.kill('SIGKILL'))
  for await (const { action } of events) {
    seen.push(action)
    if (action === 'died') break
  }
  t.same(seen, ['create', 'start', 'died'])
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  await using next = await Runtime.open({ root })
  t.equal(next.recovered.containers.length, 1)
  t.same(words(await kept(next, { filters: { container: 'theirs' } })).at(-1), 'container remove', 'by the next open')
})

t.test('an iteration ends with its signal, and with the runtime', async (t) => {
  await using test = await testRuntime()
  const stop = new AbortController()
  const stopped = test.runtime.events({ signal: stop.signal }).next()
  const closed = test.runtime.events().next()
  setTimeout(() => {
    stop.abort()
  }, 20)
  t.same(await stopped, { done: true, value: undefined })
  await test.runtime.close()
  t.same(await closed, { done: true, value: undefined })
  t.throws(() => test.runtime.events(), { code: 'RUNTIME_CLOSED' })
})

t.test('wrong options are all told at once', async (t) => {
  await using test = await testRuntime()
  const { runtime } = test
  const wrong = { since: 'yesterday', filters: { label: 7 } } as unknown as EventOptions
  t.throws(() => runtime.events(wrong), {
    code: 'INVALID_OPTION',
    message: /since: must be a Date, got 'yesterday'.*filters\.label: must be a text or several, got 7/s,
  })
  t.throws(() => runtime.events({ filter: {} } as unknown as EventOptions), { message: /did you mean filters/ })
  t.throws(() => runtime.events({ filters: { typ: 'image' } } as unknown as EventOptions), {
    message: /did you mean type/,
  })
  t.equal((await readFile(`${test.root}/events/journal`, 'utf8')).includes('import'), true)
})
