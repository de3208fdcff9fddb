/** A monitor that is killed while it makes room for a new log file: between any two of its steps. */
import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { readLog } from '../../lib/container/log/read-log.js'
import { Launcher } from '../../lib/launch/launcher.js'
import { weakHelper } from '../fixtures/weak-helper.js'
import { makePlan, makeRootfs, planLog, run } from './rootfs.js'

const rootfs = makeRootfs()
t.teardown(() => {
  rootfs.remove()
})
const logged = { stdin: 'null', stdout: 'log', stderr: 'log' } as const

/** Before what the monitor is killed, in its third rotation. */
const steps = {
  'the new file is there': '  if (renameat2(log->directory, log->name, log->directory, full, RENAME_NOREPLACE) < 0) {',
  'the full file has its number': '  if (renameat(log->directory, fresh, log->directory, log->name) < 0) {',
  'the new file has its name': '  close_fd(&log->fd);\n  log->fd = steal_fd',
  'the oldest is removed': '    if (unlinkat(log->directory, name, 0) < 0 && errno != ENOENT) return;',
}

async function numbersIn(path: string): Promise<number[]> {
  const found: number[] = []
  const source = { driver: 'k8s-file', path, rotates: true } as const
  for await (const { text } of readLog(source, {}, Promise.resolve())) found.push(Number(text))
  return found
}

for (const [index, [what, step]] of Object.entries(steps).entries()) {
  t.test(`killed when ${what}`, async (t) => {
    const path = join(rootfs.directory, `log-${String(index)}`)
    const log = planLog(path, { maxSize: 64 * 1024, maxFiles: 2 })
    const helper = await weakHelper(t, { 'log_file.c': [[step, `  if (log->newest >= 2) _exit(9);\n${step}`]] })
    const weak = await Launcher.start({ helper })
    // Pieces of it, so that the monitor reads and writes many times.
    const argv = ['sh', '-c', 'i=0; while [ $i -lt 60 ]; do seq $((i*200+1)) $((i*200+200)); i=$((i+1)); done']
    await t.rejects(run(weak, makePlan(rootfs, { argv, stdio: logged, log })), { code: 'MONITOR_DIED' })
    await weak.close()

    const left = await numbersIn(path)
    const [first = 0] = left
    t.ok(
      left.length > 1000 && left.every((number, i) => number === first + i),
      `${String(left.length)} lines in their order`,
    )

    const launcher = await Launcher.start()
    t.teardown(() => launcher.close())
    await run(launcher, makePlan(rootfs, { argv: ['seq', '1', '100'], stdio: logged, log }))
    const after = await numbersIn(path)
    t.strictSame(
      after.slice(-100),
      Array.from({ length: 100 }, (_, i) => i + 1),
      'the next run goes on behind it',
    )
    t.strictSame(after.slice(0, -100), left.slice(-(after.length - 100)), 'and leaves what is there')
    const files = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.`))
    t.ok(files.length <= 3, `no files pile up: ${files.join(' ')}`)
  })
}
