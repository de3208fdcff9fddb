/** CVE-2024-21626: a directory of the host that is open in the container, or is its working directory, is a way out. */
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { all, weakened } from '../fixtures/weak-helper.js'
import { pipe } from '../../lib/sys/descriptors.js'

const lab = await attackLab(t)
const outside = await temporaryDirectory(t, 'podling-outside-')
mkdirSync(join(outside, 'below'))
writeFileSync(join(outside, 'secret'), 'of the host\n')

const attack = { workdir: '/proc/self/fd/0', command: ['cat', 'secret', '../secret'] }
const blind = all(weakened.lookup, {
  'interpret.c': [
    [`return where[0] == '/' ? 0 : fail_because(&child->failure, REASON_WORKDIR_OUTSIDE, "getcwd");`, 'return 0;'],
  ],
})

t.test('a directory that is passed on', async (t) => {
  const stdin = openSync(outside, 'r')
  t.strictSame((await lab.weak({ command: ['cat', '/proc/self/fd/0/secret'] }, { stdin })).lines, ['of the host'])
})

t.test('a working directory that is not looked at', async (t) => {
  const stdin = openSync(join(outside, 'below'), 'r')
  t.ok((await lab.weak(attack, { stdin, helper: blind })).lines.includes('of the host'))
})

t.test('the same directory, and no protection less', async (t) => {
  const stdin = openSync(join(outside, 'below'), 'r')
  t.match((await lab.weak(attack, { stdin })).error, { code: 'WORKDIR_INVALID' })
})

t.test('Podling passes nothing on', async (t) => {
  // Without close-on-exec, as those of a careless library; and ordinary ones.
  const pipes = Array.from({ length: 4 }, () => pipe())
  const directories = Array.from({ length: 8 }, () => openSync(outside, 'r'))
  t.teardown(() => {
    for (const fd of [...directories, ...pipes.flatMap(({ read, write }) => [read, write])]) closeSync(fd)
  })
  t.strictSame((await lab.strong({ command: ['ls', '/proc/self/fd'] })).lines, ['0', '1', '2', '3'], 'and that of ls')
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  t.equal((await container.exec(['ls', '/proc/self/fd'])).stdout, '0\n1\n2\n3\n')
  t.equal((await container.exec(['ls', '/proc/1/fd'])).stdout, '0\n1\n2\n')
  for (let fd = 3; fd < 20; fd++) {
    for (const workdir of [`/proc/self/fd/${String(fd)}`, `/proc/self/fd/${String(fd)}/..`]) {
      t.match((await lab.strong({ workdir, command: ['pwd'] })).error?.code, /WORKDIR_INVALID|START_FAILED/, workdir)
      await t.rejects(container.exec(['pwd'], { workdir }), { code: /WORKDIR_INVALID|START_FAILED/ })
    }
  }
})
