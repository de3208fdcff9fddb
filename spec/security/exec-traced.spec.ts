/**
 * CVE-2016-9962: processes of the container trace a command that is brought in before it has executed its program, and with
 * it get what it has of the host.
 */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { all, weakened } from '../fixtures/weak-helper.js'
import { until } from '../launch/rootfs.js'

const lab = await attackLab(t)
const command = ['attack', 'trace', '/bin/attack', '/bin/busybox']

t.test('a newcomer that lets itself be looked into', async (t) => {
  const { monitor, exec, output } = await lab.weakStart({ command }, { helper: all(weakened.dumpable, weakened.slow) })
  let ended = false
  monitor.exited.then(() => (ended = true)).catch(() => undefined)
  await until(async () => {
    await exec(['true']).catch(() => undefined)
    return ended
  }, 'the newcomer is traced')
  t.equal(await output, 'hunting\nok\n')
})

t.test('with time to attack, and no protection less', async (t) => {
  const { monitor, exec, output } = await lab.weakStart({ command }, { helper: weakened.slow })
  for (let i = 0; i < 3; i++) await exec(['true'])
  await monitor.kill(9)
  t.equal(await output, 'hunting\n')
})

t.test('Podling', async (t) => {
  await using container = await lab.runtime.run({ image: lab.image, command, network: 'none' })
  for (let i = 0; i < 30; i++) t.equal((await container.exec(['echo', 'fine'])).stdout, 'fine\n')
  await container.kill()
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['hunting'])
})
