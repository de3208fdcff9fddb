/** The monitor is killed at any moment of what it does: whoever waits is told, the container is gone and can be started again. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { PodlingError, type Container, type ContainerOptions } from 'podling'
import { containerFiles, nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const ROUNDS = 12
const MARKER = '86421'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image, root } = setup
const stays = ['sh', '-c', `while read line; do echo "$line"; done; sleep ${MARKER}`]

interface Case {
  readonly options: Partial<ContainerOptions>
  /** Milliseconds between two rounds' kills. */
  readonly step: number
  readonly work: (container: Container) => Promise<unknown>
}

const cases: Readonly<Record<string, Case>> = {
  'attach, write and read': {
    options: { command: stays, stdin: true },
    step: 1,
    async work(container) {
      await using attached = await container.attach()
      attached.stdin.on('error', () => undefined)
      attached.stdin.write('hello\n')
      for await (const _ of attached.stdout as AsyncIterable<Buffer>) continue
      return await attached.exited
    },
  },
  'a command on a terminal': {
    options: { command: stays, stdin: true },
    step: 2,
    async work(container) {
      const shell = await container.spawn(['sh'], { tty: true })
      shell.stdin.on('error', () => undefined)
      shell.stdin.write('echo hello\n')
      for await (const _ of shell.stdout as AsyncIterable<Buffer>) continue
      return shell.exited
    },
  },
  restarts: {
    options: { command: ['sleep', '0.05'], restart: 'always' },
    step: 25,
    work: (container) => container.wait(),
  },
  'health checks': {
    options: {
      command: stays,
      stdin: true,
      health: { command: ['true'], interval: '1s', timeout: '1s' },
    },
    step: 2,
    async work(container) {
      for (;;) await container.healthcheck()
    },
  },
  'pause and go on': {
    options: { command: stays, stdin: true },
    step: 2,
    async work(container) {
      for (;;) {
        await container.pause()
        await container.unpause()
      }
    },
  },
}

for (const [name, { options, step, work }] of Object.entries(cases)) {
  t.test(name, async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const container = await runtime.run({ image, network: 'none', ...options, stopTimeout: 0 })
      const lost = new Promise((resolve) => container.once('lost', resolve))
      const monitor = await found(container)
      const outcome = work(container).then(
        () => 'came to its end',
        (error: unknown) => (error instanceof PodlingError ? error.code : String(error)),
      )
      await delay(round * step)
      process.kill(monitor, 'SIGKILL')
      t.match(await lost, { code: 'MONITOR_DIED' })
      t.match(await outcome, /^(came to its end|MONITOR_DIED|INVALID_STATE)$/)
      t.equal(container.status, 'exited')
      if (round === 0) {
        await container.start()
        t.not(container.status, 'exited', 'it can be started again')
      }
      await container.remove({ force: true })
    }
  })
}

t.test('nothing is left of all this', async (t) => {
  t.strictSame(await runtime.containers.list(), [])
  await runtime.close()
  t.strictSame(await settledLeftovers(root, MARKER), nothing)
  t.strictSame(await containerFiles(root), [])
})

/** Its monitor; between two runs there is no pid to ask for its parent. */
async function found(container: Container): Promise<number> {
  const monitor = await within(5000, () => Promise.resolve(monitorIn(container)), Boolean)
  if (!monitor) throw new Error('its monitor was not found')
  return monitor
}

function monitorIn({ pid }: Container): number | undefined {
  try {
    const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8')
    return Number(/^PPid:\t(\d+)/m.exec(status)?.[1])
  } catch {
    return undefined
  }
}
