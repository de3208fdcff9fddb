import t from 'tap'
import type { Container, ContainerOptions } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const common = { image, network: 'none' } as const satisfies ContainerOptions

/** A command that counts its runs on the container's own disk and then does this. */
function counting(then: string): string[] {
  return ['sh', '-c', `echo run >> /runs; n=$(wc -l < /runs); echo "run $n"; ${then}`]
}

async function lines(container: Container): Promise<string[]> {
  const found = []
  for await (const { text } of container.logs()) found.push(text)
  return found
}

async function restarts(container: Container, count: number): Promise<void> {
  await within(
    10_000,
    async () => container.restartCount,
    (restarted) => restarted >= count,
  )
}

t.test('on-failure: again until it succeeds, on what it has written', async (t) => {
  await using container = await runtime.containers.create({
    ...common,
    command: counting('test $n -ge 3'),
    restart: 'on-failure',
  })
  const told: [string, number?][] = []
  container.on('start', () => told.push(['start']))
  container.on('restarting', ({ exitCode }) => told.push(['restarting', exitCode]))
  container.on('exit', ({ exitCode }) => told.push(['exit', exitCode]))
  await container.start()
  t.match(await container.wait(), { exitCode: 0, restartCount: 2, stoppedByUser: false })
  t.strictSame(told, [['start'], ['restarting', 1], ['start'], ['restarting', 1], ['start'], ['exit', 0]])
  t.strictSame(await lines(container), ['run 1', 'run 2', 'run 3'])
  t.match(container.inspect(), { restartPolicy: 'on-failure', state: { status: 'exited', restartCount: 2 } })
})

t.test('on-failure:N: no more than that', async (t) => {
  await using container = await runtime.run({ ...common, command: counting('exit 7'), restart: 'on-failure:2' })
  t.match(await container.wait(), { exitCode: 7, restartCount: 2 })
  t.strictSame(await lines(container), ['run 1', 'run 2', 'run 3'])
  await container.restart()
  t.match(await container.wait(), { restartCount: 2 }, 'and counted from the beginning after a start')
})

t.test('no: once', async (t) => {
  await using container = await runtime.run({ ...common, command: counting('exit 7') })
  t.match(await container.wait(), { exitCode: 7, restartCount: 0 })
})

t.test('always: until it is stopped', async (t) => {
  for (const restart of ['always', 'unless-stopped'] as const) {
    await using container = await runtime.run({
      ...common,
      command: counting('test $n -lt 3 || exec sleep 1000'),
      restart,
    })
    await restarts(container, 2)
    t.equal(container.status, 'running')
    const runs = async (): Promise<string> => (await container.exec(['cat', '/runs'])).stdout
    t.equal(await within(10_000, runs, (text) => text.length >= 12), 'run\nrun\nrun\n')
    t.match(await container.stop({ timeout: 0 }), { exitCode: 137, restartCount: 2, stoppedByUser: true })
    t.equal(container.status, 'exited')
  }
})

t.test('killed from outside it is started again; by kill() it is not, nor by its stop signal', async (t) => {
  const options = { ...common, command: ['sh', '-c', 'trap "exit 0" USR1 USR2; while :; do sleep 0.01; done'] }
  await using container = await runtime.run({ ...options, restart: 'always', stopSignal: 'SIGUSR1' })
  const pid = container.pid!
  process.kill(pid, 'SIGKILL')
  await restarts(container, 1)
  t.not(container.pid, pid)
  await container.kill('SIGUSR2')
  await restarts(container, 2)
  await container.kill('SIGUSR1')
  await container.wait()
  await container.start()
  t.equal(container.restartCount, 0)
  await container.kill()
  t.match(await container.wait(), { signal: 'SIGKILL', stoppedByUser: true })
})
