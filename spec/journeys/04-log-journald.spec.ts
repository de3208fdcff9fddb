/** Logs in a real journal: what is in it, what comes back, and what becomes of it while journald is away. */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Container, LogLine, LogOptions } from 'podling'
import { Journald, prepareJournal } from '../fixtures/journald.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const { skip } = needs('root', 'systemd')
if (skip !== undefined) t.test('journald', { skip }, () => undefined)
else if (inOwnNetwork(import.meta.url, { mounts: true })) await body()

async function body(): Promise<void> {
  prepareJournal()
  let journald = await Journald.start()
  t.teardown(() => journald.end())
  const setup = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { runtime, image } = setup
  const sh = (script: string) => ({
    ...{ image, command: ['sh', '-c', script], network: 'none' as const, logDriver: 'journald' as const },
  })
  const lines = async (container: Container, options: LogOptions = {}) => {
    const found: LogLine[] = []
    for await (const line of container.logs(options)) found.push(line)
    return found
  }
  const texts = async (container: Container, options: LogOptions = {}) =>
    (await lines(container, options)).map(({ text }) => text)

  t.test('an entry has the fields that Podman and Docker give it', async (t) => {
    const logOptions = { tag: 'container_{{.Name}}' }
    await using container = await runtime.run({ ...sh('echo out; echo err >&2; printf half'), name: 'jo', logOptions })
    await container.wait()
    t.equal((await texts(container)).length, 3)
    const args = ['-o', 'json', '--no-pager', `CONTAINER_ID_FULL=${container.id}`]
    const entries = execFileSync('journalctl', args, { encoding: 'utf8' }).trimEnd().split('\n')
    const fields = entries
      .map((entry) => JSON.parse(entry) as Record<string, string>)
      .map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => !name.startsWith('_'))))
    const common = {
      CONTAINER_ID: container.id.slice(0, 12),
      CONTAINER_ID_FULL: container.id,
      CONTAINER_NAME: 'jo',
      CONTAINER_TAG: 'container_jo',
      IMAGE_NAME: container.image!.name,
      SYSLOG_IDENTIFIER: 'container_jo',
    }
    t.strictSame(
      fields.sort((a, b) => (a['MESSAGE']! < b['MESSAGE']! ? -1 : 1)),
      [
        { ...common, PRIORITY: '3', MESSAGE: 'err' },
        { ...common, PRIORITY: '6', MESSAGE: 'half', CONTAINER_PARTIAL_MESSAGE: 'true' },
        { ...common, PRIORITY: '6', MESSAGE: 'out' },
      ],
    )
    t.equal(container.inspect().logPath, undefined)
  })

  t.test('what comes back is what went in', async (t) => {
    const script =
      'echo a; echo b >&2; while [ ! -e /dev/shm/go ]; do sleep 0.01; done; printf "\\377\\000c\\n"; echo; head -c 1000000 /dev/zero | tr "\\0" x; echo; echo end >&2'
    await using container = await runtime.run(sh(script))
    const begun: Date[] = []
    for await (const { time } of container.logs({ follow: true })) if (begun.push(time) === 2) break
    // By the clock of both: what is told from here on is later, and what was told is earlier.
    const since = new Date(Math.max(...begun.map(Number)) + 1)
    while (Date.now() <= Number(since)) await sleep(1)
    await container.exec(['touch', '/dev/shm/go'])
    await container.wait()
    const all = await lines(container, { stream: 'stdout', bytes: true })
    t.strictSame(
      all.map(({ text }) => text),
      ['a', '\ufffd\0c', '', 'x'.repeat(1_000_000)],
    )
    t.strictSame([...all[1]!.bytes!], [0xff, 0, 0x63])
    t.strictSame(await texts(container, { stream: 'stderr' }), ['b', 'end'])
    t.strictSame(await texts(container, { stream: 'stderr', tail: 1 }), ['end'])
    t.strictSame(
      (await lines(container, { tail: 2, stream: 'stdout' })).map(({ text }) => text.length),
      [0, 1_000_000],
    )
    t.strictSame(await texts(container, { since, stream: 'stderr' }), ['end'])
    t.strictSame(await texts(container, { until: since, stream: 'stderr' }), ['b'])
    t.match((await texts(container, { timestamps: true }))[0], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 a$/)
  })

  t.test('a follower sees all to the last line', async (t) => {
    await using container = await runtime.run(sh('echo 0; while [ ! -e /dev/shm/go ]; do sleep 0.01; done; seq 1 3000'))
    let next = 0
    for await (const { text } of container.logs({ follow: true })) {
      if (text !== String(next)) t.fail(`${text} in the place of ${String(next)}`)
      if (next++ === 0) await container.exec(['touch', '/dev/shm/go'])
    }
    t.equal(next, 3001)
    t.equal((await container.wait()).lostLogLines, 0)
  })

  t.test('a journald that dies costs lines, and is found again', async (t) => {
    const script =
      'echo before; for i in 1 2 3; do while [ ! -e /dev/shm/$i ]; do sleep 0.01; done; echo $i; done; sleep 1000'
    await using container = await runtime.run(sh(script))
    while ((await texts(container)).length < 1) await sleep(10)
    const lost = new Promise((resolve) => container.once('logLost', resolve))
    await journald.end()
    await container.exec(['touch', '/dev/shm/1'])
    t.equal(await lost, 1, 'its lines are counted')
    journald = await Journald.start()
    await container.exec(['touch', '/dev/shm/2', '/dev/shm/3'])
    for await (const { text } of container.logs({ follow: true })) if (text === '3') break
    t.strictSame(await texts(container), ['before', '2', '3'])
    t.equal(container.inspect().state.lostLogLines, 1)
    await container.kill()
    t.equal((await container.wait()).lostLogLines, 1)
  })

  t.test('a journald that hangs holds up neither the container nor its end', async (t) => {
    journald.kill('SIGSTOP')
    try {
      await using container = await runtime.run(sh('seq 1 20000; touch /dev/shm/done; sleep 1000'))
      while ((await container.exec(['test', '-e', '/dev/shm/done'])).exitCode !== 0) await sleep(20)
      await container.kill()
      t.ok((await container.wait()).lostLogLines > 0)
    } finally {
      journald.kill('SIGCONT')
    }
  })

  t.test('without a journald from the start, it stops where it must', async (t) => {
    await journald.end()
    await using container = await runtime.run({ ...sh('echo unheard; sleep 1000'), logOnFull: 'stop' })
    t.match(await container.wait(), { signal: 'SIGKILL', lostLogLines: 1 })
    journald = await Journald.start()
    t.strictSame(await texts(container), [])
  })
}
