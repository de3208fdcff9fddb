/** kill -9 of the host at every step of a pod's life. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Runtime } from 'podling'
import { startHost } from '../fixtures/host.js'
import { containerFiles, nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const MARKER = '86398.6' // of no process: what counts here is the root
const steps = ['create', 'add', 'start', 'stop', 'restart', 'remove'] as const
const ROUNDS = 3

const setup = await testRuntime()
const { root } = setup
await setup.runtime.close()
t.teardown(() => setup[Symbol.asyncDispose]())

async function clean(t: Test): Promise<void> {
  const runtime = await Runtime.open({ root })
  t.strictSame([await runtime.containers.list(), await runtime.pods.list()], [[], []])
  await runtime.close()
  t.strictSame(await containerFiles(root), [], 'nor a file')
}

for (let round = 0; round < ROUNDS; round++) {
  t.test(`nothing is left of pods, round ${String(round + 1)}`, async (t) => {
    await Promise.all(
      steps.map(async (step, index) => {
        const host = startHost(root, round === 1 ? 'pod-users' : 'pods')
        await host.saw(step)
        // A little into the step, a different little each time.
        await sleep((round * 7 + index * 3) % 29)
        await host.end('SIGKILL')
      }),
    )
    t.strictSame(await settledLeftovers(root, MARKER), nothing, 'no process, cgroup or mount')
    await clean(t)
  })
}

t.test('host, launcher and all monitors are killed at once', async (t) => {
  const host = startHost(root, 'pods')
  await host.saw('stop')
  await host.saw('remove')
  const found = (await host.descendants()).map((one) => Number(one.split('@')[0]))
  // Stopped first, so that none of them sees another one's end.
  const all = [host.pid, ...found]
  for (const pid of all) signal(pid, 'SIGSTOP')
  for (const pid of all) signal(pid, 'SIGKILL')
  await host.end('SIGKILL')
  // Their cgroups had nobody left to remove them: the next open does.
  await clean(t)
  t.strictSame(await settledLeftovers(root, MARKER), nothing)
})

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}
