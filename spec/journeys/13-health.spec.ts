/** Health checks: what is healthy, when it is checked, and what of it is seen. */
import { readFileSync, statSync } from 'node:fs'
import t from 'tap'
import type { Container, ContainerOptions, RuntimeEvent } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const common = { image, network: 'none', command: ['sleep', '86413'] } as const satisfies ContainerOptions

async function checks(container: Container, count: number): Promise<void> {
  await within(
    20_000,
    async () => container.inspect().health?.log.length ?? 0,
    (done) => done >= count,
  )
}

/** Processes of the container, by the command of each. */
async function commands(container: Container): Promise<string[]> {
  return (await container.top(['args'])).map(({ args }) => args)
}

t.test('a command: healthy, unhealthy after so many failures, and healthy again', async (t) => {
  await using container = await runtime.run({
    ...common,
    health: { command: 'echo looking; echo twice >&2; test ! -e /sick', interval: 50, retries: 2 },
    ready: { healthy: true },
  })
  const told: string[] = []
  container.on('health', (status) => told.push(status))
  t.match(container.inspect().health, {
    status: 'healthy',
    failingStreak: 0,
    log: [{ exitCode: 0, output: 'looking\ntwice\n' }],
  })
  await container.exec(['touch', '/sick'])
  await container.wait({ condition: 'unhealthy' })
  const health = container.inspect().health!
  t.ok(health.failingStreak >= 2)
  t.match(health.log.at(-1), { exitCode: 1 })
  t.strictSame(
    (await runtime.containers.list({ health: 'unhealthy' })).map(({ id }) => id),
    [container.id],
  )
  t.strictSame(await runtime.containers.list({ health: 'healthy' }), [])
  await container.exec(['rm', '/sick'])
  await container.wait({ condition: 'healthy' })
  await checks(container, 5)
  t.equal(container.inspect().health?.log.length, 5, 'no more than the last ones')
  t.strictSame(told, ['unhealthy', 'healthy'])
  const events: RuntimeEvent[] = []
  const filters = { container: container.id, action: 'health_status' } as const
  for await (const event of runtime.events({ follow: false, filters })) events.push(event)
  t.strictSame(
    events.map(({ health: status }) => status),
    ['healthy', 'unhealthy', 'healthy'],
  )
  await container.stop({ timeout: 0 })
  t.match(container.inspect().health, { status: 'healthy' }, 'what it was at its end is known')
})

t.test('by itself', async (t) => {
  await using container = await runtime.run({
    ...common,
    user: 'app',
    env: { WORD: 'said' },
    workdir: '/tmp',
    health: { command: ['sh', '-c', 'echo $WORD $(id -un) $HOME $PWD; exit 3'], interval: '1h' },
  })
  await checks(container, 1)
  t.match(container.inspect().health, {
    status: 'starting',
    failingStreak: 1,
    log: [{ exitCode: 3, output: 'said app /home/app /tmp\n' }],
  })
  const result = await container.healthcheck()
  t.match(result, { exitCode: 3 })
  t.ok(result.end >= result.start)
  await Promise.all([container.healthcheck(), container.healthcheck()])
  t.match(container.inspect().health, { status: 'unhealthy', failingStreak: 4 })
})

t.test('ports and HTTP, without any program for that in the container', async (t) => {
  const serve = 'mkdir /www; echo fine >/www/health; httpd -p 80 -h /www; exec sleep 86413'
  for (const [health, exitCode, output] of [
    [{ tcp: 80 }, 0, /connected to port 80/],
    [{ tcp: 81 }, 1, /port 81: Connection refused/],
    [{ http: '/health' }, 0, /^HTTP\/1.* 200 OK$/m],
    [{ http: '/other' }, 1, /404/],
    [{ http: '/health', port: 81 }, 1, /refused/],
  ] as const) {
    await using container = await runtime.run({
      ...common,
      command: ['sh', '-c', serve],
      health: { ...health, interval: '1h' },
      ready: { port: 80 },
    })
    const result = await container.healthcheck()
    t.equal(result.exitCode, exitCode, JSON.stringify(health))
    t.match(result.output, output)
  }
})

t.test('failures in the start period are excused until it has been healthy', async (t) => {
  await using container = await runtime.run({
    ...common,
    health: { command: 'test -e /up', interval: '1h', startInterval: 20, startPeriod: '1h', retries: 1 },
  })
  await checks(container, 3)
  t.match(container.inspect().health, { status: 'starting', failingStreak: 0 })
  await container.exec(['touch', '/up'])
  await container.wait({ condition: 'healthy' })
  await container.exec(['rm', '/up'])
  await container.healthcheck()
  t.match(container.inspect().health, { status: 'unhealthy', failingStreak: 1 })
})

t.test('a check that goes wrong', async (t) => {
  const check = (command: string[] | string): Promise<Container> =>
    runtime.run({ ...common, health: { command, interval: '1h', timeout: '2s', retries: 1 } })
  await t.test('hangs, with children that left its session and closed their streams', async (t) => {
    await using container = await check(
      'echo so far; setsid sleep 86412 <&- >&- 2>&- & trap "" TERM HUP; sleep 86411; exit 0',
    )
    await container.wait({ condition: 'unhealthy' })
    t.match(container.inspect().health?.log, [{ exitCode: -1, output: /^so far\n\ntimed out after 2000 ms/ }])
    t.strictSame(
      await within(
        5000,
        () => commands(container),
        (found) => found.length === 1,
      ),
      ['sleep 86413'],
    )
  })
  await t.test('forks away', async (t) => {
    await using container = await check('setsid sleep 86412 & setsid setsid sleep 86411 & exit 0')
    await container.wait({ condition: 'healthy' })
    t.strictSame(
      await within(
        5000,
        () => commands(container),
        (found) => found.length === 1,
      ),
      ['sleep 86413'],
    )
  })
  await t.test('writes 10 MB', async (t) => {
    await using container = await check('echo begin; yes ä | head -c 10000000; exit 0')
    await container.wait({ condition: 'healthy' })
    const [result] = container.inspect().health!.log
    t.equal(result!.exitCode, 0)
    t.ok(Buffer.byteLength(result!.output) <= 500)
    t.match(result!.output, /^begin\n(ä\n)+ä?$/)
  })
  await t.test('closes its streams', async (t) => {
    await using container = await check('exec >&- 2>&-; sleep 0.1; exit 5')
    await container.wait({ condition: 'unhealthy' })
    t.match(container.inspect().health?.log, [{ exitCode: 5, output: '' }])
  })
  await t.test("isn't there", async (t) => {
    await using container = await check(['/no/such/program'])
    await container.wait({ condition: 'unhealthy' })
    t.match(container.inspect().health?.log, [{ exitCode: 127, output: 'execve: No such file or directory' }])
  })
})

t.test('the container ends during a check', async (t) => {
  await using container = await runtime.run({
    ...common,
    health: { command: 'touch /checking; sleep 86412', interval: '1h' },
  })
  await within(
    5000,
    async () => (await container.exec(['ls', '/checking'])).exitCode,
    (code) => code === 0,
  )
  const asked = container.healthcheck()
  asked.catch(() => undefined)
  const pid = container.pid!
  await container.stop({ timeout: 0 })
  await t.rejects(asked, { code: 'INVALID_STATE' })
  t.throws(() => readFileSync(`/proc/${String(pid)}/stat`))
  t.match(container.inspect().health, { status: 'starting', log: [] })
})

t.test('a host that is busy with something else for many checks is not taken for dead', async (t) => {
  await using container = await runtime.run({
    ...common,
    health: { command: 'echo >>/dev/shm/checks; test ! -e /dev/shm/sick', interval: 1, retries: 1 },
  })
  await container.wait({ condition: 'healthy' })
  const checks = `/proc/${String(container.pid)}/root/dev/shm/checks`
  const end = statSync(checks).size + 100
  const here = new Int32Array(new SharedArrayBuffer(4))
  // Nothing else happens in this process meanwhile.
  while (statSync(checks).size < end) Atomics.wait(here, 0, 0, 10)
  t.equal((await container.exec(['touch', '/dev/shm/sick'])).exitCode, 0, 'it lives')
  await container.wait({ condition: 'unhealthy' })
  t.match(await container.healthcheck(), { exitCode: 1 }, 'and tells what there is to tell')
})

t.test('paused: nothing is checked', async (t) => {
  await using container = await runtime.run({ ...common, health: { command: 'true', interval: 20 } })
  await container.wait({ condition: 'healthy' })
  await container.pause()
  const paused = new Date()
  await new Promise((resolve) => setTimeout(resolve, 300))
  // What ended as the last before the freeze may be told of only now.
  t.ok(container.inspect().health!.log.at(-1)!.start <= paused)
  await t.rejects(container.healthcheck(), { code: 'INVALID_STATE' })
  await container.unpause()
  const after = await within(
    20_000,
    async () => container.inspect().health!.log.at(-1)!,
    ({ start }) => start > paused,
  )
  t.ok(after.start > paused, 'and then goes on')
})

t.test('what follows', async (t) => {
  // Until it is well for the first time, what is not there yet doesn't count.
  const sick = { command: 'test -e /well', interval: 30, startInterval: 30, startPeriod: '1h', retries: 2 } as const
  const polite = ['sh', '-c', 'echo run >>/runs; trap "exit 5" USR1; touch /well; while :; do sleep 0.02; done']
  const options = { ...common, command: polite, stopSignal: 'SIGUSR1', ready: { healthy: true } } as const
  for (const [onFailure, exitCode] of [
    ['kill', 137],
    ['stop', 5],
  ] as const) {
    await using container = await runtime.run({ ...options, health: { ...sick, onFailure } })
    await container.exec(['rm', '/well'])
    t.match(await container.wait(), { exitCode, stoppedByUser: false }, onFailure)
    t.match(container.inspect().health, { status: 'unhealthy', failingStreak: 2 })
  }
  await using again = await runtime.run({ ...options, health: { ...sick, onFailure: 'restart' } })
  const told: string[] = []
  again.on('health', (status) => told.push(status))
  again.on('restarting', ({ exitCode }) => told.push(`exit ${String(exitCode)}`))
  await again.exec(['rm', '/well'])
  await within(
    30_000,
    async () => told.length,
    (count) => count >= 4,
  )
  t.strictSame(told, ['unhealthy', 'exit 5', 'starting', 'healthy'])
  t.equal(again.restartCount, 1)
  t.match(await again.exec(['cat', '/runs']), { stdout: 'run\nrun\n' })
  await again.kill()
  t.match(await again.wait(), { exitCode: 137 }, 'and only for that')
})

t.test("the image's HEALTHCHECK", async (t) => {
  const { busyboxRootfs } = await import('../fixtures/runtime.js')
  const make = async (test: string[]) =>
    runtime.images.import(await busyboxRootfs(), { config: { healthcheck: { test, interval: 3_600_000, retries: 7 } } })
  const sick = await make(['CMD-SHELL', 'echo $((1 + 1)); exit 1'])
  await using plain = await runtime.run({ ...common, image: sick })
  await checks(plain, 1)
  t.match(plain.inspect().health, { status: 'starting', log: [{ exitCode: 1, output: '2\n' }] })
  await using stricter = await runtime.run({ ...common, image: sick, health: { retries: 1 } })
  await stricter.wait({ condition: 'unhealthy' })
  for (const health of ['none', false] as const) {
    await using off = await runtime.run({ ...common, image: sick, health })
    t.equal(off.inspect().health, undefined)
    await t.rejects(off.healthcheck(), { code: 'INVALID_STATE', message: /no health check/ })
    await t.rejects(off.wait({ condition: 'healthy' }), { code: 'INVALID_STATE' })
  }
  await using none = await runtime.run({ ...common, image: await make(['NONE']) })
  t.equal(none.inspect().health, undefined)
  await t.rejects(runtime.run({ ...common, health: { interval: 5 } }), {
    code: 'INVALID_OPTION',
    message: /health: must have one of/,
  })
  await t.rejects(runtime.run({ ...common, ready: { healthy: true } }), { code: 'INVALID_OPTION', message: /ready/ })
})

t.test('the check of a container goes into the image that is made of it', async (t) => {
  const committed = async (health: NonNullable<ContainerOptions['health']>) => {
    await using container = await runtime.containers.create({ ...common, health })
    return (await container.commit()).config.healthcheck
  }
  t.strictSame(await committed({ command: 'true', interval: '2m', retries: 7 }), {
    test: ['CMD', '/bin/sh', '-c', 'true'],
    interval: 120_000,
    retries: 7,
  })
  t.strictSame(await committed(false), { test: ['NONE'] })
  t.equal(await committed({ tcp: 80 }), undefined, 'an image has no words for this one')
})

t.test('ready: it never is', async (t) => {
  const health = { command: 'echo no database; exit 1', interval: 20 }
  await t.rejects(runtime.run({ ...common, health, ready: { healthy: true, timeout: 500 } }), {
    code: 'READY_TIMEOUT',
    message: /successful health check.*no database/s,
  })
})
