/** Containers that don't want to end, and that want others to. */
import t from 'tap'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

async function running(script: string, options: { readonly pidsLimit?: number } = {}) {
  const container = await runtime.run({ image, command: ['sh', '-c', script], network: 'none', ...options })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  return container
}

t.test('a fork bomb is stopped', async (t) => {
  const container = await running('trap "" TERM; f() { f & f & wait; }; echo up; while :; do f; done 2>/dev/null', {
    pidsLimit: 200,
  })
  t.match(await container.stop({ timeout: 100 }), { signal: 'SIGKILL' })
  await container.remove()
})

t.test('one that stops itself, and one that ignores all, are removed by force', async (t) => {
  for (const script of [
    'sleep 1000 & p=$!; echo up; kill -STOP $p; wait',
    'trap "" 1 2 3 10 12 13 14 15; echo up; while :; do sleep 1; done',
  ]) {
    const container = await running(script)
    await container.kill('SIGSTOP')
    await container.remove({ force: true })
    t.equal(container.status, 'removed')
  }
})

t.test('pids of the host are out of reach', async (t) => {
  await using container = await running('echo up; sleep 1000')
  const { exitCode } = await container.exec(['kill', '-9', String(process.pid + 100_000), String(process.ppid)])
  t.not(exitCode, 0)
  // All that it can see, it may kill: that is itself.
  await container.exec(['kill', '-9', '-1']).catch(() => undefined)
  t.equal(process.kill(process.pid, 0), true)
})

t.test('a flood of output without a reader leaves the host as it is', async (t) => {
  const before = process.memoryUsage().rss
  await using container = await running('echo up; exec head -c 200000000 /dev/zero')
  await container.wait()
  t.ok(process.memoryUsage().rss - before < 50e6)
})
