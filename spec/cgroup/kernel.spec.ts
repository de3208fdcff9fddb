/** The real thing: cgroups of this machine, below a parent of this spec's own, as root. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cgroups } from '../../lib/cgroup/cgroups.js'
import { detectLayout, type LayoutMode } from '../../lib/cgroup/layout.js'
import { openCgroups } from '../../lib/cgroup/open.js'
import { needs } from '../peers.js'
import { makeCgroup, startInside } from './enact.js'

const MEGABYTE = 1 << 20
const parent = `podling-spec-cgroup-${String(process.pid)}`
const machine = detectLayout(readFileSync('/proc/self/mountinfo', 'utf8'))!.mode
// A hybrid machine can be used as if it had v1 alone, so both ways are tested there.
const modes: LayoutMode[] = machine === 'hybrid' ? ['hybrid', 'v1'] : [machine]

/** Every cgroup of this machine that has the name. */
function leftovers(name: string): string[] {
  return execFileSync('find', ['/sys/fs/cgroup', '-type', 'd', '-name', `${name}*`], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '')
}

async function read(cgroups: Cgroups, id: string, file: string): Promise<string> {
  const plan = cgroups.plan(id, {})
  const directory = plan.directories.find((candidate) => existsSync(join(candidate, file)))
  return directory === undefined ? '' : readFileSync(join(directory, file), 'utf8').trim()
}

for (const mode of modes) {
  t.test(mode, needs('root'), async (t) => {
    const cgroups = await openCgroups({ parent: `${parent}-${mode}`, mode })
    t.teardown(async () => {
      for (const id of await cgroups.list()) {
        await cgroups.kill(id)
        await cgroups.remove(id)
      }
      await cgroups.close()
    })
    const limitFile = mode === 'v2' ? 'memory.max' : 'memory.limit_in_bytes'

    await t.test('limits arrive in the kernel, use is counted, an update changes what it names', async (t) => {
      const plan = cgroups.plan('one', {
        memory: { limit: 64 * MEGABYTE },
        cpu: { quota: 50_000, period: 100_000, shares: 512 },
        pids: { limit: 16 },
      })
      makeCgroup(plan)
      await startInside(plan, 'while :; do :; done')
      t.ok(cgroups.exists('one'))
      t.strictSame(await cgroups.list(), ['one'])
      t.equal(await read(cgroups, 'one', limitFile), String(64 * MEGABYTE))
      let stats = cgroups.stats('one')
      for (let i = 0; stats.cpu.usage === 0 && i < 3000; i++) {
        await sleep(10)
        stats = cgroups.stats('one')
      }
      t.ok(stats.cpu.usage > 0)
      t.match(stats, { memory: { limit: 64 * MEGABYTE, oomKills: 0 }, pids: { current: 1, limit: 16 } })
      t.ok(stats.memory!.usage >= stats.memory!.workingSet)

      await cgroups.update('one', { memory: { limit: 32 * MEGABYTE }, pids: { limit: -1 } })
      stats = cgroups.stats('one')
      t.equal(stats.memory?.limit, 32 * MEGABYTE)
      t.equal(stats.pids?.limit, undefined)
      await cgroups.kill('one')
      await cgroups.remove('one')
      t.notOk(cgroups.exists('one'))
    })

    await t.test('memory and swap can grow and shrink together', async (t) => {
      makeCgroup(cgroups.plan('grow', { memory: { limit: 32 * MEGABYTE, swap: 32 * MEGABYTE } }))
      for (const limit of [256 * MEGABYTE, 16 * MEGABYTE]) {
        await cgroups.update('grow', { memory: { limit, swap: limit } })
        t.equal(cgroups.stats('grow').memory?.limit, limit)
      }
      await cgroups.update('grow', { memory: { swap: 64 * MEGABYTE } })
      await t.rejects(cgroups.update('grow', { memory: { swap: 8 * MEGABYTE } }), { code: 'INVALID_OPTION' })
      await t.rejects(cgroups.update('grow', { devices: [] }), { code: 'INVALID_OPTION' })
      await cgroups.remove('grow')
    })

    await t.test('a running container can be given cpus that it did not have to care about before', async (t) => {
      const plan = cgroups.plan('set', {})
      makeCgroup(plan)
      const child = await startInside(plan, 'sleep 100 & sleep 100')
      await cgroups.update('set', { cpu: { cpus: '0' } })
      t.match(readFileSync(`/proc/${String(child.pid)}/status`, 'utf8'), /^Cpus_allowed_list:\t0$/m)
      await cgroups.kill('set')
      await cgroups.remove('set')
    })

    await t.test('a fork bomb is killed to the last process, nested cgroups and all', async (t) => {
      const plan = cgroups.plan('bomb', { pids: { limit: 60 } })
      makeCgroup(plan)
      // What the container makes inside of its own cgroups goes with them.
      for (const directory of plan.directories) mkdirSync(join(directory, 'inner'))
      await startInside(plan, 'fork() { while :; do fork & done; }; fork 2>/dev/null')
      await sleep(50)
      await cgroups.kill('bomb')
      // pids.current still counts zombies that nobody has reaped yet; cgroup.procs doesn't.
      const procs = plan.directories.flatMap((directory) => [directory, join(directory, 'inner')])
      t.equal(procs.map((directory) => readFileSync(join(directory, 'cgroup.procs'), 'utf8')).join(''), '')
      await cgroups.remove('bomb')
      t.strictSame(await cgroups.list(), [])
    })

    await t.test('an OOM kill is counted', async (t) => {
      const plan = cgroups.plan('oom', { memory: { limit: 16 * MEGABYTE, swap: 16 * MEGABYTE } })
      makeCgroup(plan)
      const child = await startInside(plan, 'exec awk \'BEGIN { s = "x"; while (1) s = s s }\'')
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      t.equal(signal, 'SIGKILL')
      t.ok(cgroups.stats('oom').memory!.oomKills > 0)
      t.match(readFileSync(plan.oomEvents!, 'utf8'), /^oom_kill [1-9]/m)
      await cgroups.remove('oom')
    })

    await t.test('what is gone already is success; what never was is an error where it matters', async (t) => {
      await cgroups.kill('nobody')
      await cgroups.remove('nobody')
      t.notOk(cgroups.exists('nobody'))
      t.throws(() => cgroups.stats('nobody'), { code: 'CGROUP_NOT_FOUND' })
      await t.rejects(cgroups.update('nobody', {}), { code: 'CGROUP_NOT_FOUND' })
      await t.rejects(cgroups.remove('../nobody'), { code: 'INVALID_OPTION' })
    })

    await t.test('a cgroup with processes in it is not removed, and the error says so', async (t) => {
      const plan = cgroups.plan('busy', {})
      makeCgroup(plan)
      await startInside(plan, 'sleep 100')
      await t.rejects(cgroups.remove('busy'), {
        code: 'SYSTEM_CALL_FAILED',
        errno: 'EBUSY',
        message: /end its processes first/,
      })
      await cgroups.kill('busy')
      await cgroups.remove('busy')
    })

    await t.test("warm slots aren't listed", async (t) => {
      const plan = cgroups.plan('warm-1', {})
      makeCgroup(plan)
      t.strictSame(await cgroups.list(), [])
      await cgroups.close()
      t.ok(existsSync(dirname(plan.directories[0]!)), 'a parent that holds something stays')
      await cgroups.remove('warm-1')
    })

    await t.test('parents that another runtime removed come back', async (t) => {
      await cgroups.close()
      t.strictSame(leftovers(`${parent}-${mode}`), [])
      await cgroups.prepare()
      makeCgroup(cgroups.plan('again', { cpu: { cpus: '0' }, pids: { limit: 5 } }))
      await cgroups.remove('again')
      await cgroups.close()
      t.strictSame(leftovers(`${parent}-${mode}`), [], 'nothing is left')
    })
  })
}

t.test('modes that this machine does not have', async (t) => {
  const other = machine === 'v2' ? 'v1' : 'v2'
  await t.rejects(openCgroups({ parent, mode: other }), { code: 'CGROUP_UNAVAILABLE', message: /layout is/ })
  await t.rejects(openCgroups({ parent: '../x' }), { code: 'INVALID_OPTION' })
})

t.test('a user to whom nothing was delegated', needs('root'), async (t) => {
  process.seteuid!(65534)
  try {
    await t.rejects(openCgroups({ parent }), {
      code: 'CGROUP_UNAVAILABLE',
      errno: 'EACCES',
      message: /run as root, or from a systemd scope that is yours/,
    })
  } finally {
    process.seteuid!(0)
  }
})
