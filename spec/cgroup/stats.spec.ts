import t from 'tap'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Places } from '../../lib/cgroup/places.js'
import { parseBlkio, parseIoStat, valueOf } from '../../lib/cgroup/stats.js'
import { StatsReader } from '../../lib/cgroup/stats-reader.js'
import { oldValue } from '../../lib/cgroup/old-limits.js'
import { parsePressure } from '../../lib/cgroup/pressure.js'
import { V2Cgroups } from '../../lib/cgroup/v2.js'

const IO_STAT = `\
8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021
253:0
`

t.test('keyed files', async (t) => {
  const text = 'usage_usec 12\nuser_usec 7\n'
  t.equal(valueOf(text, 'usage_usec'), 12)
  t.equal(valueOf(text, 'user_usec'), 7)
  t.equal(valueOf(text, 'usec'), undefined, 'a whole key')
  t.equal(valueOf('oom_kill_disable 0\nunder_oom 1\noom_kill 3', 'oom_kill'), 3)
})

t.test('pressure', async (t) => {
  const line = (kind: string, total: number) => `${kind} avg10=1.50 avg60=0.25 avg300=0.00 total=${String(total)}\n`
  const times = { average10: 1.5, average60: 0.25, average300: 0 }
  t.strictSame(parsePressure(line('some', 7) + line('full', 3)), {
    some: { ...times, total: 7000 },
    full: { ...times, total: 3000 },
  })
  t.strictSame(parsePressure(line('some', 7)), { some: { ...times, total: 7000 } })
  t.equal(parsePressure(''), undefined)
})

t.test('io.stat', async (t) => {
  t.strictSame(parseIoStat(IO_STAT), [
    { device: '8:16', readBytes: 1459200, writeBytes: 314773504, reads: 192, writes: 353 },
    { device: '8:0', readBytes: 90430464, writeBytes: 299008000, reads: 8950, writes: 1252 },
  ])
})

t.test('blkio of v1', async (t) => {
  const bytes = '8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Total 12288\n8:16 Read 1\nTotal 12289\n'
  t.strictSame(parseBlkio(bytes, '8:0 Read 1\n8:0 Write 2\nTotal 3\n'), [
    { device: '8:0', readBytes: 4096, writeBytes: 8192, reads: 1, writes: 2 },
    { device: '8:16', readBytes: 1, writeBytes: 0, reads: 0, writes: 0 },
  ])
})

/** A parent whose files are plain ones: what a pure v2 machine's kernel would say. */
function v2Machine(parent: string, id: string, files: Record<string, string>): Places {
  mkdirSync(join(parent, id), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(parent, id, name), text)
  return {
    mode: 'v2',
    v1: new Map(),
    unified: parent,
    v2: new Map([
      ['memory', true],
      ['io', true],
    ]),
    chain: [parent],
    facts: { files: new Set(), hugepageSizes: [] },
  }
}

t.test('all of v2', async (t) => {
  const parent = t.testdir()
  const places = v2Machine(parent, 'web', {
    'cpu.stat': 'usage_usec 900\nuser_usec 600\nsystem_usec 300\nnr_periods 5\nnr_throttled 2\nthrottled_usec 70\n',
    'memory.current': '1000000\n',
    'memory.stat': 'anon 300000\nfile 600000\ninactive_file 200000\n',
    'memory.swap.current': '4096\n',
    'memory.peak': '2000000\n',
    'memory.max': '3000000\n',
    'memory.events': 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n',
    'pids.current': '3\n',
    'pids.max': 'max\n',
    'io.stat': IO_STAT,
  })
  const stats = new V2Cgroups(places).stats('web')
  t.strictSame(stats.cpu, {
    usage: 900_000,
    user: 600_000,
    system: 300_000,
    periods: 5,
    throttledPeriods: 2,
    throttledTime: 70_000,
  })
  t.strictSame(stats.memory, {
    usage: 1000000,
    cache: 600000,
    workingSet: 800000,
    swap: 4096,
    peak: 2000000,
    limit: 3000000,
    oomKills: 1,
  })
  t.strictSame(stats.pids, { current: 3 })
  t.match(stats.io, { readBytes: 91889664, writeBytes: 613781504, devices: { length: 2 } })
})

t.test('from the second look on its files stay open, and no longer than it is there', async (t) => {
  const parent = t.testdir()
  const reader = new StatsReader(v2Machine(parent, 'web', { 'cpu.stat': 'usage_usec 1\n', 'pids.current': '1\n' }))
  const file = join(parent, 'web', 'pids.current')
  const open = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(parent)
      } catch {
        return false // that of the directory itself
      }
    }).length
  t.equal(reader.read('web')!.pids!.current, 1)
  t.equal(open(), 0, 'whoever looks once leaves nothing open')
  for (const count of [22, 3]) {
    writeFileSync(file, `${String(count)}\n`)
    t.equal(reader.read('web')!.pids!.current, count, 'as it is by now')
  }
  t.equal(open(), 2)
  reader.forget('web')
  t.equal(open(), 0)
  reader.read('web')
  reader.read('web')
  reader.close()
  t.equal(open(), 0)
})

t.test('what a kernel does not tell is absent, not zero', async (t) => {
  const stats = new StatsReader(v2Machine(t.testdir(), 'bare', { 'cpu.stat': 'usage_usec 1\n' })).read('bare')!
  t.strictSame(Object.keys(stats), ['cpu'])
})

t.test('v2: an update writes only what it names, and the swap against the limit in force', async (t) => {
  const parent = t.testdir()
  const places = v2Machine(parent, 'web', {
    'cpu.stat': '',
    'memory.current': '500\n',
    'memory.max': '4096\n',
    'memory.swap.max': 'max\n',
  })
  const cgroups = new V2Cgroups({ ...places, facts: { files: new Set(['memory.swap.max']), hugepageSizes: [] } })
  await cgroups.update('web', { memory: { swap: 10240 } })
  const read = (file: string): string => readFileSync(join(parent, 'web', file), 'utf8')
  t.match(read('memory.swap.max'), /^6144/)
  t.match(read('memory.max'), /^4096/)
  await t.rejects(cgroups.update('web', { memory: { limit: 400, checkBeforeUpdate: true } }), {
    code: 'LIMIT_REFUSED',
    message: /400 is below the 500 bytes/,
  })
})

t.test('v2: an update that fails in its middle is taken back', async (t) => {
  const parent = t.testdir()
  const files = { 'cpu.stat': '', 'memory.current': '500\n', 'memory.max': '4096\n', 'memory.low': '0\n' }
  const places = v2Machine(parent, 'web', files)
  const v2 = new Map([
    ['memory', true],
    ['pids', true],
  ])
  const cgroups = new V2Cgroups({ ...places, v2 })
  // There is no pids.max.
  const resources = { memory: { limit: 8192, reservation: 1024 }, pids: { limit: 3 } }
  await t.rejects(cgroups.update('web', resources), { code: 'LIMIT_REFUSED', errno: 'ENOENT', syscall: 'write' })
  const read = (file: string): string => readFileSync(join(parent, 'web', file), 'utf8')
  t.equal(read('memory.max'), '4096\n')
  t.match(read('memory.low'), /^0\n/)
  const undo = await cgroups.update('web', { memory: { limit: 8192 } })
  t.match(read('memory.max'), /^8192/)
  await undo()
  t.match(read('memory.max'), /^4096/)
})

t.test('what a file said, so that it can be told again', async (t) => {
  t.equal(oldValue('memory.limit_in_bytes', '1', '4096\n'), '4096\n')
  t.equal(oldValue('cpuset.cpus', '0', ''), '\n')
  t.equal(oldValue('blkio.throttle.read_bps_device', '8:0 7', '8:16 1\n8:0 5\n'), '8:0 5')
  t.equal(oldValue('blkio.throttle.read_bps_device', '8:0 7', ''), '8:0 0')
  t.equal(oldValue('io.max', '8:0 rbps=7', '8:0 rbps=max wiops=5\n'), '8:0 rbps=max wiops=5')
  t.equal(oldValue('io.max', '8:0 rbps=7', ''), '8:0 rbps=max wbps=max riops=max wiops=max')
  t.equal(oldValue('io.weight', 'default 7', 'default 100\n'), 'default 100')
  t.equal(oldValue('memory.oom_control', '1', 'oom_kill_disable 0\nunder_oom 0\noom_kill 0\n'), '0')
})
