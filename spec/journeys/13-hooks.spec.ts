import t from 'tap'
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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

const until = async (what: () => boolean) => {
  while (!what()) await sleep(5)
}

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

t.test('one that is killed between its barrier and its command is told of', async (t) => {
  const container = await runtime.containers.create({
    ...sleeper,
    hooks: {
      createRuntime: [note('createRuntime')],
      startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'touch /begun; exec sleep 1000'] }],
    },
  })
  const starting = container.start()
  starting.catch(() => undefined)
  await until(() => lines().includes('createRuntime'))
  const pid = Number(state('createRuntime')['pid'])
  await until(() => existsSync(`/proc/${String(pid)}/root/begun`))
  process.kill(pid, 'SIGKILL')
  await t.rejects(starting, { code: 'INVALID_STATE', message: /it has ended/ })
  await container.remove()
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
  rmSync(log)
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

t.test('in its namespaces: one of the host before the pivot, one of the image as its command', async (t) => {
  const root = `$(grep -A1 '"root": {' config.json | tail -n 1 | cut -d '"' -f 4)`
  await using container = await runtime.run({
    ...sleeper,
    user: 'app',
    annotations: { 'com.example': 'yes' },
    hooks: {
      createRuntime: [note('createRuntime')],
      createContainer: [
        {
          ...note('createContainer', `readlink /proc/self/ns/uts; ls -l /proc/self/fd; env; echo made >${root}/made`),
          env: ['ONLY=this'],
        },
      ],
      startContainer: [
        {
          path: '/bin/sh',
          args: [
            'sh',
            '-c',
            'cat >/tmp/state; { env; id; cat /made /proc/self/status; ls -l /proc/self/fd; } >/tmp/said',
          ],
          env: ['WORD=given'],
        },
        { path: '/bin/sh', args: ['sh', '-c', 'sleep 1000 & cat /proc/1/comm >/tmp/second'] },
      ],
    },
  })
  t.strictSame(lines().slice(0, 2), ['createRuntime', 'createContainer'])
  t.equal(lines()[2], readlinkSync(`/proc/${String(container.pid)}/ns/uts`))
  t.not(lines()[2], readlinkSync('/proc/self/ns/uts'))
  const said = readFileSync(log, 'utf8')
  t.match(said, /^ONLY=this$/m)
  t.notMatch(said, /HOME=/, "nothing of this process's environment")
  t.notMatch(said, /socket:/, 'no descriptor of the helper')
  t.match(state('createContainer'), {
    id: container.id,
    status: 'creating',
    pid: 1,
    annotations: { 'com.example': 'yes' },
  })
  const { stdout } = await container.exec(['cat', '/tmp/state', '/tmp/said'])
  t.match(stdout, /"status":"created".*"pid":1}/)
  t.match(stdout, /^WORD=given$/m)
  t.match(stdout, /uid=1000/, 'as the user of its command')
  t.match(stdout, /^made$/m)
  t.match(stdout, /CapEff:\t0{16}\n/)
  t.match(stdout, /CapBnd:\t00000000[0-9a-f]{8}\n/)
  t.match(stdout, /Seccomp:\t2/)
  t.notMatch(stdout, /socket:/)
  t.ok(
    (await container.top(['args'])).some(({ args }) => args === 'sleep 1000'),
    'what it leaves behind is its own business',
  )
  rmSync(log)
})

t.test('one in its namespaces that fails keeps it from running', async (t) => {
  const fails = { path: '/bin/sh', args: ['sh', '-c', 'printf "no\\033[2J luck" >&2; exit 7'] }
  const slow = { path: '/bin/sh', args: ['sh', '-c', 'sleep 1000 & sleep 1000'], timeout: 1 }
  for (const stage of ['createContainer', 'startContainer'] as const) {
    const failing = (hook: object) => runtime.run({ ...sleeper, name: 'failing', hooks: { [stage]: [hook] } })
    const message = (why: string) => ({ code: 'HOOK_FAILED', message: new RegExp(`${stage} hook .*: ${why}`) })
    await t.rejects(failing(fails), message('it ended with status 7: no \\[2J luck$'))
    await t.rejects(failing({ path: '/bin/sh', args: ['sh', '-c', 'kill -9 $$'] }), message('it was ended by SIGKILL'))
    await t.rejects(failing({ path: '/no/such/hook' }), message('it could not be executed: ENOENT'))
    await t.rejects(failing(slow), message('it was killed after 1 s'))
    await t.rejects(runtime.containers.get('failing'), { code: 'CONTAINER_NOT_FOUND' })
  }
})

t.test('what the image has in the place of a hook gets no further than its command', async (t) => {
  const hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'cat /proc/self/status >/tmp/status'] }] }
  await using container = await runtime.run({ ...sleeper, capAdd: ['SYS_PTRACE', 'NET_ADMIN'], hooks })
  const bounding = async (path: string) => {
    const { stdout } = await container.exec(['cat', path])
    return BigInt(`0x${/CapBnd:\t(.*)/.exec(stdout)![1]!}`)
  }
  const ptrace = 1n << 19n
  t.equal((await bounding('/proc/1/status')) & ptrace, ptrace)
  t.equal(
    await bounding('/tmp/status'),
    (await bounding('/proc/1/status')) & ~ptrace,
    'nor can it trace the helper beside it',
  )
})

t.test('they are run again at a restart by the monitor', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    command: ['sh', '-c', 'test $(wc -l </times) -ge 2'],
    restart: 'on-failure',
    hooks: {
      createContainer: [note('again')],
      startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'echo x >>/times'] }],
    },
  })
  t.match(await container.wait(), { exitCode: 0, restartCount: 1 })
  t.strictSame(lines(), ['again', 'again'])
  rmSync(log)
})

t.test('hooks of CDI files', async (t) => {
  mkdirSync(join(home, 'cdi'))
  const hook = { hookName: 'createContainer', ...note('cdi', 'echo $ONLY') }
  writeFileSync(
    join(home, 'cdi/vendor.json'),
    JSON.stringify({
      cdiVersion: '0.6.0',
      kind: 'vendor.com/gpu',
      devices: [{ name: '0', containerEdits: { hooks: [{ ...hook, env: ['ONLY=this'] }] } }],
      containerEdits: { hooks: [hook] },
    }),
  )
  const other = await testRuntime({ cdiSpecDirs: [join(home, 'cdi')] })
  try {
    await using _ = await other.runtime.run({
      ...sleeper,
      image: other.image,
      devices: ['vendor.com/gpu=0'],
      restart: 'on-failure',
    })
    t.strictSame(lines(), ['cdi', '', 'cdi', 'this'])
  } finally {
    await other[Symbol.asyncDispose]()
  }
})

t.test('what is refused', async (t) => {
  await t.rejects(runtime.containers.create({ ...sleeper, restart: 'always', hooks: { poststop: [{ path: '/x' }] } }), {
    code: 'INVALID_OPTION',
    message: /hooks\.poststop: can't be had with restart: 'always'/,
  })
  const health = { command: ['true'], onFailure: 'restart' } as const
  await t.rejects(runtime.containers.create({ ...sleeper, health, hooks: { createRuntime: [{ path: '/x' }] } }), {
    code: 'INVALID_OPTION',
    message: /hooks\.createRuntime: can't be had with health\.onFailure: 'restart'/,
  })
  await t.rejects(runtime.containers.create({ ...sleeper, hooks: { poststop: [{ path: 'x' }] } }), {
    code: 'INVALID_OPTION',
  })
})
