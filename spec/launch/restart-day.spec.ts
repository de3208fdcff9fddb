/** Restarts over a day, which a clock of the test's makes short: how often, and after how long. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import type { Teardown } from '../fixtures/directory.js'
import { fakeClock } from '../fixtures/fake-clock.js'
import { weakHelper } from '../fixtures/weak-helper.js'
import { needs } from '../peers.js'
import { makePlan, makeRootfs, until } from './rootfs.js'

const DAY = 24 * 60 * 60 * 1000

/** What a container that runs `command` again and again does within the day, and how long it is waited for each time. */
async function oneDay(t: Teardown, command: string): Promise<{ runs: number; waits: number[]; restarts: number }> {
  const rootfs = makeRootfs()
  t.teardown(() => {
    rootfs.remove()
  })
  const at = (name: string): string => join(rootfs.root, name)
  for (const name of ['passed', 'waits', 'runs']) appendFileSync(at(name), '')
  const clock = { passed: at('passed'), waits: at('waits'), over: at('over') }
  const launcher = await Launcher.start({ helper: await weakHelper(t, fakeClock(clock)) })
  t.teardown(() => launcher.close())
  const plan = makePlan(rootfs, { argv: ['sh', '-c', `echo >> /runs; ${command}`], overlay: false })
  const monitor = await launcher.launch({ ...plan, monitor: { ...plan.monitor!, restart: { policy: 'always' } } }, [])
  await until(() => existsSync(clock.over), 'the day is over')
  await monitor.kill(15, { forGood: true })
  const { restartCount: restarts } = await monitor.exited
  const lines = (name: string): string[] => readFileSync(at(name), 'utf8').split('\n').slice(0, -1)
  return { runs: lines('runs').length, waits: lines('waits').map(Number), restarts }
}

t.test('always, of what ends at once', needs('root', 'busybox'), async (t) => {
  const { runs, waits, restarts } = await oneDay(t, 'exit 1')
  const growing = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200]
  const first = growing.reduce((sum, wait) => sum + wait)
  const rest = Math.floor((DAY - first) / 60_000)
  t.equal(rest, 1438)
  t.strictSame(waits, [...growing, ...Array.from({ length: rest }, () => 60_000)])
  t.equal(restarts, 1448)
  t.equal(runs, 1449, 'the first start, and one after each wait')
})

t.test('a run of ten seconds lets it begin anew, a shorter one not', needs('root', 'busybox'), async (t) => {
  // So many milliseconds go by in the runs; the last is a day, behind which nothing is waited for.
  const lasting = [0, 0, 9999, 0, 10_000, 0, 9999, 20_000, 0, DAY]
  const command = `set -- ${lasting.join(' ')}; shift $(($(wc -l < /runs) - 1)); dd if=/dev/zero bs=$1 count=1 >> /passed 2>/dev/null`
  const { runs, waits, restarts } = await oneDay(t, command)
  t.strictSame(waits, [100, 200, 400, 800, 100, 200, 400, 100, 200])
  t.strictSame([runs, restarts], [10, 9])
})
