/** Limits that were changed hold for what the monitor starts again. */
import t from 'tap'
import type { Container } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const MiB = 2 ** 20

/** What the kernel holds it to, now. */
async function limits(container: Container): Promise<{ memory: number | undefined; pids: number | undefined }> {
  const { memory, pids } = await container.stats()
  return { memory: memory?.limit, pids: pids?.limit }
}

t.test('update() and restarts by the monitor', needs('root', 'busybox'), async (t) => {
  await using container = await runtime.run({
    image,
    network: 'none',
    command: ['sleep', '1000'],
    restart: 'always',
    memory: '64m',
    pidsLimit: 50,
  })
  t.strictSame(await limits(container), { memory: 64 * MiB, pids: 50 })
  await container.update({ memory: '32m', pidsLimit: 20 })
  for (let round = 1; round <= 2; round++) {
    process.kill(container.pid!, 'SIGKILL')
    await within(
      10_000,
      async () => container.restartCount,
      (count) => count >= round,
    )
    t.strictSame(await limits(container), { memory: 32 * MiB, pids: 20 }, `after restart ${String(round)}`)
  }
  const ended = new Promise<void>((resolve) =>
    container.once('restarting', () => {
      resolve()
    }),
  )
  process.kill(container.pid!, 'SIGKILL')
  await ended
  await container.update({ memory: '16m' })
  await within(
    10_000,
    async () => container.restartCount,
    (count) => count >= 3,
  )
  t.strictSame(await limits(container), { memory: 16 * MiB, pids: 20 }, 'what was changed between two runs')
  await container.restart({ timeout: 0 })
  t.strictSame(await limits(container), { memory: 16 * MiB, pids: 20 }, 'and by a start of a new monitor')
})
