import t from 'tap'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const quiet = { image, network: 'none' as const }

/** Run a script, to the line `up` of its output. */
async function started(script: string, options: object = {}) {
  const container = await runtime.run({ ...quiet, command: ['sh', '-c', script], ...options })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  return container
}

t.test('what a container uses, once', async (t) => {
  await using container = await started(
    'dd if=/dev/zero of=/data/file bs=1M count=4 oflag=direct; echo up; while :; do :; done',
    { memory: '64m', pidsLimit: 20, cpus: 0.1, volumes: ['/data'] },
  )
  const first = await container.stats()
  t.match(first, {
    id: container.id,
    name: container.name,
    time: Date,
    memory: { limit: 64 * 2 ** 20, oomKills: 0 },
    pids: { limit: 20 },
    network: [{ name: 'lo', receivedBytes: 0 }],
  })
  t.ok(first.pids!.current >= 1 && first.pids!.current <= 2)
  t.ok(first.memory!.usage > 0 && first.memory!.usage >= first.memory!.workingSet)
  t.ok(first.memory!.percent > 0 && first.memory!.percent < 100)
  t.ok(first.io!.writeBytes >= 4 * 2 ** 20, `${String(first.io!.writeBytes)} bytes written`)
  if (existsSync('/proc/pressure/cpu'))
    t.match(first.pressure, { cpu: { some: { total: Number } }, io: {}, memory: {} })
  let later = await container.stats()
  while (later.cpu.throttledTime === 0) {
    await sleep(20)
    later = await container.stats()
  }
  t.ok(later.cpu.usage > first.cpu.usage, 'processor time goes on')
  t.ok(later.cpu.throttledPeriods > 0, 'what a tenth of a processor makes it wait is told apart')
  t.ok(later.cpu.percent > 0)
})

t.test('cache is told apart', async (t) => {
  await using container = await started('dd if=/dev/zero of=/root/file bs=1M count=16; echo up; exec sleep 100')
  const { memory } = await container.stats()
  t.ok(memory!.cache >= 16 * 2 ** 20, `${String(memory!.cache)} bytes of cache`)
  t.ok(memory!.usage - memory!.cache < 16 * 2 ** 20)
})

t.test('a stream ends with its container', async (t) => {
  await using container = await started('echo up; while :; do :; done', { cpus: 0.1 })
  const samples = []
  // Longer than a period of its quota (100 ms), in which it may not run at all.
  for await (const sample of container.stats({ stream: true, interval: '250ms' })) {
    samples.push(sample)
    if (samples.length === 3) await container.kill()
  }
  t.equal(samples.length, 3)
  t.ok(samples[2]!.cpu.percent > 1, 'since the sample before')
  t.ok(samples[2]!.cpu.usage > samples[1]!.cpu.usage)
  await container.wait()
  await t.rejects(container.stats(), { code: 'INVALID_STATE' })
  await t.rejects(container.stats({ stream: true }).next(), { code: 'INVALID_STATE' })
})

t.test('a stream is ended by its signal', async (t) => {
  await using container = await started('echo up; exec sleep 100')
  const controller = new AbortController()
  let samples = 0
  for await (const _ of container.stats({ stream: true, interval: '1h', signal: controller.signal })) {
    samples++
    setTimeout(() => {
      controller.abort()
    }, 10)
  }
  t.equal(samples, 1)
})

t.test('a signal of the one who reads ends it before another sample is waited for', async (t) => {
  await using container = await started('echo up; exec sleep 100')
  const controller = new AbortController()
  let samples = 0
  for await (const _ of container.stats({ stream: true, interval: '1h', signal: controller.signal })) {
    samples++
    controller.abort()
  }
  t.equal(samples, 1)
  const all = new AbortController()
  for await (const _ of runtime.stats({ stream: true, interval: '1h', signal: all.signal })) {
    samples++
    all.abort()
  }
  t.equal(samples, 2)
})

t.test('what goes over its links', async (t) => {
  await using container = await started(
    'httpd -p 8080 -h /bin; wget -q -O /dev/null http://127.0.0.1:8080/busybox; echo up; exec sleep 100',
  )
  const [lo] = (await container.stats()).network!
  t.ok(lo!.receivedBytes > 1_000_000, `${String(lo!.receivedBytes)} bytes`)
  t.equal(lo!.receivedBytes, lo!.sentBytes)
  t.match(
    readFileSync(`/proc/${String(container.pid)}/net/dev`, 'latin1'),
    new RegExp(`lo: +${String(lo!.receivedBytes)} `),
  )
  await using hosts = await started('echo up; exec sleep 100', { network: 'host' })
  t.equal((await hosts.stats()).network, undefined, "the host's links are not its own")
})

t.test('of all that run', async (t) => {
  await using one = await started('echo up; exec sleep 100')
  await using two = await started('echo up; exec sleep 100')
  await using idle = await runtime.containers.create({ ...quiet, command: ['true'] })
  t.strictSame(
    (await runtime.stats()).map(({ id }) => id),
    [one.id, two.id],
    `without ${idle.name}, which doesn't run`,
  )
  await two.pause()
  const rounds = []
  for await (const round of runtime.containers.stats({ stream: true, interval: 10 })) {
    rounds.push(round.map(({ id }) => id))
    if (rounds.length === 1) await one.kill()
    if (rounds.length > 1 && round.length === 1) break
  }
  t.strictSame(rounds.at(-1), [two.id], 'one that is paused is there, one that has ended is not')
})

t.test('what stays open for it from one sample to the next is closed at its end', async (t) => {
  await using container = await started('echo up; exec sleep 100')
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes(container.id)
      } catch {
        return false // that of the directory itself
      }
    }).length
  const before = open()
  await container.stats()
  await container.stats()
  t.ok(open() > before)
  await container.restart({ timeout: 0 })
  for (let i = 0; i < 2; i++) t.equal((await container.stats()).pids!.current, 1, 'of the cgroups that it has by now')
  await container.stop({ timeout: 0 })
  t.ok(open() <= before)
})

t.test('wrong options', async (t) => {
  await using container = await started('echo up; exec sleep 100')
  await t.rejects(container.stats({ stream: true, interval: 'often' }).next(), {
    code: 'INVALID_OPTION',
    message: /interval/,
  })
  await t.rejects(container.stats({ stream: true, interval: 0 }).next(), { code: 'INVALID_OPTION' })
  await t.rejects(async () => runtime.stats({ interwall: 1 } as never), {
    code: 'INVALID_OPTION',
    message: /did you mean interval/,
  })
})

t.test('its processes', async (t) => {
  await using container = await started('sleep 1000 & setsid nc -l -p 9000 & echo up; wait', { user: 'app:staff' })
  const processes = async () => (await container.top()).filter(({ args }) => args !== 'sh')
  while ((await processes()).length < 3 || (await processes()).some(({ args }) => args.startsWith('setsid')))
    await sleep(20)
  const rows = await container.top()
  t.match(rows[0], { user: 'app', pid: 1, ppid: 0, tty: '?', args: /^sh -c sleep 1000/ })
  t.match(
    rows.map(({ args, ppid }) => [args, ppid]),
    [[], ['sleep 1000', 1], ['nc -l -p 9000', 1]],
  )
  t.ok(rows.every(({ pcpu, etime, time }) => pcpu >= 0 && etime >= 0 && time >= 0))
  const [first] = await container.top([
    'hpid',
    'group',
    'huser',
    'state',
    'seccomp',
    'capeff',
    'capbnd',
    'comm',
    'stime',
    'vsz',
  ])
  t.match(first, { hpid: container.pid, group: 'staff', state: /^[RSD]$/, seccomp: 'filter', comm: 'sh', vsz: Number })
  t.strictSame(first!.capeff, [])
  t.ok(first!.capbnd.includes('CAP_CHOWN'))
  t.ok(Math.abs(Date.now() - first!.stime.getTime()) < 60_000)
  t.strictSame(Object.keys((await container.top(['pid']))[0]!), ['pid'])
  await t.rejects(container.top(['pidd' as 'pid']), { code: 'INVALID_OPTION', message: /did you mean pid/ })
  await container.pause()
  t.equal((await container.top(['pid'])).length, rows.length, 'paused ones too')
  await container.stop({ timeout: 0 })
  await t.rejects(container.top(), { code: 'INVALID_STATE' })
})

t.test("names of users are the container's own business, and lead nowhere", async (t) => {
  const name = async (script: string) => {
    await using container = await started(`${script}; echo up; exec sleep 100`)
    return (await container.top(['user']))[0]!.user
  }
  t.equal(await name('echo "boss:x:0:0::/:" >/etc/passwd'), 'boss')
  t.equal(
    await name('rm /etc/passwd; ln -s /proc/1/root/../../../etc/passwd /etc/passwd'),
    '0',
    'not through a link of procfs',
  )
  t.equal(await name('rm /etc/passwd; mkdir /etc/passwd'), '0')
  t.equal(await name('rm /etc/passwd; mknod /etc/passwd p'), '0', 'a FIFO makes nobody wait')
})
