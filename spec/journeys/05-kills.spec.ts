/** kill -9 of the host in the middle of every step, sixty-four times, eight at each step, three hosts at a time on one root. */
import { readdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Runtime } from 'podling'
import { startHost } from '../fixtures/host.js'
import { containerFiles, nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const MARKER = '86398.5' // of no process: what counts here is the root
const KILLS = 64
const LANES = 3
const BATCH = 16
const steps = ['open', 'opened', 'create', 'start', 'exec', 'stop', 'restart', 'remove'] as const

const setup = await testRuntime()
const { root } = setup
await setup.runtime.close()
t.teardown(() => setup[Symbol.asyncDispose]())

async function kill(round: number): Promise<void> {
  const host = startHost(root, 'cycle')
  await host.saw(steps[round % steps.length] ?? '')
  // A little into the step, a different little each time.
  await sleep(((round * 7) % 23) / 2)
  await host.end('SIGKILL')
}

t.test('nothing is left', async (t) => {
  let cleaned = 0
  for (let done = 0; done < KILLS; done += BATCH) {
    const rounds = Array.from({ length: BATCH }, (_, i) => done + i)
    const lane = async () => {
      for (let round = rounds.shift(); round !== undefined; round = rounds.shift()) await kill(round)
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    t.strictSame(
      await settledLeftovers(root, MARKER),
      nothing,
      `no process, cgroup or mount after ${String(done + BATCH)} kills`,
    )
    const runtime = await Runtime.open({ root })
    cleaned += runtime.recovered.containers.length
    t.strictSame(await runtime.containers.list(), [])
    await runtime.close()
    t.strictSame(await containerFiles(root), [], 'nor a file of a container')
  }
  t.ok(cleaned > 0, `there was something to clean (${String(cleaned)})`)
  const runtime = await Runtime.open({ root })
  await runtime.images.remove('busybox:test')
  await runtime.close()
  t.strictSame(await readdir(`${root}/layers`), ['tmp'], 'nobody holds a layer')
  t.strictSame(await readdir(`${root}/layers/tmp`), [])
})
