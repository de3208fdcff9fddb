/** Processes without end: the host keeps its own, and the container can be ended. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const command = ['attack', 'forks', '400']

t.test('without a limit on processes', async (t) => {
  t.strictSame((await lab.weak({ command }, {})).lines, ['ok 400'])
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong({ command, pidsLimit: 100 })).lines, ['EAGAIN'])
  // A shell ends where it cannot fork: pid 1 therefore forks once, before the limit is reached, and only waits.
  const bomb = 'trap "" TERM; f() { while :; do f & done; }; f 2>/dev/null & echo up; while :; do wait; done'
  await using container = await lab.runtime.run({
    image: lab.image,
    command: ['sh', '-c', bomb],
    pidsLimit: 200,
    network: 'none',
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  t.match(await container.stop({ timeout: 100 }), { signal: 'SIGKILL' })
})

t.test('Podling has a limit where none is given', async (t) => {
  t.strictSame((await lab.strong({ command: ['attack', 'forks', '2100'] })).lines, ['EAGAIN'])
})
