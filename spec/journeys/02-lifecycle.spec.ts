import { readFile } from 'node:fs/promises'
import t from 'tap'
import { PodlingError, Runtime } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const sleeper = { image, command: ['sleep', '1000'], network: 'none' as const }

t.test('create, start, stop, start again, remove', async (t) => {
  const container = await runtime.containers.create({ ...sleeper, name: 'life', labels: { team: 'blue' } })
  t.equal(container.status, 'created')
  t.equal(container.pid, undefined)
  await container.start()
  t.equal(container.status, 'running')
  t.type(container.pid, 'number')
  const exit = await container.stop()
  t.match(exit, { exitCode: 137, signal: 'SIGKILL', oomKilled: false })
  t.equal(container.status, 'exited')
  t.same(await container.stop(), exit, 'stopping twice is stopping once')
  await container.restart()
  t.equal(container.status, 'running')
  await t.rejects(container.remove(), { code: 'INVALID_STATE', message: /force/ })
  await container.remove({ force: true })
  t.equal(container.status, 'removed')
  await container.remove({ force: true })
  await t.rejects(runtime.containers.get('life'), { code: 'CONTAINER_NOT_FOUND' })
})

t.test('a stop signal that is handled gives its exit code', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    command: ['sh', '-c', 'trap "exit 3" USR1; echo up; while :; do sleep 0.05; done'],
    stopSignal: 'SIGUSR1',
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  t.match(await container.stop(), { exitCode: 3 })
})

t.test('one that ignores its stop signal is killed after the timeout', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    command: ['sh', '-c', 'trap "echo no" TERM; echo up; while :; do sleep 0.05; done'],
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  t.match(await container.stop({ timeout: 300 }), { exitCode: 137, signal: 'SIGKILL' })
})

t.test('verbs out of place', async (t) => {
  await using container = await runtime.containers.create(sleeper)
  await t.rejects(container.wait(), { code: 'INVALID_STATE', message: /start\(\) first/ })
  await t.rejects(container.exec(['true']), { code: 'INVALID_STATE' })
  await t.rejects(container.kill(), { code: 'INVALID_STATE' })
  t.equal(await container.stop(), undefined)
  await container.start()
  await t.rejects(container.start(), { code: 'INVALID_STATE', message: /runs already/ })
  await container.kill('SIGKILL')
  await container.wait()
  await t.rejects(container.exec(['true']), { code: 'INVALID_STATE', message: /start\(\) first/ })
})

t.test('names', async (t) => {
  await using first = await runtime.containers.create({ ...sleeper, name: 'taken' })
  await t.rejects(runtime.containers.create({ ...sleeper, name: 'taken' }), {
    code: 'NAME_IN_USE',
    message: new RegExp(first.id.slice(0, 12)),
  })
  t.equal(await runtime.containers.get('taken'), first, 'one handle a container')
  t.equal(await runtime.containers.get(first.id.slice(0, 12)), first)
  await t.rejects(runtime.containers.get('nobody'), { code: 'CONTAINER_NOT_FOUND' })
})

t.test('list by status, label and name', async (t) => {
  await using a = await runtime.run({ ...sleeper, name: 'list-a', labels: { tier: 'front' } })
  await using b = await runtime.containers.create({ ...sleeper, name: 'list-b', labels: { tier: 'back' } })
  t.strictSame(await runtime.containers.list({ name: 'list-' }), [a, b])
  t.strictSame(await runtime.containers.list({ status: 'running' }), [a])
  t.strictSame(await runtime.containers.list({ label: 'tier=back' }), [b])
  t.strictSame(await runtime.containers.list({ label: ['tier', 'tier=front'] }), [a])
})

t.test('pause and unpause', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    command: [
      'sh',
      '-c',
      'i=0; while :; do i=$((i + 1)); echo $i > /dev/shm/new; mv /dev/shm/new /dev/shm/count; done',
    ],
  })
  await within(
    10_000,
    () => container.exec(['ls', '/dev/shm/count']),
    ({ exitCode }) => exitCode === 0,
  )
  await container.pause()
  t.equal(container.status, 'paused')
  await t.rejects(container.exec(['true']), { code: 'INVALID_STATE', message: /unpause/ })
  // In its memory, which nobody stands between; what it wrote before reaches its log when it does.
  const count = async () => Number(await readFile(`/proc/${String(container.pid)}/root/dev/shm/count`, 'utf8'))
  const before = await count()
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(await count(), before, 'nothing runs')
  await container.unpause()
  t.ok((await within(10_000, count, (now) => now > before)) > before, 'it goes on')
  await container.pause()
  t.match(await container.stop({ timeout: 50 }), { signal: 'SIGKILL' }, 'a paused container can be stopped')
})

t.test('events', async (t) => {
  const seen: string[] = []
  const listen = ({ type }: { type: string }) => seen.push(type)
  runtime.on('container', listen)
  const container = await runtime.run({ ...sleeper, command: ['true'] })
  await container.wait()
  await container.remove()
  runtime.off('container', listen)
  t.strictSame(seen, ['create', 'start', 'exit', 'remove'])
})

t.test('inspect tells the spec that it runs by', async (t) => {
  await using container = await runtime.run({ ...sleeper, user: 'app', memory: '32m' })
  const { spec, state } = container.inspect()
  t.match(spec, {
    ociVersion: /^1\./,
    process: { args: ['sleep', '1000'], user: { uid: 1000, gid: 1000, additionalGids: [50] } },
    linux: { resources: { memory: { limit: 33554432 } } },
  })
  t.equal(state.pid, container.pid)
})

t.test('two runtimes on one root', async (t) => {
  await using other = await Runtime.open({ root: setup.root })
  await using container = await runtime.run({ ...sleeper, name: 'shared' })
  const seen = await other.containers.get('shared')
  t.equal(seen.status, 'running')
  t.equal(seen.pid, container.pid)
  t.equal((await seen.exec(['echo', 'hi'])).stdout, 'hi\n')
  const [exit] = await Promise.all([seen.wait(), container.kill('SIGKILL')])
  t.match(exit, { exitCode: 137 })
  t.strictSame(other.recovered.containers, [], 'a living host is left alone')
})

t.test('close ends and removes what is bound', async (t) => {
  const other = await Runtime.open({ root: setup.root })
  const container = await other.run({ ...sleeper, name: 'bound' })
  const { pid } = container
  await other.close()
  await other.close()
  t.throws(() => process.kill(pid ?? 0, 0), { code: 'ESRCH' })
  await t.rejects(runtime.containers.get('bound'), { code: 'CONTAINER_NOT_FOUND' })
  await t.rejects(other.run(sleeper), { code: 'RUNTIME_CLOSED' })
})

t.test('a failed start leaves nothing', async (t) => {
  for (const [options, code] of [
    [{ command: ['no-such-command'] }, 'COMMAND_NOT_FOUND'],
    [{ command: ['/bin/not-executable'] }, 'COMMAND_NOT_EXECUTABLE'],
    [{ command: ['/bin/rubbish'] }, 'COMMAND_NOT_EXECUTABLE'],
    [{ user: 'nobody-here' }, 'USER_NOT_FOUND'],
    [{ user: 'app:no-group' }, 'USER_NOT_FOUND'],
    [{ workdir: '/etc/passwd' }, 'WORKDIR_INVALID'],
  ] as const) {
    const error: unknown = await runtime
      .run({ ...sleeper, name: 'failing', ...options })
      .catch((error: unknown) => error)
    t.ok(error instanceof PodlingError, code)
    t.equal((error as PodlingError).code, code, (error as PodlingError).message)
    await t.rejects(runtime.containers.get('failing'), { code: 'CONTAINER_NOT_FOUND' })
  }
})

t.test('many at once each get a name of their own', async (t) => {
  const containers = await Promise.all(Array.from({ length: 200 }, () => runtime.containers.create(sleeper)))
  t.equal(new Set(containers.map(({ name }) => name)).size, 200)
  await Promise.all(containers.map((container) => container.remove()))
  const taken = await Promise.allSettled(
    Array.from({ length: 8 }, () => runtime.run({ ...sleeper, name: 'raced', command: ['sleep', '100'] })),
  )
  t.equal(taken.filter(({ status }) => status === 'fulfilled').length, 1, 'a name that is asked for goes to one')
  for (const result of taken) if (result.status === 'rejected') t.match(result.reason, { code: 'NAME_IN_USE' })
  t.match(await runtime.containers.list({ name: 'raced' }), [{ status: 'running' }])
  await (await runtime.containers.get('raced')).remove({ force: true })
})

t.test('the last to close a root leaves no cgroup', async (t) => {
  const { existsSync, mkdtempSync, readdirSync, rmSync } = await import('node:fs')
  const root = mkdtempSync('/tmp/podling-spec-')
  t.teardown(() => {
    rmSync(root, { recursive: true })
  })
  const other = await Runtime.open({ root })
  const { parent } = (await other.info()).cgroup
  const places = () =>
    ['', ...readdirSync('/sys/fs/cgroup')]
      .map((name) => `/sys/fs/cgroup/${name}${parent}`)
      .filter((path) => existsSync(path))
  t.not(places().length, 0, 'there was one')
  await other.close()
  t.strictSame(places(), [])
})
