/** userfaultfd(2) holds the kernel up in the middle of a copy, which makes races in it easy to win. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const command = ['attack', 'userfaultfd']

t.test('without the filter', async (t) => {
  t.match((await lab.weak({ command, seccomp: 'unconfined' }, {})).lines, [/^ok /])
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong({ command })).lines, ['EPERM'])
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  for (const options of [{}, { user: 'app' }, { tty: true }, { privileged: true }]) {
    t.match(
      (await container.exec(command, options)).stdout,
      /^EPERM\s*$/,
      `a command that is brought in: ${JSON.stringify(options)}`,
    )
  }
})
