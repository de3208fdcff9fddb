/** What programs get wrong at first: each mistake is told as one, by a typed error. */
import t from 'tap'
import { PodlingError, type Container, type Runtime } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

function told(error: unknown): string {
  return error instanceof PodlingError ? `${error.code}: ${error.message}` : String(error)
}

/** As JavaScript would call it. */
const anything = (value: unknown): never => value as never

t.test('unknown and wrong options of verbs', needs('root', 'busybox'), async (t) => {
  await using test = await testRuntime()
  const { runtime, image } = test
  const container = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  const mistakes: readonly (readonly [() => Promise<unknown>, string])[] = [
    [
      () => runtime.images.pull('localhost:1/a', anything({ insecur: true })),
      'insecur: unknown option; did you mean insecure?',
    ],
    [() => runtime.images.import('/none.tar', anything({ name: 'a' })), 'name: unknown option'],
    [() => runtime.images.load('/none.tar', anything({ reff: 'a' })), 'reff: unknown option; did you mean ref?'],
    [() => runtime.images.remove(image, anything({ forced: true })), 'forced: unknown option; did you mean force?'],
    [() => runtime.containers.list(anything({ state: 'running' })), 'state: unknown option'],
    [() => container.stop(anything({ timeot: 1 })), 'timeot: unknown option; did you mean timeout?'],
    [() => container.stop(anything({ timeout: 'soon' })), "timeout: must be .*, got 'soon'"],
    [() => container.remove(anything(7)), 'the options must be an object, got 7'],
    [() => container.exec(anything('ls -l')), "argv: must be an array of strings, got 'ls -l'; for a shell's line use"],
    [() => container.exec(['ls'], anything({ workDir: '/' })), 'workDir: unknown option; did you mean workdir?'],
    [() => container.spawn(['ls'], anything({ stdin: 'x' })), 'stdin: unknown option'],
    [() => container.logs(anything({ since: '5m' })).next(), "since: must be a Date, got '5m'"],
    [() => container.logs({ tail: -1 }).next(), 'tail: must be a number of lines, got -1'],
    [() => container.logs(anything({ folow: true })).next(), 'folow: unknown option; did you mean follow?'],
  ]
  for (const [call, message] of mistakes) {
    await t.rejects(call(), { name: 'PodlingError', code: 'INVALID_OPTION', message: new RegExp(message) }, message)
  }
  t.equal(container.status, 'running')
  t.match(JSON.stringify(container), '"status":"running"', 'a handle can be printed')
})

t.test('a verb that meets the end of a container', needs('root', 'busybox'), async (t) => {
  await using test = await testRuntime()
  const { runtime, image } = test
  const verbs: Readonly<Record<string, (container: Container) => Promise<unknown>>> = {
    exec: (container) => container.exec(['true']),
    pause: (container) => container.pause(),
    stop: (container) => container.stop(),
    kill: (container) => container.kill(),
  }
  for (const [name, verb] of Object.entries(verbs)) {
    const refusals = new Set<string>()
    for (let turn = 0; turn < 20; turn++) {
      const container = await runtime.run({ image, command: ['true'], network: 'none' })
      await verb(container).catch((error: unknown) => refusals.add(told(error)))
      if (container.status === 'paused') await container.unpause().catch(() => undefined)
      await container.wait()
      t.equal(container.status, 'exited', name)
      await container.remove()
    }
    t.strictSame(
      [...refusals].filter((text) => !text.startsWith('INVALID_STATE: ')),
      [],
      name,
    )
  }
})

t.test('everything of a closed runtime', needs('root', 'busybox'), async (t) => {
  const { runtime, image, ...test } = await closed()
  t.teardown(() => test[Symbol.asyncDispose]())
  const calls: readonly (() => Promise<unknown>)[] = [
    () => runtime.run({ image, command: ['true'] }),
    () => runtime.containers.list(),
    () => runtime.containers.get('a'),
    () => runtime.images.list(),
    () => runtime.images.get('busybox:test'),
    () => runtime.images.tag(image, 'other'),
    () => runtime.images.remove(image),
  ]
  for (const call of calls) await t.rejects(call(), { code: 'RUNTIME_CLOSED' }, String(call))

  async function closed() {
    const test = await testRuntime()
    const { runtime }: { runtime: Runtime } = test
    await runtime.close()
    return test
  }
})
