/** Those who are attached to a container: what they get, what they give, and how they leave. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image, root } = setup
const attacher = fileURLToPath(new URL('../fixtures/attacher.js', import.meta.url))

const run = (command: readonly string[], more: Partial<ContainerOptions> = {}) =>
  runtime.run({ image, network: 'none', command, stdin: true, ...more })

async function hashOf(stream: Readable): Promise<{ hash: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { hash: hash.digest('hex'), bytes }
}

t.test('all from then on, nothing of before, streams apart', async (t) => {
  await using container = await run(
    ['sh', '-c', 'echo before; while read line; do echo "out $line"; echo "err $line" >&2; done'],
    {
      ready: { log: 'before' },
    },
  )
  const first = await container.attach()
  const [out, err] = [watchScreen(first.stdout), watchScreen(first.stderr)]
  first.stdin.write('one\n')
  await out.sees(/out one\n/)
  const second = await container.attach()
  const [out2, err2] = [watchScreen(second.stdout), watchScreen(second.stderr)]
  second.stdin.write('two\n')
  await out.sees(/out two\n/)
  await out2.sees(/out two\n/)
  await err2.sees(/err two\n/)
  second.stdin.end()
  await second.detach()
  t.strictSame([await out2.ends(), await err2.ends()], ['out two\n', 'err two\n'])
  first.stdin.write('three\n')
  await out.sees(/out three\n/)
  t.equal(container.status, 'running', 'standard input stays open, whoever ends it')
  first.stdin.end()
  const third = await container.attach()
  third.stdin.write('four\n')
  await out.sees(/out four\n/)
  await container.kill()
  t.match(await first.exited, { signal: 'SIGKILL' })
  t.equal(await out.ends(), 'out one\nout two\nout three\nout four\n')
  t.equal(await err.ends(), 'err one\nerr two\nerr three\nerr four\n')
})

t.test(
  'bytes arrive as they are, at each who is attached, and the end of input is passed on once all have ended it',
  async (t) => {
    await using container = await run(['cat'], { stdinOnce: true, logDriver: 'none' })
    const [writer, reader] = [await container.attach(), await container.attach({ stdin: false })]
    const other = await container.attach()
    const hashes = Promise.all([hashOf(writer.stdout), hashOf(reader.stdout), hashOf(other.stdout)])
    // All bytes, detach keys among them, in pieces that cut characters.
    const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff))
    for (let at = 0; at < data.length; at += 65_531) {
      if (!writer.stdin.write(data.subarray(at, at + 65_531))) await once(writer.stdin, 'drain')
    }
    writer.stdin.end()
    await once(writer.stdin, 'finish')
    other.stdin.end('and the last\n')
    t.match(await writer.exited, { exitCode: 0 }, 'cat has come to its end')
    const all = createHash('sha256').update(data).update('and the last\n').digest('hex')
    for (const { hash, bytes } of await hashes) t.strictSame([bytes, hash], [data.length + 13, all])
  },
)

t.test('one who detaches ends nothing for others', async (t) => {
  await using container = await run(['cat'], { stdinOnce: true })
  const first = await container.attach({ detachKeys: 'ctrl-x,x' })
  first.stdin.write('before\x18x')
  await first.detached
  const second = await container.attach()
  const out = watchScreen(second.stdout)
  second.stdin.write('after\n')
  await out.sees(/after\n/)
  second.stdin.end()
  t.match(await second.exited, { exitCode: 0 })
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['beforeafter'], 'what was typed before the keys has come')
})

t.test('one who does not read makes the container wait, and loses nothing', async (t) => {
  const command = 'i=0; while [ $i -lt 400000 ]; do echo $i; i=$((i+1)); done'
  await using container = await run(['sh', '-c', `read go; ${command}`], { stdin: true })
  const [slow, quick] = [await container.attach(), await container.attach()]
  let bytes = 0
  const text: Buffer[] = []
  quick.stdout.on('data', (chunk: Buffer) => {
    text.push(chunk)
    bytes += chunk.length
  })
  const quickly = once(quick.stdout, 'end')
  quick.stdin.write('go\n')
  const whole = Array.from({ length: 400_000 }, (_, i) => `${String(i)}\n`).join('')
  while (bytes <= 1_000_000) await delay(10)
  for (let before = -1; before !== bytes;) {
    before = bytes
    await delay(300)
  }
  t.ok(bytes < whole.length, `it waits after ${String(bytes)} of ${String(whole.length)} bytes`)
  t.equal(container.status, 'running')
  const slowly = await hashOf(slow.stdout)
  t.match(await container.wait(), { exitCode: 0 })
  const expected = createHash('sha256').update(whole).digest('hex')
  t.equal(slowly.hash, expected)
  await quickly
  t.equal(createHash('sha256').update(Buffer.concat(text)).digest('hex'), expected)
})

t.test(
  'one who never reads is told of the end, and keeps what was left; when it is gone the container goes on',
  async (t) => {
    await using container = await run(['sh', '-c', 'read go; yes | head -c 1500000; exit 7'])
    const never = await container.attach()
    never.stdin.write('go\n')
    // The pipe's 1 MiB and two chunks on the way are less than that, but what is left at the end is kept.
    await delay(300)
    const done = container.wait()
    await never.detach()
    t.match(await done, { exitCode: 7 }, 'it went on without that one')

    await using ended = await run(['sh', '-c', 'read go; yes | head -c 1100000; exit 7'])
    const late = await ended.attach()
    late.stdin.write('go\n')
    t.match(await ended.wait(), { exitCode: 7 })
    t.equal((await hashOf(late.stdout)).bytes, 1_100_000)
  },
)

t.test('from another process, to one that is detached', async (t) => {
  await using container = await run(['sh', '-c', 'while read line; do echo "got $line"; done'], {
    detach: true,
    name: 'far',
  })
  const near = watchScreen((await container.attach()).stdout)
  const other = spawn(process.execPath, [attacher, root, 'far'], { stdio: ['pipe', 'pipe', 'pipe'] })
  const [out, err] = [watchScreen(other.stdout), watchScreen(other.stderr)]
  await err.sees(/attached/)
  other.stdin.write('from afar\n')
  await out.sees(/got from afar\n/)
  await near.sees(/got from afar\n/)
  other.kill('SIGKILL')
  await once(other, 'close')
  const again = await container.attach()
  again.stdin.write('still here\n')
  await near.sees(/got still here\n/)
  t.equal(container.status, 'running')
})

t.test('a thousand come and go', async (t) => {
  await using container = await run(['cat'], { tty: true })
  const monitor = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${String(container.pid)}/status`, 'utf8'))?.[1])
  const count = (): Record<string, number> => ({
    host: readdirSync('/proc/self/fd').length,
    monitor: readdirSync(`/proc/${String(monitor)}/fd`).length,
    tasks: readdirSync('/proc/self/task').length,
  })
  const cycle = async (): Promise<void> => {
    const one = await container.attach()
    await one.detach()
  }
  await Promise.all(Array.from({ length: 10 }, cycle))
  const before = count()
  for (let round = 0; round < 100; round++) await Promise.all(Array.from({ length: 10 }, cycle))
  // A few may be there for the moment, whenever it is counted; what is left of each would be a thousand.
  const settled = (now: Record<string, number>): boolean =>
    Object.entries(now).every(([what, many]) => many <= before[what]! + 20)
  t.ok(settled(await within(10_000, () => Promise.resolve(count()), settled)))
  const last = await container.attach()
  const screen = watchScreen(last.stdout)
  last.stdin.write('still\r')
  await screen.sees(/still\r\nstill\r\n/)
})
