/** What podling-oci tells of containers and changes in them while they run, in the words of runc, which is asked beside it. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rowsOf } from '../../lib/oci/ps.js'
import { askedResources } from '../../lib/oci/resources.js'
import { ociRuntime, podlingOci, runs, said, type OciRuntime } from '../fixtures/oci.js'

const sleeps = runs('sleep', '1000')

/** Words of both, with what is each container's own taken out. */
async function outcome(runtime: OciRuntime, bundle: string, words: readonly string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await runtime.call(...words)
  const text = stdout
    .replaceAll(bundle, 'BUNDLE')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\b\d{2,}\b/g, 'N')
    .replace(/ +/g, ' ')
  return [words.join(' '), code, text, said(stderr)]
}

t.test('list, ps, pause and resume, and what can be done when', async (t) => {
  const told: unknown[][] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(sleeps)
    const outcomes: unknown[] = []
    const tell = async (words: string): Promise<void> => {
      outcomes.push(await outcome(runtime, bundle, words.split(' ')))
    }
    await tell('list')
    await tell('list -f json')
    await tell('list --format yaml')
    await runtime.must('create', '--bundle', bundle, 'c')
    await tell('ps -f json c')
    await tell('resume c')
    await runtime.must('start', 'c')
    await tell('list')
    await tell('list -q')
    await tell('ps c -o pid,comm')
    await tell('ps c -o comm')
    await tell('ps -f yaml c')
    await tell('pause c')
    outcomes.push(await runtime.status('c'))
    await tell('pause c')
    await tell('start c')
    await tell('resume c')
    await tell('resume c')
    outcomes.push(await runtime.status('c'))
    await runtime.must('kill', 'c', 'KILL')
    await runtime.until('c', 'stopped')
    await tell('pause c')
    await tell('resume c')
    await tell('ps -f json c')
    await tell('update --memory 20m c')
    await tell('events --stats c')
    await tell('list')
    for (const verb of ['pause', 'resume', 'ps', 'update', 'events']) await tell(`${verb} nobody`)
    told.push(outcomes.map((one) => JSON.stringify(one)))
  }
  t.strictSame(told[1], told[0])
})

t.test('update sets what it names, by flags and by JSON, all or none', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle((spec) => {
    sleeps(spec)
    spec.linux.resources = {
      ...spec.linux.resources,
      memory: { limit: 64 << 20, reservation: 0 },
      blockIO: { weight: 0 },
    }
  })
  await runtime.must('run', '--detach', '--bundle', bundle, 'c')
  const { cgroup } = JSON.parse(readFileSync(join(runtime.root, 'c/state.json'), 'utf8')) as {
    cgroup: { directories: string[] }
  }
  /** The first of these files that there is, in v1's words or v2's. */
  const read = (...files: string[]): string => {
    for (const path of cgroup.directories.flatMap((directory) => files.map((file) => join(directory, file)))) {
      try {
        return readFileSync(path, 'utf8').trim()
      } catch {
        continue
      }
    }
    throw new Error(`no ${files.join(' or ')}`)
  }
  const memory = (): string => read('memory.limit_in_bytes', 'memory.max')
  const pids = (): string => read('pids.max')
  await runtime.must('update', '--memory', '32m', '--pids-limit', '77', 'c')
  t.strictSame([memory(), pids()], [String(32 << 20), '77'])
  const file = join(bundle, 'resources.json')
  writeFileSync(
    file,
    JSON.stringify({ memory: { limit: 48 << 20, swap: 0 }, pids: { limit: 0 }, cpu: null, devices: [] }),
  )
  await runtime.must('update', '--resources', file, 'c')
  t.strictSame([memory(), pids()], [String(48 << 20), '77'], '0 asks for nothing')
  const words = ['--root', runtime.root, 'update', '-r', '-', 'c']
  t.equal(spawnSync(podlingOci, words, { input: '{"pids": {"limit": -1}}' }).status, 0)
  t.equal(pids(), 'max')
  for (const [flags, why] of [
    [['--memory', 'lots'], /invalid size: .*lots/],
    [['--cpu-quota', '1.5'], /invalid value for cpu-quota/],
    [
      ['--pids-limit', '55', '--memory', '4096', '--memory-swap', '1024'],
      /memory\.swap: must be at least memory\.limit/,
    ],
    [['--l3-cache-schema', 'L3:0=f'], /intelRdt is not supported/],
    [['--resources', join(bundle, 'nothing')], /ENOENT/],
  ] as const) {
    t.match(await runtime.call('update', ...flags, 'c'), { code: 1, stderr: why }, why.source)
  }
  writeFileSync(file, '{"pids": {"limit": "many"}}')
  const wrong = await runtime.call('update', '--resources', file, 'c')
  t.match(wrong, { code: 1, stderr: /linux\.resources\.pids\.limit: must be/ })
  t.strictSame([memory(), pids()], [String(48 << 20), 'max'])
})

const oldCpu = '/sys/fs/cgroup/cpu'

t.test(
  'a shorter period with its quota, below a quota that the old one would break',
  { skip: !existsSync(oldCpu) },
  async (t) => {
    const runtime = await ociRuntime(t)
    const parent = `podling-oci-test-${String(process.pid)}`
    const bundle = runtime.bundle((spec) => {
      sleeps(spec)
      spec.linux.cgroupsPath = `/${parent}/c`
      spec.linux.resources = { ...spec.linux.resources, cpu: { quota: 40_000, period: 100_000 } }
    })
    await runtime.must('run', '--detach', '--bundle', bundle, 'c')
    t.teardown(async () => {
      await runtime.call('delete', '--force', 'c')
      for (const name of readdirSync('/sys/fs/cgroup')) {
        const left = `/sys/fs/cgroup/${name}/${parent}`
        if (existsSync(left)) rmdirSync(left)
      }
    })
    writeFileSync(`${oldCpu}/${parent}/cpu.cfs_quota_us`, '50000')
    await runtime.must('update', '--cpu-period', '10000', '--cpu-quota', '3000', 'c')
    t.equal(readFileSync(`${oldCpu}/${parent}/c/cpu.cfs_period_us`, 'utf8'), '10000\n')
    t.equal(readFileSync(`${oldCpu}/${parent}/c/cpu.cfs_quota_us`, 'utf8'), '3000\n')
    t.match(await runtime.call('update', '--cpu-period', '1000', 'c'), { code: 1, stderr: /EINVAL/ })
  },
)

t.test('events: what it uses, and that it was killed for want of memory', async (t) => {
  const shapes: unknown[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    await runtime.must('run', '--detach', '--bundle', runtime.bundle(sleeps), 'c')
    const event = JSON.parse(await runtime.must('events', '--stats', 'c')) as {
      type: string
      id: string
      data: { pids: { current: number }; memory: { usage: { usage: number } }; cpu: { usage: { total: number } } }
    }
    const { pids, memory, cpu } = event.data
    t.ok(memory.usage.usage > 0 && cpu.usage.total > 0)
    shapes.push([event.type, event.id, Object.keys(pids), Object.keys(event.data).sort()])
  }
  t.strictSame(shapes[1], shapes[0])
  const runtime = await ociRuntime(t)
  const hungry = runtime.bundle((spec) => {
    spec.process.args = ['sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.1; done; x=1; while :; do x=$x$x; done']
    spec.linux.resources = { ...spec.linux.resources, memory: { limit: 8 << 20, swap: 8 << 20 } }
  })
  await runtime.must('run', '--detach', '--bundle', hungry, 'h')
  const watching = runtime.begin('events', '--interval', '100ms', 'h')
  let text = ''
  const ended = new Promise<number | null>((resolve) => watching.on('exit', resolve))
  await new Promise<void>((resolve) => {
    watching.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('"stats"')) resolve()
    })
  })
  writeFileSync(join(hungry, 'rootfs/tmp/go'), '')
  t.equal(await ended, 0, 'it ends with its container')
  const types = text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { type: string }).type)
  t.match(types, ['stats'])
  t.ok(types.includes('oom'))
  t.match(await runtime.call('events', '--interval', '0s', 'h'), { code: 1 })
})

t.test('spec writes a bundle’s beginning, as runc does', async (t) => {
  const written: Record<string, unknown>[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    for (const flags of [[], ['--rootless']]) {
      const directory = join(runtime.bundle(), 'new')
      mkdirSync(directory)
      await runtime.must('spec', '--bundle', directory, ...flags)
      const text = readFileSync(join(directory, 'config.json'), 'utf8')
      written.push({ ...(JSON.parse(text) as object), ociVersion: '', hostname: '' })
      const again = await runtime.call('spec', '--bundle', directory)
      t.match(again, { code: 1, stderr: /File config\.json exists\. Remove it first/ })
    }
  }
  t.strictSame(written.slice(2), written.slice(0, 2))
})

t.test('rows of ps, and resources that ask for nothing', (t) => {
  t.equal(rowsOf('USER   PID CMD\nroot     1 a\nroot    11 b\n', new Set([11])), 'USER   PID CMD\nroot    11 b\n')
  t.throws(() => rowsOf('CMD\na\n', new Set([1])), { message: "couldn't find PID field in ps output" })
  t.strictSame(askedResources({ memory: { limit: 0, swappiness: 0 }, cpu: { quota: -1, shares: 0 } }), {
    memory: { swappiness: 0 },
    cpu: { quota: -1 },
  })
  t.strictSame(askedResources({ memory: { swappiness: 2 ** 64 } }), { memory: {} })
  t.end()
})
