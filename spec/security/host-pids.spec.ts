/** Processes of the host can't be signalled from a container. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)

/** A process of the host, and how it ends. */
function victim(t: Test) {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  return { pid: String(child.pid), child, ended: once(child, 'exit') }
}

t.test('in the host’s pid namespace', async (t) => {
  const { pid, ended } = victim(t)
  t.strictSame((await lab.weak({ command: ['attack', 'kill', pid], pidns: 'host' }, {})).lines, ['ok 0'])
  t.same(await ended, [null, 'SIGKILL'])
})

t.test('Podling', async (t) => {
  const { pid, child } = victim(t)
  t.strictSame((await lab.strong({ command: ['attack', 'kill', pid] })).lines, ['ESRCH'])
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  t.equal((await container.exec(['attack', 'kill', pid])).stdout, 'ESRCH\n')
  // All that it can see, it may kill: that is itself.
  await container.exec(['attack', 'kill', '-1']).catch(() => undefined)
  t.equal(child.exitCode, null)
  t.equal(child.signalCode, null)
})
