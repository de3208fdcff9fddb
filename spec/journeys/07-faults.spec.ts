/** What a runtime does when something under it breaks: its helper processes, the disk, the limits of the machine. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PodlingError, Runtime, type Container } from 'podling'
import { cgroupParent, containerFiles, descendants, nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'

const MARKER = '86397'
const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image, root } = setup
const sleeper = { image, command: ['sleep', MARKER], network: 'none' }

/** Own launchers: this process has one for each runtime that is open. */
async function launchers(): Promise<number[]> {
  const pids = (await descendants(process.pid)).map((one) => Number(one.split('@')[0]))
  const names = await Promise.all(pids.map((pid) => readFile(`/proc/${String(pid)}/comm`, 'utf8').catch(() => '')))
  return pids.filter((_, i) => names[i]?.trim() === 'podling-launch')
}

async function monitorOf(pid: number | undefined): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${String(pid)}/status`, 'utf8'))?.[1])
}

t.test('the launcher is killed between two starts', async (t) => {
  await using before = await runtime.run(sleeper)
  for (const pid of await launchers()) process.kill(pid, 'SIGKILL')
  await using after = await runtime.run(sleeper)
  t.equal((await before.exec(['echo', 'here'])).stdout, 'here\n', 'what ran before goes on')
  t.equal((await after.exec(['echo', 'here'])).stdout, 'here\n')
})

t.test('the launcher is killed during starts', async (t) => {
  let failed = 0
  for (let round = 0; round < 15; round++) {
    const starts = Array.from({ length: 4 }, () => runtime.run({ ...sleeper, command: ['true'] }))
    await new Promise((resolve) => setTimeout(resolve, round))
    for (const pid of await launchers()) process.kill(pid, 'SIGKILL')
    for (const result of await Promise.allSettled(starts)) {
      if (result.status === 'fulfilled') await result.value.remove({ force: true })
      else {
        failed++
        t.ok(result.reason instanceof PodlingError)
        t.match((result.reason as PodlingError).code, /^(LAUNCHER|MONITOR)_DIED$/, String(result.reason))
      }
    }
  }
  t.comment(`${String(failed)} of 60 starts failed`)
  t.strictSame(await runtime.containers.list(), [], 'what failed is gone')
  await using after = await runtime.run(sleeper)
  t.equal(after.status, 'running')
})

t.test('a monitor that is killed takes its container along, and it is told', async (t) => {
  await using container = await runtime.run(sleeper)
  const exec = container.exec(['sleep', MARKER])
  exec.catch(() => undefined)
  const waiting = container.wait()
  waiting.catch(() => undefined)
  const lost = new Promise((resolve) => container.once('lost', resolve))
  const { pid } = container
  process.kill(await monitorOf(pid), 'SIGKILL')
  await t.rejects(waiting, { code: 'MONITOR_DIED' })
  await t.rejects(exec, { code: 'MONITOR_DIED' })
  t.match(await lost, { code: 'MONITOR_DIED' })
  t.equal(container.status, 'exited')
  await within(
    10_000,
    () => Promise.resolve(existsSync(`/proc/${String(pid)}`)),
    (there) => !there,
  )
  t.notOk(existsSync(`/proc/${String(pid)}`))
  await container.start()
  t.equal(container.status, 'running', 'it can be started again')
})

t.test('no more processes below the cgroup of the root', async (t) => {
  await using running = await runtime.run(sleeper)
  const paths = ['pids/', ''].map((hierarchy) => `/sys/fs/cgroup/${hierarchy}${cgroupParent(root)}/pids.max`)
  const limit = paths.find((path) => existsSync(path))
  if (limit === undefined) throw new Error('this machine has no pids controller')
  const current = Number(await readFile(limit.replace('.max', '.current'), 'utf8'))
  await writeFile(limit, String(current))
  try {
    // The warm slot may be counted already; then it is the next one that there is no room for.
    const results = await Promise.allSettled(
      [1, 2, 3].map(() => runtime.run({ ...sleeper, command: ['sh', '-c', 'sleep 1 & wait'] })),
    )
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as PodlingError] : []))
    for (const { code, message } of failures) {
      t.equal(code, 'LIMIT_REACHED', message)
      t.match(message, /no more processes.*; raise pids\.max/)
    }
    await t.rejects(running.exec(['true']), { code: 'LIMIT_REACHED' })
    for (const result of results) if (result.status === 'fulfilled') await result.value.remove({ force: true })
  } finally {
    await writeFile(limit, 'max')
  }
  t.equal((await running.exec(['echo', 'again'])).stdout, 'again\n')
})

t.test('the disk is full', async (t) => {
  const disk = await mkdtemp(join(tmpdir(), 'podling-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'podling-full', disk])
  t.teardown(async () => {
    execFileSync('umount', ['-l', disk])
    await rm(disk, { recursive: true })
  })
  const full = await Runtime.open({ root: disk })
  t.teardown(() => full.close())
  await full.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
  const ballast = join(disk, 'ballast')
  const fill = async () => {
    const { bavail, bsize } = await statfs(disk)
    await writeFile(ballast, Buffer.alloc(bavail * bsize), { flag: 'a' }).catch(() => undefined)
    await writeFile(ballast, Buffer.alloc(1), { flag: 'a' }).catch(() => undefined)
  }
  const free = () => truncate(ballast, 0)
  const options = { ...sleeper, image: 'busybox:test' }

  const writer = await full.run({
    ...options,
    command: ['sh', '-c', 'while [ ! -e /dev/shm/go ]; do sleep 0.01; done; seq 1 200000; echo end'],
  })
  const created = await full.containers.create(options)
  await fill()
  // The database has a little room of its own, for removals above all; that comes to its end.
  const late: Container[] = []
  let refused: unknown
  while (refused === undefined && late.length < 1000)
    await full.containers.create(options).then(
      (one) => late.push(one),
      (error: unknown) => (refused = error),
    )
  t.match(refused, { code: 'DISK_FULL' }, `after ${String(late.length)} more`)
  await t.rejects(created.start(), { code: 'DISK_FULL', message: /; free space|ENOSPC/ })
  for (const one of late) await one.remove()
  t.not(created.status, 'running')
  await writer.exec(['touch', '/dev/shm/go'])
  const exit = await writer.wait()
  t.equal(exit.exitCode, 0, 'a container goes on when its log can’t')
  t.ok(exit.lostLogLines > 0, `and it is told how much of it is lost (${String(exit.lostLogLines)} lines)`)
  const other = await Runtime.open({ root: disk }).catch((error: unknown) => error)
  if (other instanceof Runtime) {
    const seen = await other.containers.get(writer.id)
    t.equal((await seen.wait()).exitCode, 0, 'the exit status has its place kept')
    await other.close()
  } else t.match(other, { code: 'DISK_FULL' })
  await free()
  await created.start()
  t.equal(created.status, 'running', 'with room again it starts')
  await created.remove({ force: true })
  await writer.remove()
  t.strictSame(await full.containers.list(), [])
  t.strictSame(
    (await containerFiles(disk)).filter((path) => !path.startsWith('run/owners/')),
    [],
  )
})

t.test('nothing is left of all this', async (t) => {
  await runtime.close()
  t.strictSame(await settledLeftovers(root, MARKER), nothing)
  t.strictSame(await containerFiles(root), [])
})
