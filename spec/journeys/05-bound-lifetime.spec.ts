import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime } from 'podling'
import { leftovers } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const program = fileURLToPath(new URL('../fixtures/host-program.js', import.meta.url))
const MARKER = '86399'

interface Host {
  readonly process: ChildProcess
  /** Resolves with the first line that begins so. */
  saw(word: string): Promise<string>
  end(signal: NodeJS.Signals): Promise<void>
}

function startHost(root: string, script: string): Host {
  const child = spawn(process.execPath, [program, root, script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise<void>((resolve) =>
    child.once('close', () => {
      resolve()
    }),
  )
  const waiting = new Map<string, (line: string) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const word = line.split(' ')[0] ?? ''
    waiting.get(word)?.(line)
  })
  return {
    process: child,
    saw: (word) => new Promise((resolve) => waiting.set(word, resolve)),
    async end(signal) {
      child.kill(signal)
      await closed
    },
  }
}

async function within<T>(milliseconds: number, probe: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const value = await probe()
    if (good(value) || Date.now() > deadline) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const setup = await testRuntime()
const { root } = setup
// The image stays on the root; the hosts of this spec are processes of their own.
await setup.runtime.close()
t.teardown(() => setup[Symbol.asyncDispose]())
const before = await leftovers(MARKER)
const nothing = (now: typeof before) => JSON.stringify(now) === JSON.stringify(before)

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const) {
  t.test(`a host that ends by ${signal} takes its containers along`, async (t) => {
    const host = startHost(root, 'run')
    await host.saw('running')
    t.ok((await leftovers(MARKER)).processes.length >= 2, 'something runs')
    await host.end(signal)
    // A second is the promise; five are allowed for, since a loaded machine is no failure of the promise.
    t.strictSame(await within(5000, () => leftovers(MARKER), nothing), before, 'no process, cgroup or mount is left')
    await using runtime = await Runtime.open({ root })
    t.match(runtime.recovered.containers, [{ name: 'bound' }], 'the next open reports it')
    t.strictSame(await runtime.containers.list(), [])
    await using again = await runtime.run({ image: 'busybox:test', command: ['true'], network: 'none', name: 'bound' })
    t.equal((await again.wait()).exitCode, 0, 'and the name is free')
  })
}

t.test('kill -9 in the middle of every step, two hundred times', async (t) => {
  const steps = ['create', 'start', 'exec', 'stop', 'restart', 'remove']
  for (let round = 0; round < 200; round++) {
    const host = startHost(root, 'cycle')
    const step = steps[round % steps.length] ?? ''
    await host.saw(step)
    // A little into the step, a different little each time.
    const delay = (round * 7) % 23
    await new Promise((resolve) => setTimeout(resolve, delay / 4))
    await host.end('SIGKILL')
    if (round % 20 === 19) {
      const left = await within(5000, () => leftovers(MARKER), nothing)
      if (!nothing(left)) t.strictSame(left, before, `nothing is left after a kill in ${step}, round ${String(round)}`)
    }
  }
  t.strictSame(await within(5000, () => leftovers(MARKER), nothing), before)
  const runtime = await Runtime.open({ root })
  t.strictSame(await runtime.containers.list(), [], 'every record is cleaned up')
  await runtime.close()
  t.strictSame(await leftovers(MARKER), before)
})

t.test('a detached container outlives its host', async (t) => {
  const first = await Runtime.open({ root })
  const container = await first.run({
    image: 'busybox:test',
    command: ['sleep', MARKER],
    network: 'none',
    name: 'stays',
    detach: true,
  })
  const { pid } = container
  await first.close()
  await using second = await Runtime.open({ root })
  t.strictSame(second.recovered.containers, [])
  const adopted = await second.containers.get('stays')
  t.equal(adopted.status, 'running')
  t.equal(adopted.pid, pid)
  t.equal((await adopted.exec(['echo', 'here'])).stdout, 'here\n')
  await adopted.remove({ force: true })
})

t.test('a monitor that is killed takes its container along, and it is told', async (t) => {
  await using runtime = await Runtime.open({ root })
  await using container = await runtime.run({ image: 'busybox:test', command: ['sleep', MARKER], network: 'none' })
  const { readFile } = await import('node:fs/promises')
  const status = await readFile(`/proc/${String(container.pid)}/status`, 'utf8')
  const monitor = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1])
  const waiting = container.wait()
  const lost = new Promise((resolve) => container.once('lost', resolve))
  process.kill(monitor, 'SIGKILL')
  await t.rejects(waiting, { code: 'MONITOR_DIED' })
  t.match(await lost, { code: 'MONITOR_DIED' })
  t.equal(container.status, 'exited')
  t.strictSame(await within(5000, () => leftovers(MARKER), nothing), before)
  await container.start()
  t.equal(container.status, 'running', 'it can be started again')
})
