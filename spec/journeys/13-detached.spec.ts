/** Containers that outlive their host: what the next one finds, whatever was killed meanwhile. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Container, type ContainerOptions, Runtime } from 'podling'
import { identity, leftovers, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { image, root } = setup
/** For which they sleep: no other test's do, of this run or of another. */
const SECONDS = String(1e9 + process.pid)
const common = { image: image.id, network: 'none', detach: true } as const satisfies ContainerOptions

/** Start one and close the runtime. @returns the pids of its pid 1 and its monitor */
async function left(options: Partial<ContainerOptions>): Promise<{ pid: number; monitor: number }> {
  await using runtime = await Runtime.open({ root })
  const { pid } = await runtime.run({ ...common, command: ['sleep', SECONDS], ...options })
  return { pid: pid!, monitor: parentOf(pid!) }
}

function parentOf(pid: number): number {
  // At once, and by no other program: some end soon.
  const parent = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1])
  // To signal 0 is to signal this very process and all of its group.
  if (!(parent > 1)) throw new Error(`process ${String(pid)} has no parent`)
  return parent
}

async function gone(...pids: readonly number[]): Promise<void> {
  for (const pid of pids)
    await within(
      10_000,
      () => identity(pid),
      (one) => one === undefined,
    )
}

/** The next host. Nothing of the container is left when it has removed it. */
async function next(t: Test, look: (container: Container, runtime: Runtime) => Promise<void>): Promise<void> {
  await using runtime = await Runtime.open({ root })
  const container = await runtime.containers.get('left')
  await look(container, runtime)
  await container.remove({ force: true })
  const { processes, mounts } = await leftovers(root, SECONDS)
  t.strictSame([processes.filter((one) => one.includes(SECONDS)), mounts], [[], []], 'nothing is left')
}

t.test('adopted: one that runs, is paused, waits for its restart', async (t) => {
  const { pid } = await left({ name: 'left' })
  await next(t, async (container) => {
    t.match(container, { status: 'running', pid })
    await container.pause()
  })
  const paused = await left({ name: 'left' })
  await using one = await Runtime.open({ root })
  await (await one.containers.get('left')).pause()
  await next(t, async (container, runtime) => {
    t.match(container, { status: 'paused', pid: paused.pid })
    const told = new Promise<void>((resolve) => container.once('unpause', resolve))
    await (await one.containers.get('left')).unpause()
    await told
    t.equal(container.status, 'running', 'and what another process does with it is told')
    await runtime.containers.list()
  })
  await one.close()
})

t.test('its exit status, its log and its restarts', async (t) => {
  const { monitor } = await left({
    name: 'left',
    command: ['sh', '-c', 'echo run; sleep 0.3; test -e /again && exit 4; touch /again; exit 3'],
    restart: 'on-failure:1',
  })
  await gone(monitor)
  await next(t, async (container) => {
    t.match(container, { status: 'exited', restartCount: 1 })
    t.match(await container.wait(), { exitCode: 4, restartCount: 1, stoppedByUser: false })
    const lines = []
    for await (const { text } of container.logs()) lines.push(text)
    t.strictSame(lines, ['run', 'run'])
  })
})

t.test('restarted while no host lives, and adopted while it waits for the next time', async (t) => {
  await left({ name: 'left', command: ['sh', '-c', 'sleep 0.3; exit 3'], restart: 'always' })
  await next(t, async (container) => {
    // By then it waits for seconds.
    const waits = async () => container.status === 'restarting' && container.restartCount >= 4
    await within(20_000, waits, (so) => so)
    t.equal(container.status, 'restarting')
    t.equal(container.pid, undefined)
    t.match(container.inspect().state, { status: 'restarting', exit: { exitCode: 3 } })
    await t.rejects(container.exec(['true']), { code: 'INVALID_STATE', message: /started again/ })
    await t.rejects(container.kill(), { code: 'INVALID_STATE', message: /stop\(\)/ })
    await using other = await Runtime.open({ root })
    const same = await other.containers.get('left')
    t.ok(['restarting', 'running'].includes(same.status))
    t.match(
      await same.stop(),
      { exitCode: 3, stoppedByUser: true },
      'told to stop between two runs, it ended with the last',
    )
    t.match(await container.wait(), { exitCode: 3, stoppedByUser: true }, 'as every host hears')
  })
})

for (const running of [true, false]) {
  t.test(
    `the monitor is killed ${running ? 'while it runs' : 'between two runs'}: exited, and nobody knows how`,
    async (t) => {
      const host = await Runtime.open({ root })
      const container = await host.run({ ...common, name: 'left', command: ['sleep', SECONDS], restart: 'always' })
      const pid = container.pid!
      const monitor = parentOf(pid)
      // Five times, so that it waits long enough for a look.
      for (let count = 0; !running && count < 5; count++) {
        await within(10_000, async () => container.status === 'running' && container.restartCount === count, Boolean)
        process.kill(container.pid!, 'SIGKILL')
      }
      if (!running) await within(10_000, async () => container.status === 'restarting', Boolean)
      process.kill(monitor, 'SIGKILL')
      await host.close()
      await gone(monitor, pid)
      await next(t, async (found, runtime) => {
        t.equal(found.status, 'exited')
        if (running) await t.rejects(found.wait(), { code: 'MONITOR_DIED' })
        await runtime.containers.list()
        const { cgroups } = await leftovers(root, SECONDS)
        if (running)
          t.strictSame(
            cgroups.filter((path) => path.includes(found.id)),
            [],
            'its cgroups are removed',
          )
        await found.start()
        t.match(found, { restartCount: 0 }, 'and it can be started again')
      })
    },
  )
}

t.test('after a reboot: what the policy wants', async (t) => {
  const policies = ['no', 'on-failure', 'always', 'unless-stopped'] as const
  const host = await Runtime.open({ root })
  const monitors: number[] = []
  for (const restart of policies) {
    for (const stopped of [false, true]) {
      const container = await host.run({
        ...common,
        name: `${restart}-${String(stopped)}`,
        command: ['sleep', SECONDS],
        restart,
      })
      monitors.push(parentOf(container.pid!))
      if (stopped) await container.stop({ timeout: 0 })
    }
  }
  const never = await host.containers.create({
    ...common,
    name: 'never',
    command: ['sleep', SECONDS],
    restart: 'always',
  })
  await host.close()
  for (const monitor of monitors) if ((await identity(monitor)) !== undefined) process.kill(monitor, 'SIGKILL')
  await gone(...monitors)
  await rm(join(root, 'run', 'c'), { recursive: true, force: true })

  await using runtime = await Runtime.open({ root })
  const { started, failures } = await runtime.start({ restartPolicy: true })
  t.strictSame(failures, [])
  t.strictSame(started.map(({ name }) => name).sort(), ['always-false', 'always-true', 'unless-stopped-false'])
  t.equal((await runtime.containers.get(never.id)).status, 'created', 'not what has never run')
  t.match(await runtime.start({ restartPolicy: true }), { started: [] }, 'those that run are left as they are')
  await t.rejects(runtime.start({} as never), { code: 'INVALID_OPTION' })
  for (const container of await runtime.containers.list()) await container.remove({ force: true })
})
