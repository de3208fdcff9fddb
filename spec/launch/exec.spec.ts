import { existsSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import { close, pipe } from '../../lib/sys/descriptors.js'
import type { Operation } from '../../lib/launch/operation.js'
import { rlimitNumbers } from '../../lib/launch/rlimits.js'
import { lives, makeExec, makePlan, makeRootfs, noCgroup, readAll, until } from './rootfs.js'

const rootfs = makeRootfs()
const launcher = await Launcher.start()
const unified = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup'
const group = join(unified, `podling-spec-exec-${String(process.pid)}`)
mkdirSync(group, { recursive: true })
const directory = join(group, 'one')
const cgroup = { ...noCgroup, directories: [directory], into: directory, unified: directory }
const container = await launcher.launch(
  makePlan(rootfs, { argv: ['sleep', '1000'], cgroup, before: [{ op: 'hostname', name: 'inside' }] }),
  [],
)
t.teardown(async () => {
  await container.kill(9).catch(() => undefined)
  await container.exited
  await launcher.close()
  rootfs.remove()
  rmdirSync(group)
})

t.test('a process joins all of the container', async (t) => {
  const out = pipe()
  const script =
    'hostname; echo /proc/self/fd/*; for n in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup; exit 3'
  const process = await container.exec(makeExec(['sh', '-c', script], { stdout: 'pass' }), [out.write])
  const lines = (await readAll(out.read)).toString().split('\n')
  t.equal(lines[0], 'inside')
  t.equal(lines[1], '/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3')
  t.match(await process.exited, { exitCode: 3, signal: undefined })
  t.ok(lines.includes('0::/'), 'its cgroup namespace and its cgroup are those of pid 1')
  for (const [i, name] of ['mnt', 'pid', 'uts', 'ipc', 'net', 'cgroup'].entries()) {
    t.equal(lines[2 + i], readlinkSync(`/proc/${container.pid}/ns/${name}`))
  }
})

t.test('its limits are there, whether it is seen from the beginning or at last', async (t) => {
  const limits: Operation[] = [
    { op: 'rlimit', resource: rlimitNumbers['RLIMIT_NPROC'] ?? -1, soft: 60n, hard: 70n },
    { op: 'oom-score-adj', value: 500 },
  ]
  const look = ['sh', '-c', 'grep processes /proc/self/limits; cat /proc/self/oom_score_adj']
  for (const before of [limits, [{ op: 'enter-pids' } as const, ...limits]]) {
    const out = pipe()
    await container.exec(makeExec(look, { stdout: 'pass' }, before), [out.write])
    t.match((await readAll(out.read)).toString(), /^Max processes +60 +70 .*\n500\n$/)
  }
})

t.test('its failures are told apart', async (t) => {
  const fails = async (
    plan: Parameters<typeof container.exec>[0],
    expected: Record<string, unknown>,
  ): Promise<void> => {
    t.match(await container.exec(plan, []).catch((error: unknown) => error), expected)
  }
  await fails(makeExec(['nothing']), { code: 'COMMAND_NOT_FOUND' })
  await fails(makeExec(['garbage']), { code: 'COMMAND_NOT_EXECUTABLE' })
  await fails(makeExec(['true'], {}, [{ op: 'user', user: 'nobody-here', groups: [], setHome: false }]), {
    code: 'USER_NOT_FOUND',
  })
  await fails(makeExec(['true'], {}, [{ op: 'chdir', path: '/missing', create: false }]), { code: 'WORKDIR_INVALID' })
  await fails(makeExec(['true'], { stdout: 'pass' }), { code: 'START_FAILED' })
})

t.test('100 MB pass through', async (t) => {
  const out = pipe({ size: 1 << 20 })
  const started = process.hrtime.bigint()
  const dd = makeExec(['dd', 'if=/dev/zero', 'bs=1M', 'count=100'], { stdout: 'pass' })
  const run = await container.exec(dd, [out.write])
  let size = 0
  for await (const chunk of new Socket({ fd: out.read, readable: true, writable: false }))
    size += (chunk as Buffer).length
  t.comment(`${(100 / (Number(process.hrtime.bigint() - started) / 1e9)).toFixed(0)} MB/s`)
  t.equal(size, 100 << 20)
  t.equal((await run.exited).exitCode, 0)
})

t.test('input reaches it, and it is killed by signals', async (t) => {
  const input = pipe()
  const out = pipe()
  const cat = await container.exec(makeExec(['cat'], { stdin: 'pass', stdout: 'pass' }), [input.read, out.write])
  writeSync(input.write, 'hello')
  close(input.write)
  t.equal((await readAll(out.read)).toString(), 'hello')
  t.equal((await cat.exited).exitCode, 0)
  const sleeping = await container.exec(makeExec(['sleep', '1000']), [])
  await sleeping.kill(15)
  t.match(await sleeping.exited, { exitCode: 143, signal: 15 })
  await t.rejects(sleeping.kill(15), { code: 'INVALID_STATE' })
})

t.test('it ends with its connection', async (t) => {
  const sleeping = await container.exec(makeExec(['sleep', '1000']), [])
  t.ok(lives(sleeping.pid))
  sleeping.close()
  await until(() => !lives(sleeping.pid), 'it is dead')
})

t.test('many at once', async (t) => {
  const codes = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => (await container.exec(makeExec(['sh', '-c', `exit ${i}`]), [])).exited),
  )
  t.same(
    codes.map((record) => record.exitCode),
    Array.from({ length: 40 }, (_, i) => i),
  )
})

t.test('a container’s end takes its processes along', async (t) => {
  const other = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'] }), [])
  const inner = await other.exec(makeExec(['sleep', '1001']), [])
  await other.kill(9)
  t.match(await inner.exited, { signal: 9 })
  await other.exited
  await t.rejects(other.exec(makeExec(['true']), []), { code: 'INVALID_STATE' })
  t.notOk(readFileSync('/proc/mounts', 'utf8').includes(rootfs.directory), 'no mount is left on the host')
})
