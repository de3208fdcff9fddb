import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const container = await runtime.run({
  image,
  command: ['sleep', '1000'],
  network: 'none',
  env: { OWN: 'yes' },
  workdir: '/etc',
})

t.test('a command and what it gave', async (t) => {
  t.strictSame(await container.exec(['sh', '-c', 'echo out; echo err >&2; exit 4']), {
    exitCode: 4,
    stdout: 'out\n',
    stderr: 'err\n',
  })
})

t.test('it lives in the container, with its environment, directory and limits of rights', async (t) => {
  const { stdout } = await container.exec(
    [
      'sh',
      '-c',
      'echo $OWN $NEW; pwd; hostname; grep -E "^(CapEff|Seccomp):" /proc/self/status | tr -s "\\t" " "; (readlink /proc/1/ns/pid; readlink /proc/self/ns/pid) | sort -u | wc -l',
    ],
    { env: { NEW: 'too' } },
  )
  t.strictSame(stdout.trim().split('\n'), [
    'yes too',
    '/etc',
    container.id.slice(0, 12),
    'CapEff: 00000000800405fb',
    'Seccomp: 2',
    '1',
  ])
  t.equal(
    (await container.exec(['cat', '/proc/self/cgroup'])).stdout,
    (await container.exec(['cat', '/proc/1/cgroup'])).stdout,
  )
})

t.test('another user, another directory, more rights', async (t) => {
  t.equal(
    (await container.exec(['sh', '-c', 'id -u; id -G; echo $HOME; pwd'], { user: 'app', workdir: '/tmp' })).stdout,
    '1000\n1000 50\n/home/app\n/tmp\n',
  )
  t.match(
    (await container.exec(['grep', 'CapEff', '/proc/self/status'], { privileged: true })).stdout,
    /000001ff|000003ff/,
  )
})

t.test('only the three standard descriptors', async (t) => {
  const { stdout } = await container.exec(['ls', '/proc/self/fd'])
  t.strictSame(stdout.trim().split('\n'), ['0', '1', '2', '3'], 'and the one that ls has open on the directory')
})

t.test('input from a string and from a stream', async (t) => {
  t.equal((await container.exec(['cat'], { stdin: 'text' })).stdout, 'text')
  const big = Buffer.alloc(3_000_000, 'abc')
  const { stdout } = await container.exec(['sha256sum'], { stdin: Readable.from([big]) })
  t.equal(stdout.split(' ')[0], createHash('sha256').update(big).digest('hex'))
  t.equal((await container.exec(['true'], { stdin: big })).exitCode, 0, 'input that is not read is no failure')
  t.equal((await container.exec(['cat'])).stdout, '', 'without input it is at the end of the file')
})

t.test('a command that cannot run', async (t) => {
  await t.rejects(container.exec(['no-such-command']), { code: 'COMMAND_NOT_FOUND', message: /no-such-command/ })
  await t.rejects(container.exec(['/bin/not-executable']), { code: 'COMMAND_NOT_EXECUTABLE' })
  await t.rejects(container.exec(['true'], { user: 'ghost' }), { code: 'USER_NOT_FOUND', message: /ghost/ })
  await t.rejects(container.exec(['true'], { workdir: '/etc/passwd' }), { code: 'WORKDIR_INVALID' })
  await t.rejects(container.exec([]), { code: 'INVALID_OPTION' })
  t.equal(container.status, 'running')
})

t.test('all of a large output arrives, in order', async (t) => {
  const process = await container.spawn(['sh', '-c', 'seq 1 2000000'])
  const hash = createHash('sha256')
  for await (const chunk of process.stdout) hash.update(chunk as Buffer)
  t.match(await process.exited, { exitCode: 0 })
  const expected = createHash('sha256')
  for (let n = 1; n <= 2_000_000; n++) expected.update(`${String(n)}\n`)
  t.equal(hash.digest('hex'), expected.digest('hex'))
})

t.test('a slow reader slows the writer', async (t) => {
  await using process = await container.spawn(['sh', '-c', 'yes | head -c 50000000; echo done >&2'])
  let done = false
  process.stderr.on('data', () => (done = true))
  const iterator = process.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  await iterator.next()
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(done, false, 'it waits')
  t.ok(process.stdout.readableLength < 1_000_000, 'and the host keeps little')
})

t.test('a conversation', async (t) => {
  await using process = await container.spawn(['sh', '-c', 'while read line; do echo "got $line"; done; exit 9'])
  const answers = process.stdout.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>
  process.stdin.write('one\n')
  t.equal((await answers.next()).value, 'got one\n')
  process.stdin.write('two\n')
  t.equal((await answers.next()).value, 'got two\n')
  process.stdin.end()
  t.match(await process.exited, { exitCode: 9 })
})

t.test('kill, abort, and too much output', async (t) => {
  const process = await container.spawn(['sleep', '1000'])
  await process.kill('SIGTERM')
  t.match(await process.exited, { exitCode: 143, signal: 'SIGTERM' })
  const controller = new AbortController()
  const running = container.exec(['sleep', '1000'], { signal: controller.signal })
  setTimeout(() => {
    controller.abort()
  }, 50)
  await t.rejects(running, { code: 'ABORTED' })
  await t.rejects(container.exec(['true'], { signal: controller.signal }), { code: 'ABORTED' })
  await t.rejects(container.exec(['yes'], { maxOutput: 100_000 }), { code: 'OUTPUT_TOO_LARGE', message: /maxOutput/ })
  t.equal(
    (await container.exec(['sh', '-c', 'ps | grep -cE "(sleep 1000|yes)$"'])).stdout,
    '1\n',
    "only the container's own is left",
  )
})

t.test('what goes on in the background does not hold the result', async (t) => {
  const { stdout } = await container.exec(['sh', '-c', 'sleep 30 & echo started'])
  t.equal(stdout, 'started\n')
})

t.test('many at once', async (t) => {
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, n) => container.exec(['sh', '-c', `echo ${String(n)}`])),
  )
  t.strictSame(
    results.map(({ stdout }) => stdout.trim()),
    Array.from({ length: 64 }, (_, n) => String(n)),
  )
})

t.test('when the container ends, so do its processes', async (t) => {
  await using other = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  const running = await other.spawn(['sleep', '1000'])
  await other.kill('SIGKILL')
  t.match(await running.exited, { exitCode: 137, signal: 'SIGKILL' })
})
