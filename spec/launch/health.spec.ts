/** Health checks by the monitor's own clock. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import { readHealthFile, type HealthStatus } from '../../lib/launch/health.js'
import type { PlanHealth } from '../../lib/launch/plan.js'
import { weakHelper } from '../fixtures/weak-helper.js'
import { makePlan, makeRootfs, noCgroup, path, type PlanOptions } from './rootfs.js'

const rootfs = makeRootfs()
t.teardown(() => {
  rootfs.remove()
})

const hour = 3_600_000
/** How much faster the monitor's clock goes than others. */
const speed = 100_000

function health(file: string, argv: readonly string[], more: Partial<PlanHealth>): PlanHealth {
  return {
    interval: hour / 12,
    timeout: 1000 * hour,
    startPeriod: 0,
    startInterval: hour / 12,
    retries: 3,
    onFailure: 'none',
    stopSignal: 15,
    stopTimeout: 0,
    file,
    check: {
      create: [],
      join: [],
      cgroup: noCgroup,
      stdio: { stdin: 'null', stdout: 'pass', stderr: 'pass' },
      operations: [{ op: 'exec', argv, env: [path] }],
    },
    ...more,
  }
}

t.test('24 hours of checks, one every five minutes', async (t) => {
  const helper = await weakHelper(t, {
    'clock.c': [
      ['return read_clock(CLOCK_MONOTONIC);', `return read_clock(CLOCK_MONOTONIC) * ${speed};`],
      ['timeout < INT_MAX ? (int)timeout : INT_MAX', `timeout < 0 ? -1 : (int)(timeout / ${speed}) + 1`],
    ],
  })
  const launcher = await Launcher.start({ helper })
  t.teardown(() => launcher.close())
  const options: PlanOptions = { argv: ['sleep', '86399'] }
  const file = join(rootfs.directory, 'health')
  const failing = ['sh', '-c', 'echo $(($(cat /count || echo 0) + 1)) >/count; cat /count; exit 1']
  const plan = makePlan(rootfs, options)
  const checked = health(file, failing, { retries: 12 * 24, onFailure: 'kill' })
  const monitor = await launcher.launch({ ...plan, monitor: { ...plan.monitor!, health: checked } }, [])
  const memory = () =>
    Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${monitor.monitorPid}/status`, 'latin1'))![1])
  const told: HealthStatus[] = []
  let before = 0
  monitor.onHealth(({ status, failingStreak }) => {
    told.push(status)
    if (failingStreak === 20) before = memory()
    if (failingStreak === 280) t.ok(before > 0 && memory() <= before, 'its monitor takes no more memory for it')
  })
  t.match(await monitor.exited, { exitCode: 137, stoppedByUser: false })
  t.equal(told.filter((status) => status === 'starting').at(0), 'starting')
  t.equal(told.at(-1), 'unhealthy')
  t.equal(told.filter((status) => status === 'unhealthy').length, 1)
  const left = readHealthFile(file)!
  t.match(left, { status: 'unhealthy', failingStreak: 288 })
  t.strictSame(
    left.log.map(({ output, exitCode }) => [output.replace(/^cat.*\n/, ''), exitCode]),
    [284, 285, 286, 287, 288].map((number) => [`${String(number)}\n`, 1]),
  )
})
