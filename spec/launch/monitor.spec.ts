import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readExitFile } from '../../lib/launch/exit-record.js'
import { Launcher } from '../../lib/launch/launcher.js'
import { Monitor } from '../../lib/launch/monitor.js'
import type { Operation } from '../../lib/launch/operation.js'
import type { PlanCgroup } from '../../lib/launch/plan.js'
import { lives, makePlan, makeRootfs, noCgroup, run, shell, until } from './rootfs.js'

const rootfs = makeRootfs()
const launcher = await Launcher.start()
const unified = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup'
const memory = existsSync('/sys/fs/cgroup/memory') ? '/sys/fs/cgroup/memory' : undefined
const parents = [unified, ...(memory === undefined ? [] : [memory])].map((root) =>
  join(root, `podling-spec-launch-${String(process.pid)}`),
)
for (const parent of parents) mkdirSync(parent, { recursive: true })
t.teardown(async () => {
  await launcher.close()
  rootfs.remove()
  for (const parent of parents) rmdirSync(parent)
})

/** RLIMIT_NPROC counts all processes of a user, also those of another run of these tests: each has users of its own. */
const ownUser = (index: number): string => String(2_000_000 + 10 * process.pid + index)

let count = 0
function cgroup(more: Partial<PlanCgroup> = {}): PlanCgroup & { readonly unified: string } {
  const directory = join(parents[0]!, `c${count++}`)
  return { ...noCgroup, directories: [directory], into: directory, unified: directory, ...more }
}

const line = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00 (stdout|stderr) ([FP]) (.*)$/
const logged = { stdin: 'null', stdout: 'log', stderr: 'log' } as const

t.test('the log tells streams, lines and pieces apart', async (t) => {
  const log = join(rootfs.directory, 'log')
  await run(
    launcher,
    makePlan(rootfs, { argv: ['sh', '-c', 'echo one; echo two >&2; echo; printf three'], stdio: logged, log }),
  )
  const entries = readFileSync(log, 'utf8')
    .trimEnd()
    .split('\n')
    .map((text) => line.exec(text)!.slice(1))
  t.same(
    entries.filter(([stream]) => stream === 'stdout'),
    [
      ['stdout', 'F', 'one'],
      ['stdout', 'F', ''],
      ['stdout', 'P', 'three'],
    ],
  )
  t.same(
    entries.filter(([stream]) => stream === 'stderr'),
    [['stderr', 'F', 'two']],
  )
  t.equal(statSync(log).mode & 0o777, 0o640)
})

t.test('no line is lost, however fast they come', async (t) => {
  const log = join(rootfs.directory, 'fast')
  const { record } = await run(launcher, makePlan(rootfs, { argv: ['seq', '1', '300000'], stdio: logged, log }))
  t.equal(record.lostLogLines, 0)
  let text = ''
  let broken = 0
  for (const entry of readFileSync(log, 'utf8').trimEnd().split('\n')) {
    const match = line.exec(entry)
    if (match === null) broken++
    else text += match[3]! + (match[2] === 'F' ? '\n' : '')
  }
  t.equal(broken, 0)
  t.ok(text === Array.from({ length: 300000 }, (_, i) => `${i + 1}\n`).join(''), 'all numbers in their order')
})

t.test('a full log disk costs lines, not the container', async (t) => {
  const { record } = await run(
    launcher,
    makePlan(rootfs, { argv: ['seq', '1', '1000'], stdio: logged, log: '/dev/full' }),
  )
  t.match(record, { exitCode: 0, lostLogLines: 1000 })
})

t.test('the exit record is on disk before the exit is told', async (t) => {
  const plan = makePlan(rootfs, { argv: ['sh', '-c', 'exit 3'] })
  const { record } = await run(launcher, plan)
  t.strictSame(await readExitFile(plan.monitor!.exitFile), record)
  t.notOk(existsSync(plan.monitor!.socket))
  t.equal(await readExitFile(join(rootfs.directory, 'no-such')), undefined)
  writeFileSync(join(rootfs.directory, 'damaged'), '{')
  await t.rejects(readExitFile(join(rootfs.directory, 'damaged')), { code: 'STATE_INVALID' })
})

t.test('a detached container outlives its host’s connection, and is adopted', async (t) => {
  const plan = makePlan(rootfs, { argv: ['sleep', '1000'], lifetime: 'detached' })
  const first = await launcher.launch(plan, [])
  first.close()
  await t.rejects(first.exited, { code: 'MONITOR_DIED' })
  t.equal(statSync(plan.monitor!.socket).mode & 0o777, 0o600)
  const second = await Monitor.connect(plan.monitor!.socket)
  t.equal(second.pid, first.pid)
  t.strictSame(second.started, first.started)
  const third = await Monitor.connect(plan.monitor!.socket)
  await third.kill(9)
  t.match(await second.exited, { signal: 9 })
  t.match(await third.exited, { signal: 9 })
  t.match(await readExitFile(plan.monitor!.exitFile), { signal: 9 })
  await t.rejects(Monitor.connect(plan.monitor!.socket), { code: 'MONITOR_DIED' })
})

t.test('a bound container ends with the connection that started it', async (t) => {
  const group = cgroup()
  const plan = makePlan(rootfs, { argv: ['sh', '-c', 'sleep 1000 & sleep 1000'], cgroup: group })
  const first = await launcher.launch(plan, [])
  const second = await Monitor.connect(plan.monitor!.socket)
  second.close()
  const third = await Monitor.connect(plan.monitor!.socket)
  await first.kill(0)
  t.ok(lives(first.pid), 'one that adopted it may come and go')
  first.close()
  t.match(await third.exited, { signal: 9 }, 'nor does one that looks on keep it alive')
  const { exitFile } = plan.monitor!
  await until(() => !lives(second.pid) && !existsSync(group.unified) && existsSync(exitFile), 'the container is gone')
  t.match(await readExitFile(plan.monitor!.exitFile), { signal: 9 })
})

t.test('a fork bomb can’t outlive its end', async (t) => {
  const group = cgroup()
  const plan = makePlan(rootfs, {
    argv: ['sh', '-c', 'trap "" TERM INT HUP; f() { usleep 50000; f & f & wait; }; f'],
    cgroup: group,
    create: ['mount', 'uts', 'ipc', 'network'],
    before: [
      { op: 'rlimit', resource: 6, soft: 1000n, hard: 1000n },
      { op: 'user', user: ownUser(0), groups: [], setHome: false },
    ],
  })
  const monitor = await launcher.launch(plan, [])
  await until(() => readFileSync(join(group.unified, 'cgroup.procs'), 'utf8').split('\n').length > 20, 'it has forked')
  monitor.close()
  await until(() => !existsSync(group.unified), 'all are dead')
  t.ok(true)
})

t.test('all processes of a container can be signalled, frozen and thawed', async (t) => {
  const group = cgroup()
  const plan = makePlan(rootfs, {
    argv: ['sh', '-c', 'sleep 1000 & sleep 1001'],
    cgroup: group,
    create: ['mount', 'uts'],
  })
  const monitor = await launcher.launch(plan, [])
  await until(
    () => readFileSync(join(group.unified, 'cgroup.procs'), 'utf8').trim().split('\n').length === 2,
    'both are there',
  )
  await monitor.freeze()
  t.match(readFileSync(join(group.unified, 'cgroup.events'), 'utf8'), 'frozen 1')
  await monitor.thaw()
  t.match(readFileSync(join(group.unified, 'cgroup.events'), 'utf8'), 'frozen 0')
  await monitor.kill(15, { all: true })
  t.match(await monitor.exited, { signal: 15 })
  t.notOk(existsSync(group.unified))
  const frozen = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: cgroup() }), [])
  await frozen.freeze()
  frozen.kill(9, { all: true }).catch(() => undefined)
  t.match(await frozen.exited, { signal: 9 }, 'a frozen one dies too')
})

const freezer = existsSync('/sys/fs/cgroup/freezer')
  ? `/sys/fs/cgroup/freezer/podling-spec-launch-${String(process.pid)}`
  : undefined

t.test(
  'with v1 alone, freezing makes the kill sure',
  { skip: freezer === undefined && 'this machine has no v1 freezer' },
  async (t) => {
    mkdirSync(freezer!, { recursive: true })
    t.teardown(() => {
      rmdirSync(freezer!)
    })
    const directory = join(freezer!, 'one')
    const group: PlanCgroup = {
      ...noCgroup,
      directories: [directory],
      attach: [join(directory, 'cgroup.procs')],
      freezer: directory,
    }
    const argv = ['sh', '-c', 'trap "" TERM INT HUP; f() { usleep 50000; f & f & wait; }; f']
    const before: Operation[] = [
      { op: 'rlimit', resource: 6, soft: 1000n, hard: 1000n },
      { op: 'user', user: ownUser(1), groups: [], setHome: false },
    ]
    const monitor = await launcher.launch(
      makePlan(rootfs, { argv, before, cgroup: group, create: ['mount', 'uts'] }),
      [],
    )
    await monitor.freeze()
    t.equal(readFileSync(join(directory, 'freezer.state'), 'utf8'), 'FROZEN\n')
    await monitor.thaw()
    await until(() => readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').length > 20, 'it has forked')
    monitor.close()
    await until(() => !existsSync(directory), 'all are dead')
    const frozen = await launcher.launch(
      makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: group, create: ['mount', 'uts'] }),
      [],
    )
    await frozen.freeze()
    await frozen.kill(9, { all: true })
    t.match(await frozen.exited, { signal: 9 })
    t.notOk(existsSync(directory))
  },
)

t.test('cgroups that the container made are removed with its own', async (t) => {
  const group = cgroup()
  const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: group }), [])
  mkdirSync(join(group.unified, 'a/b'), { recursive: true })
  await monitor.kill(9)
  await monitor.exited
  t.notOk(existsSync(group.unified))
})

t.test('a failed start leaves nothing', async (t) => {
  const group = cgroup({ writes: [{ path: join(parents[0]!, 'no.such.file'), value: '1' }] })
  const plan = makePlan(rootfs, { argv: ['true'], cgroup: group })
  await t.rejects(launcher.launch(plan, []), {
    code: 'START_FAILED',
    message: /^write 1 to .*no\.such\.file: (ENOENT|EACCES)/,
  })
  const other = cgroup()
  await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['nothing'], cgroup: other }), []), {
    code: 'COMMAND_NOT_FOUND',
  })
  t.same(
    readdirSync(parents[0]!).filter((name) => name.startsWith('c') && !name.includes('.')),
    [],
  )
  t.notOk(existsSync(plan.monitor!.socket))
  t.notOk(existsSync(plan.monitor!.exitFile))
  const nowhere = makePlan(rootfs, { argv: ['sleep', '1000'] })
  await t.rejects(launcher.launch({ ...nowhere, monitor: { ...nowhere.monitor!, socket: '/missing/socket' } }, []), {
    message: 'listen at /missing/socket: ENOENT',
  })
})

t.test(
  'an OOM kill is told',
  { skip: memory === undefined && 'only the v1 memory controller is known to this test' },
  async (t) => {
    const directory = join(parents[1]!, 'oom')
    const base = cgroup()
    const group: PlanCgroup = {
      ...base,
      directories: [...base.directories, directory],
      writes: [{ path: join(directory, 'memory.limit_in_bytes'), value: '8388608' }],
      attach: [join(directory, 'cgroup.procs')],
      oomEvents: join(directory, 'memory.oom_control'),
    }
    const { record } = await shell(launcher, rootfs, 'dd if=/dev/zero of=/dev/null bs=50M count=1; exit 4', {
      cgroup: group,
    })
    t.match(record, { exitCode: 4, oomKilled: true })
    t.notOk(existsSync(directory))
    t.match((await shell(launcher, rootfs, 'exit 0', { cgroup: { ...group, ...cgroup() } })).record, {
      oomKilled: false,
    })
  },
)

function privateKilobytes(pid: number): number {
  const monitor = /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!
  const rollup = readFileSync(`/proc/${monitor}/smaps_rollup`, 'utf8')
  return [...rollup.matchAll(/^Private_\w+: +(\d+) kB/gm)].reduce((sum, match) => sum + Number(match[1]), 0)
}

t.test('a monitor is small', async (t) => {
  const quiet = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'] }), [])
  const log = join(rootfs.directory, 'small')
  const argv = ['sh', '-c', 'seq 1 100000; echo done; sleep 1000']
  const busy = await launcher.launch(makePlan(rootfs, { argv, stdio: logged, log }), [])
  await until(() => /^.* F done$/m.test(readFileSync(log, 'utf8')), 'all is logged')
  for (const monitor of [quiet, busy]) {
    const kilobytes = privateKilobytes(monitor.pid)
    t.comment(`${kilobytes} kB private`)
    t.ok(kilobytes < 600)
    await monitor.kill(9)
    await monitor.exited
  }
})
