/** A container that takes more memory than it may is killed, and nobody else. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const command = ['attack', 'memory', '200']

t.test('without a limit', async (t) => {
  t.strictSame((await lab.weak({ command }, {})).lines, ['ok 0'])
})

t.test('Podling', async (t) => {
  await using bystander = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  await using container = await lab.runtime.run({ image: lab.image, command, memory: '32m', network: 'none' })
  t.match(await container.wait(), { exitCode: 137, signal: 'SIGKILL', oomKilled: true })
  t.equal(bystander.status, 'running')
})

t.test('Podling, by files in memory', async (t) => {
  const fill = ['sh', '-c', 'for name in a b c d e f; do head -c 30000000 /dev/zero >/dev/shm/$name || exit 5; done']
  const { exitCode } = await lab.strong({ command: fill, memory: '32m' })
  t.not(exitCode, 0, 'the size of /dev/shm or the limit stops it')
})
