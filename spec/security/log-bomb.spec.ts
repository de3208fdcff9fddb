/** Output without end, and a line without end: neither the host nor the monitor keeps it in memory, and a log has a size. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import type { Container } from 'podling'
import { Launcher } from '../../lib/launch/launcher.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakHelper } from '../fixtures/weak-helper.js'
import { makePlan, makeRootfs, until } from '../launch/rootfs.js'

const lab = await attackLab(t)
const bytes = 80_000_000
const floods = {
  'a line without end': `head -c ${String(bytes)} /dev/zero`,
  'lines without end': `yes ${'0123456789'.repeat(100)} | head -c ${String(bytes)}`,
}

/** The most memory that the monitor of a process ever had, in bytes. */
function peakOfMonitor(pid: number): number {
  const status = (of: number): string => readFileSync(`/proc/${String(of)}/status`, 'utf8')
  const monitor = Number(/^PPid:\t(\d+)/m.exec(status(pid))?.[1])
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status(monitor))?.[1]) * 1024
}

t.test('a monitor that keeps what it hears', async (t) => {
  const keeps = 'kept = malloc((size_t)size);\n    memcpy(kept, chunk, (size_t)size);\n    if (log) log_write('
  const helper = await weakHelper(t, {
    'console.c': [
      ['#include <stdlib.h>', '#include <stdlib.h>\n#include <string.h>\nstatic char *volatile kept;'],
      ['if (log) log_write(', keeps],
    ],
  })
  const launcher = await Launcher.start({ helper })
  t.teardown(() => launcher.close())
  const rootfs = makeRootfs()
  t.teardown(() => {
    rootfs.remove()
  })
  const log = join(await temporaryDirectory(t), 'log')
  const argv = ['sh', '-c', `${floods['a line without end']}; exec sleep 1000`]
  const monitor = await launcher.launch(makePlan(rootfs, { argv, stdio: { stdout: 'log', stderr: 'log' }, log }), [])
  await until(() => (statSync(log, { throwIfNoEntry: false })?.size ?? 0) >= bytes, 'all is logged')
  const peak = peakOfMonitor(monitor.pid)
  t.ok(peak > bytes / 2, `it has had ${String(peak)} bytes`)
  await monitor.kill(9)
  await monitor.exited
})

/** What its log takes on disk. */
function logged({ logPath = '' }: ReturnType<Container['inspect']>): number {
  const names = readdirSync(dirname(logPath)).filter((name) => name.startsWith(basename(logPath)))
  return names.reduce((sum, name) => sum + statSync(join(dirname(logPath), name)).size, 0)
}

for (const [what, flood] of Object.entries(floods)) {
  const command = ['sh', '-c', `${flood}; echo; echo over; touch /over; exec sleep 1000`]
  const options = { image: lab.image, command, network: 'none' } as const

  t.test(`Podling: ${what}`, async (t) => {
    await using container = await lab.runtime.run(options)
    let longest = 0
    for await (const { text } of container.logs({ follow: true })) {
      longest = Math.max(longest, text.length)
      if (text === 'over') break
    }
    t.ok(longest <= 2 * 1024 * 1024, 'whoever reads it gets pieces that fit')
    const peak = peakOfMonitor(container.pid!)
    t.ok(peak < bytes / 8, `its monitor has had ${String(peak)} bytes`)
    t.ok(logged(container.inspect()) > bytes * 0.9, 'all of it is there')
  })

  t.test(`Podling: ${what}, and a log that has a size`, async (t) => {
    await using container = await lab.runtime.run({ ...options, logOptions: { maxSize: '1m', maxFiles: 2 } })
    await until(async () => (await container.exec(['test', '-e', '/over'])).exitCode === 0, 'all is said')
    const kept = logged(container.inspect())
    t.ok(kept < 8 * 1024 * 1024, `its files take ${String(kept)} bytes`)
  })
}

t.test('Podling: nor does a command that is brought in', async (t) => {
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  const before = process.memoryUsage().rss
  await t.rejects(container.exec(['cat', '/dev/zero'], { maxOutput: 1_000_000 }), { code: 'OUTPUT_TOO_LARGE' })
  const growth = process.memoryUsage().rss - before
  t.ok(growth < bytes, `the host grows by ${String(growth)}`)
})
