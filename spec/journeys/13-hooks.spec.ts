import t from 'tap'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { testRuntime } from '../fixtures/runtime.js'

const home = t.testdir()
const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const sleeper = { image, command: ['sleep', '1000'], network: 'none' as const }
const log = join(home, 'log')

/** A hook that notes its name, and what a script says. */
const note = (name: string, script = ':') => ({
  path: '/bin/sh',
  args: ['sh', '-c', `cat >${home}/${name}.json; { echo ${name}; ${script}; } >>${log}`],
})
const lines = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
const state = (name: string) => JSON.parse(readFileSync(join(home, `${name}.json`), 'utf8')) as Record<string, unknown>

/** The specification would rather see createRuntime. */
const older = { prestart: [note('prestart')] }

t.test('each at its time, with the state and nothing else', async (t) => {
  const container = await runtime.run({
    ...sleeper,
    annotations: { 'com.example': 'yes' },
    hooks: {
      ...older,
      createRuntime: [
        note('createRuntime', 'cat config.json | head -c 1; echo; ls /proc/$PPID/fd >/dev/null; env'),
        { ...note('second', 'echo $WORD'), env: ['WORD=given', 'PATH=/bin:/usr/bin'] },
      ],
      poststart: [note('poststart')],
      poststop: [note('poststop')],
    },
  })
  t.match(lines().slice(0, 3), ['prestart', 'createRuntime', '{'])
  t.notMatch(readFileSync(log, 'utf8'), /HOME=/, "nothing of this process's environment")
  t.match(lines().slice(-3), ['second', 'given', 'poststart'])
  t.match(state('createRuntime'), {
    id: container.id,
    pid: container.pid,
    status: 'creating',
    annotations: { 'com.example': 'yes' },
  })
  t.match(state('poststart'), { status: 'running', pid: container.pid })
  await container.stop({ timeout: 0 })
  t.equal(lines().at(-1), 'poststop')
  t.match(state('poststop'), { status: 'stopped' })
  t.notOk('pid' in state('poststop'))
  await container.start()
  await container.remove({ force: true })
  t.equal(lines().filter((line) => line === 'poststop').length, 2, 'once for each start')
  rmSync(log)
})

t.test('one that fails keeps it from running', async (t) => {
  const fails = { path: '/bin/sh', args: ['sh', '-c', 'echo no luck >&2; exit 7'] }
  for (const stage of ['prestart', 'createRuntime', 'poststart'] as const) {
    await t.rejects(
      runtime.run({ ...sleeper, name: 'failing', hooks: { [stage]: [fails], poststop: [note('end')] } }),
      {
        code: 'HOOK_FAILED',
        message: new RegExp(`${stage} hook /bin/sh .*status 7: no luck`),
      },
    )
    await t.rejects(runtime.containers.get('failing'), { code: 'CONTAINER_NOT_FOUND' })
  }
  t.strictSame(lines(), ['end', 'end', 'end'], 'what was begun is ended')
  await t.rejects(runtime.run({ ...sleeper, hooks: { createRuntime: [{ path: '/no/such/hook' }] } }), {
    code: 'HOOK_FAILED',
    message: /ENOENT/,
  })
  const slow = { path: '/bin/sh', args: ['sh', '-c', 'sleep 1000 & sleep 1000'], timeout: 1 }
  await t.rejects(runtime.run({ ...sleeper, hooks: { createRuntime: [slow] } }), {
    code: 'HOOK_FAILED',
    message: /killed after 1 s/,
  })
})

t.test('what is refused', async (t) => {
  await t.rejects(runtime.containers.create({ ...sleeper, hooks: { startContainer: [{ path: '/x' }] } }), {
    code: 'INVALID_OPTION',
    message: /hooks\.startContainer: is not supported/,
  })
  await t.rejects(runtime.containers.create({ ...sleeper, restart: 'always', hooks: { poststop: [{ path: '/x' }] } }), {
    code: 'INVALID_OPTION',
    message: /restart/,
  })
  await t.rejects(runtime.containers.create({ ...sleeper, hooks: { poststop: [{ path: 'x' }] } }), {
    code: 'INVALID_OPTION',
  })
})
