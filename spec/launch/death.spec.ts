/** Whoever dies, whenever: nothing stays. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import type { PlanCgroup } from '../../lib/launch/plan.js'
import { lives, makeExec, makePlan, makeRootfs, noCgroup, shell, until } from './rootfs.js'

const rootfs = makeRootfs()
const unified = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup'
const parent = join(unified, `podling-spec-death-${String(process.pid)}`)
mkdirSync(parent, { recursive: true })
t.teardown(() => {
  rootfs.remove()
  rmdirSync(parent)
})

let count = 0
function cgroup(): PlanCgroup & { readonly unified: string } {
  const directory = join(parent, `c${count++}`)
  return { ...noCgroup, directories: [directory], into: directory, unified: directory }
}
const host = join(dirname(fileURLToPath(import.meta.url)), 'host.js')

function monitorOf(pid: number): number {
  return Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

t.test('a host that is killed at any moment', async (t) => {
  for (let i = 0; i < 30; i++) {
    const plan = makePlan(rootfs, { argv: ['sh', '-c', 'sleep 1000 & sleep 1000'], cgroup: cgroup() })
    const child = spawn(process.execPath, [host, JSON.stringify(plan)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await until(() => text.startsWith('ready'), 'the host is ready')
    await delay(i / 3)
    child.kill('SIGKILL')
    await once(child, 'close')
    await until(
      () => readdirSync(parent).filter((name) => name.startsWith('c') && !name.includes('.')).length === 0,
      'its cgroup is gone',
    )
    await until(() => !existsSync(plan.monitor!.socket), 'its monitor is gone')
  }
  t.notOk(readFileSync('/proc/mounts', 'utf8').includes(rootfs.directory), 'no mount is left')
})

t.test('a host that only has an idle launcher ends, and its container with it', async (t) => {
  const group = cgroup()
  const plan = makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: group })
  const child = spawn(process.execPath, [host, JSON.stringify(plan), 'idle'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 0)
  await until(() => !lives(Number(text)) && !existsSync(group.unified), 'the container is gone')
})

t.test('a launcher that is killed is replaced, and nobody notices', async (t) => {
  const launcher = await Launcher.start()
  const first = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'] }), [])
  for (let i = 0; i < 10; i++) {
    const before = launcher.pid
    process.kill(before, 'SIGKILL')
    if (i % 2 === 0) await delay(20)
    t.equal((await shell(launcher, rootfs, 'echo fine')).output, 'fine\n')
    t.not(launcher.pid, before)
    await until(() => !existsSync(`/proc/${before}`), 'the dead launcher is reaped')
  }
  t.ok(lives(first.pid), 'the container of the first launcher runs')
  await first.kill(9)
  t.match(await first.exited, { signal: 9 })
  const last = launcher.pid
  await launcher.close()
  await until(() => !lives(last), 'the launcher ends')
  await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['true'] }), []), { code: 'RUNTIME_CLOSED' })
})

t.test('a monitor that is killed takes its container along', async (t) => {
  const launcher = await Launcher.start()
  t.teardown(() => launcher.close())
  for (const before of [[], [{ op: 'user', user: 'ann', groups: [], setHome: false }], [{ op: 'init' }]] as const) {
    const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'], before }), [])
    const inner = await monitor.exec(
      makeExec(
        ['sleep', '1000'],
        {},
        before.filter(({ op }) => op === 'user'),
      ),
      [],
    )
    process.kill(monitorOf(monitor.pid), 'SIGKILL')
    await t.rejects(monitor.exited, { code: 'MONITOR_DIED' })
    await t.rejects(inner.exited, { code: 'MONITOR_DIED' })
    await until(() => !lives(monitor.pid) && !lives(inner.pid), 'its processes are dead')
    await t.rejects(monitor.exec(makeExec(['true']), []), { code: 'INVALID_STATE' })
  }
})

t.test('a monitor that is asked to end ends its container, and records it', async (t) => {
  const launcher = await Launcher.start()
  t.teardown(() => launcher.close())
  const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'], lifetime: 'detached' }), [])
  process.kill(monitorOf(monitor.pid), 'SIGTERM')
  t.match(await monitor.exited, { signal: 9 })
})

t.test('no descriptor is left open in the host', async (t) => {
  const launcher = await Launcher.start()
  const open = (): number => readdirSync('/proc/self/fd').length
  const round = async (): Promise<void> => {
    await shell(launcher, rootfs, 'true')
    await launcher.launch(makePlan(rootfs, { argv: ['nothing'] }), []).catch(() => undefined)
    const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'] }), [])
    await (
      await monitor.exec(makeExec(['true']), [])
    ).exited
    await monitor.kill(9)
    await monitor.exited
  }
  await round()
  // A few may be open for the moment, whenever it is counted; one for each round would be more than that.
  const few = 5
  const before = open()
  for (let i = 0; i < 2 * few; i++) await round()
  await until(() => open() <= before + few, 'all are closed')
  await launcher.close()
  t.ok(open() <= before + few)
})
