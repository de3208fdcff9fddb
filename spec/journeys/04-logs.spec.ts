import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const sh = (script: string) => ({ image, command: ['sh', '-c', script], network: 'none' as const })

t.test('follow from before the first line to after the last', async (t) => {
  await using container = await runtime.run(sh('for n in 1 2 3 4 5; do echo $n; sleep 0.02; done; printf unfinished'))
  const seen: string[] = []
  const before = Date.now()
  for await (const { text, time } of container.logs({ follow: true })) {
    seen.push(text)
    t.ok(Math.abs(time.getTime() - before) < 10_000)
  }
  t.strictSame(seen, ['1', '2', '3', '4', '5', 'unfinished'], 'a last line without its newline is kept')
  t.equal((await container.wait()).exitCode, 0)
})

t.test('nothing of a fast and large log is lost or reordered', async (t) => {
  await using container = await runtime.run(sh('seq 1 300000 & seq 1 100000 >&2; wait'))
  const next = { stdout: 1, stderr: 1 }
  let wrong = 0
  for await (const { stream, text } of container.logs({ follow: true })) if (text !== String(next[stream]++)) wrong++
  t.strictSame([next.stdout, next.stderr, wrong], [300_001, 100_001, 0])
})

t.test('lines of a megabyte, binary output, empty lines', async (t) => {
  await using container = await runtime.run(
    sh('head -c 900000 /dev/zero | tr "\\0" x; echo; echo; printf "\\377\\376\\n"'),
  )
  await container.wait()
  const lines = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['x'.repeat(900_000), '', '\ufffd\ufffd'])
})

t.test('tail, since and one stream', async (t) => {
  const script = 'echo a; echo b >&2; while [ ! -e /dev/shm/go ]; do sleep 0.01; done; echo c; echo d >&2'
  await using container = await runtime.run(sh(script))
  const seen: Date[] = []
  for await (const { time } of container.logs({ follow: true })) if (seen.push(time) === 2) break
  // By the clock of both: what is told from here on is later, and what was told is earlier.
  const since = new Date(Math.max(...seen.map(Number)) + 1)
  while (Date.now() <= Number(since)) await delay(1)
  await container.exec(['touch', '/dev/shm/go'])
  await container.wait()
  const texts = async (options: Parameters<typeof container.logs>[0]) => {
    const lines = []
    for await (const line of container.logs(options)) lines.push(line)
    return lines
  }
  t.strictSame((await texts({ tail: 2 })).map(({ text }) => text).sort(), ['c', 'd'])
  t.strictSame(
    (await texts({ stream: 'stderr' })).map(({ text }) => text),
    ['b', 'd'],
  )
  t.strictSame((await texts({ since })).map(({ text }) => text).sort(), ['c', 'd'])
})

t.test('logDriver none keeps nothing', async (t) => {
  await using container = await runtime.run({ ...sh('echo a'), logDriver: 'none' })
  await container.wait()
  for await (const _ of container.logs({ follow: true })) t.fail('no line is kept')
  t.equal(container.inspect().logPath, undefined)
})

t.test('a process that floods is slowed, and the host stays small', async (t) => {
  await using container = await runtime.run(sh('yes 0123456789012345678901234567890123456789 | head -c 20500000'))
  global.gc?.()
  const before = process.memoryUsage().rss
  let lines = 0
  for await (const _ of container.logs({ follow: true })) lines++
  t.equal(lines, 500_000)
  t.ok(process.memoryUsage().rss - before < 150e6)
})
