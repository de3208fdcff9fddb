/**
 * CVE-2016-9962: processes of the container trace a command that is brought in before it has executed its program, and with
 * it get what it has of the host. That it is not dumpable keeps them out unless they have CAP_SYS_PTRACE; for those there is
 * nothing to get, as it has no more rights than they by the time that they can see it.
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
  for (let i = 0; i < 5; i++) t.equal((await container.exec(['echo', 'fine'])).stdout, 'fine\n')
  await container.kill()
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['hunting'])
})

/** No protection less, but time to attack, as long as it has rights as later. */
const slow = all(weakened.slow, {
  'clone.c': [['if (fine) interpret(&child);', 'if (fine) { poll(NULL, 0, 300); interpret(&child); }']],
})
/** It is in sight from the beginning, as a newcomer of other runtimes. */
const seen = { 'clone.c': [['    bool fine = true;', '    bool fine = op_enter_pids(&child, NULL) == 0;']] } as const
const tracer = { command: ['attack', 'gain', '/bin/attack', '/bin/busybox'], capAdd: ['SYS_PTRACE'] }

t.test('by a container that may trace: a newcomer that is seen at once', async (t) => {
  const { monitor, exec, output } = await lab.weakStart(tracer, { helper: all(slow, seen) })
  let ended = false
  monitor.exited.then(() => (ended = true)).catch(() => undefined)
  await until(async () => {
    await exec(['true']).catch(() => undefined)
    return ended
  }, 'the newcomer is traced')
  t.equal(await output, 'hunting\nok\n')
})

t.test('with time to attack, and no protection less', async (t) => {
  for (const options of [tracer, { ...tracer, noNewPrivileges: true }, { ...tracer, seccomp: 'unconfined' }]) {
    const { monitor, exec, output } = await lab.weakStart(options, { helper: slow })
    for (let i = 0; i < 3; i++) await exec(['true'])
    await monitor.kill(9)
    t.equal(await output, 'hunting\n')
  }
})

t.test('Podling', async (t) => {
  await using container = await lab.runtime.run({ image: lab.image, ...tracer, network: 'none' })
  // With a terminal, as another user: all that takes rights on the way.
  for (const options of [{}, { tty: true }, { user: '1000' }])
    for (let i = 0; i < 2; i++) t.match((await container.exec(['echo', 'fine'], options)).stdout, /^fine\r?\n$/)
  await container.kill()
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['hunting'])
})
