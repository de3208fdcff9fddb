/**
 * CVE-2019-5736: a process of the container opens /proc/PID/exe of the runtime, and writes over the runtime's program once
 * nobody runs it any more. Ours lets nobody look into it, and runs from a sealed memory file.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, statSync } from 'node:fs'
import t from 'tap'
import { findHelper } from '../../lib/launch/helper-path.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { all, weakened } from '../fixtures/weak-helper.js'
import { until } from '../launch/rootfs.js'

const lab = await attackLab(t)
const hunt = (attack: string) => ['attack', attack, '/bin/attack', '/bin/busybox']

/** A monitor that dies leaves its container behind, as that of a runtime that ends after the start. */
const orphans = {
  'clone.c': [['prctl(PR_SET_PDEATHSIG, SIGKILL', '(void)(0']],
  'credentials.c': [['if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)', 'if (false)']],
} as const

t.test('a runtime that runs from its file and lets itself be looked into', async (t) => {
  const edits = all(weakened.unsealed, weakened.dumpable, weakened.slow, orphans)
  const { monitor, exec, helper } = await lab.weakStart({ command: hunt('overwrite') }, { helper: edits })
  const monitorPid = Number(/^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${String(monitor.pid)}/status`, 'utf8'))?.[1])
  t.teardown(() => {
    try {
      process.kill(monitor.pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
  await exec(['true'])
  process.kill(monitorPid, 'SIGKILL')
  await helper.close()
  await until(() => readFileSync(helper.path, 'latin1').startsWith('#!/bin/evil'), 'the program is overwritten')
  t.pass('its program is the container’s now')
})

t.test('with time to attack, and no protection less', async (t) => {
  const { monitor, exec, output } = await lab.weakStart({ command: hunt('open') }, { helper: weakened.slow })
  for (let i = 0; i < 3; i++) await exec(['true'])
  await monitor.kill(9)
  t.equal(await output, 'hunting\n', 'not even read')
})

t.test('sealed, were it to be opened', async (t) => {
  const { monitor, helper } = await lab.weakStart({ command: ['sleep', '1000'] }, { helper: weakened.dumpable })
  const exe = `/proc/${String(helper.pid)}/exe`
  t.not(statSync(exe).ino, statSync(helper.path).ino, 'it is not the file')
  await monitor.kill(9)
  t.throws(() => {
    appendFileSync(exe, 'evil')
  }, 'and takes no write')
})

t.test('Podling', async (t) => {
  const hash = () => createHash('sha256').update(readFileSync(findHelper())).digest('hex')
  const before = hash()
  await using container = await lab.runtime.run({ image: lab.image, command: hunt('overwrite'), network: 'none' })
  for (let i = 0; i < 30; i++) t.equal((await container.exec(['echo', 'fine'])).stdout, 'fine\n')
  // The helper as a program of the container is of no use.
  await container.exec(['/proc/self/exe']).catch(() => undefined)
  await container.kill()
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  t.strictSame(lines, ['hunting'])
  t.equal(hash(), before)
})
