/** io_uring goes past what a seccomp filter sees of file and network calls, and has had more holes than most of the kernel. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const command = ['attack', 'io-uring']

t.test('without the filter', async (t) => {
  t.match((await lab.weak({ command, seccomp: 'unconfined' }, {})).lines, [/^ok /])
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong({ command })).lines, ['ENOSYS'])
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  for (const options of [{}, { user: 'app' }, { tty: true }, { privileged: true }]) {
    t.match(
      (await container.exec(command, options)).stdout,
      /^ENOSYS\s*$/,
      `a command that is brought in: ${JSON.stringify(options)}`,
    )
  }
})
