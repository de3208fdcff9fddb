/** Somebody sets the clock of the machine back by an hour: what lasts or is due knows nothing of it, records tell the new time. */
import { join } from 'node:path'
import t from 'tap'
import { readFiles } from '../../lib/container/log/read-files.js'
import { Launcher } from '../../lib/launch/launcher.js'
import { weakHelper } from '../fixtures/weak-helper.js'
import { needs } from '../peers.js'
import { makePlan, makeRootfs } from './rootfs.js'

const HOUR = 3_600_000

t.test('a clock that is set back while a container restarts', needs('root', 'busybox'), async (t) => {
  const rootfs = makeRootfs()
  t.teardown(() => {
    rootfs.remove()
  })
  const back = JSON.stringify(join(rootfs.root, 'back'))
  const helper = await weakHelper(t, {
    'clock.c': [
      ['#include <time.h>', '#include <time.h>\n#include <unistd.h>'],
      [
        'return read_clock(CLOCK_REALTIME);',
        `return read_clock(CLOCK_REALTIME) - (access(${back}, F_OK) == 0 ? ${String(HOUR)} : 0);`,
      ],
    ],
    'log_k8s.c': [
      ['#include <string.h>', '#include <string.h>\n#include <unistd.h>'],
      [
        'clock_gettime(CLOCK_REALTIME, &now);',
        `clock_gettime(CLOCK_REALTIME, &now);\n  if (access(${back}, F_OK) == 0) now.tv_sec -= 3600;`,
      ],
    ],
  })
  const launcher = await Launcher.start({ helper })
  t.teardown(() => launcher.close())
  const path = join(rootfs.directory, 'log')
  const plan = makePlan(rootfs, {
    argv: ['sh', '-c', 'echo run; if test -e /back; then echo after; exit 0; fi; echo before; touch /back; exit 1'],
    overlay: false,
    stdio: { stdin: 'null', stdout: 'log', stderr: 'log' },
  })
  const begun = Date.now()
  const monitor = await launcher.launch(
    {
      ...plan,
      monitor: {
        ...plan.monitor!,
        restart: { policy: 'on-failure' },
        log: { driver: 'k8s-file', target: path, fields: '', maxFiles: 1, stopsWhenFull: false },
      },
    },
    [],
  )
  const { exitCode, restartCount, startedAt, finishedAt } = await monitor.exited
  t.strictSame({ exitCode, restartCount }, { exitCode: 0, restartCount: 1 })
  for (const time of [startedAt, finishedAt]) t.ok(time < begun - HOUR / 2, 'the time of the new clock')
  const texts: string[] = []
  const times: number[] = []
  for await (const batch of readFiles({ driver: 'k8s-file', path, rotates: false }, {}, Promise.resolve())) {
    times.push(...batch.map(({ time }) => time.getTime()))
    texts.push(...batch.map(({ content }) => content.toString()))
  }
  t.strictSame(texts, ['run', 'before', 'run', 'after'], 'as they were written')
  // The first run's may be read when the clock is back already.
  t.ok(times[3]! < begun - HOUR / 2, 'by the new clock')
})
