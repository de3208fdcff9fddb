/** Health checks without the host that wanted them, and without the monitor that does them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const host = fileURLToPath(new URL('../fixtures/health-host.js', import.meta.url))

t.test('the host is killed: the checks go on, and the next host knows of them', async (t) => {
  const { runtime, root, ...setup } = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const child = spawn(process.execPath, [host, root, 'echo fine; test ! -e /sick'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')
  const died = new Date()
  await using container = await runtime.containers.get('watched')
  await within(
    10_000,
    async () => container.inspect().health?.log.at(-1),
    (last) => last !== undefined && last.start > died,
  )
  t.match(container.inspect().health, { status: 'healthy', log: [{ output: 'fine\n' }] })
  const told: string[] = []
  container.on('health', (status) => told.push(status))
  await container.exec(['touch', '/sick'])
  await container.wait({ condition: 'unhealthy' })
  t.strictSame(told, ['unhealthy'])
  await container.stop({ timeout: 0 })
  const { Runtime } = await import('podling')
  await using other = await Runtime.open({ root })
  t.match((await other.containers.get('watched')).inspect().health, { status: 'unhealthy', log: [{}, {}] })
})

t.test('the monitor is killed during a check: nothing is left of either', async (t) => {
  const setup = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { runtime, image, root } = setup
  const container = await runtime.run({
    image,
    network: 'none',
    command: ['sleep', '86399'],
    health: { command: 'setsid sleep 86391 & touch /checking; sleep 86391', interval: '1h' },
  })
  await within(
    10_000,
    async () => (await container.exec(['ls', '/checking'])).exitCode,
    (code) => code === 0,
  )
  const { readFileSync } = await import('node:fs')
  const monitor = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${String(container.pid)}/status`, 'latin1'))![1])
  process.kill(monitor, 'SIGKILL')
  await t.rejects(container.wait(), { code: 'MONITOR_DIED' })
  await container.remove({ force: true })
  await runtime.close()
  t.strictSame(await settledLeftovers(root, 'sleep 86391'), nothing)
})
