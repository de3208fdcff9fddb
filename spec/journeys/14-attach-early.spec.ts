/** Attachments that are there before the container's command is. */
import { readdirSync, readlinkSync } from 'node:fs'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

const create = (command: readonly string[], more: Partial<ContainerOptions> = {}) =>
  runtime.containers.create({ image, network: 'none', command, ...more })

/** Of this process. Other descriptors come and go by themselves, such as that of a monitor that is made ahead. */
const pipes = () =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).match(/^pipe:.*/) ?? []
    } catch {
      return [] // that of the directory itself
    }
  })

t.test('all from the first byte on, by any number, input that was written before it ran', async (t) => {
  await using container = await create(['sh', '-c', 'echo first; echo wrong >&2; cat'], {
    stdin: true,
    stdinOnce: true,
  })
  const [one, two] = [await container.attach(), await container.attach({ stdin: false })]
  one.stdin.end('typed before\n')
  await container.start()
  const [outOne, outTwo, err] = await Promise.all([text(one.stdout), text(two.stdout), text(two.stderr)])
  t.equal(outOne, 'first\ntyped before\n')
  t.equal(outTwo, 'first\ntyped before\n')
  t.equal(err, 'wrong\n')
  t.match(await one.exited, { exitCode: 0 })
})

t.test('a terminal', async (t) => {
  await using container = await create(['sh', '-c', 'tty; read line; echo "got $line"'], { tty: true, stdin: true })
  const attached = await container.attach()
  const screen = watchScreen(attached.stdout)
  await container.start()
  await screen.sees(/\/dev\/(pts\/\d|console)/)
  attached.stdin.write('hello\n')
  await screen.sees(/got hello/)
  t.match(await attached.exited, { exitCode: 0 })
})

t.test('one that has let go before the start', async (t) => {
  const before = pipes()
  await using container = await create(['echo', 'hello'])
  const attached = await container.attach()
  const closed = once(attached.stdout, 'close')
  attached.stdout.resume()
  await attached.detach()
  await closed
  t.strictSame(
    pipes().filter((pipe) => !before.includes(pipe)),
    [],
    'no descriptor is left',
  )
  await container.start()
  t.match(await attached.exited, { exitCode: 0 }, 'it is told of the end all the same')
})

t.test('a start that fails ends them, and tells why', async (t) => {
  await using container = await create(['/no/such/program'])
  const attached = await container.attach()
  await t.rejects(container.start(), { code: 'COMMAND_NOT_FOUND' })
  await t.rejects(attached.exited, { code: 'COMMAND_NOT_FOUND' })
  t.equal(await text(attached.stdout), '')
  await t.rejects(container.attach({ stdin: true }), { code: 'INVALID_OPTION' })
})

t.test('a container that is removed instead', async (t) => {
  const container = await create(['true'])
  const attached = await container.attach()
  await container.remove()
  await t.rejects(attached.exited, { code: 'INVALID_STATE', message: /was removed/ })
  t.equal(await text(attached.stdout), '')
})

t.test('one that has ended keeps nobody waiting', async (t) => {
  await using container = await runtime.run({ image, network: 'none', command: ['true'] })
  await container.wait()
  await t.rejects(container.attach(), { code: 'INVALID_STATE', message: /start\(\) first/ })
})
