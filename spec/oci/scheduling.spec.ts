/** How the kernel is to treat a container's processes: by the spec's words, in the kernel's own answers. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bitsOf } from '../../lib/launch/compile/scheduling.js'
import { ociRuntime, runs, type MutableSpec } from '../fixtures/oci.js'

t.test('scheduler, I/O priority, memory policy and personality, of the container and of what comes in', async (t) => {
  const runtime = await ociRuntime(t)
  const script = 'busybox uname -m; busybox ionice -p $$; busybox head -n 1 /proc/$$/numa_maps; cat /proc/$$/stat'
  // proc_pid_stat(5): the 19th is the nice value, the 41st the policy, of which 3 is SCHED_BATCH.
  const stat = '\\d+ \\(\\w+\\)( \\S+){16} 7( \\S+){21} 3 .*'
  const asked = (machine: string) =>
    new RegExp(`^${machine}\\nbest-effort: prio 7\\n\\w+ interleave:0 .*\\n${stat}\\n$`)
  const treated =
    (...args: string[]) =>
    (spec: MutableSpec): void => {
      spec.process.args = args
      spec.process.scheduler = { policy: 'SCHED_BATCH', nice: 7 }
      spec.process.ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 7 }
      spec.linux.memoryPolicy = { mode: 'MPOL_INTERLEAVE', nodes: '0' }
      spec.linux.personality = { domain: 'LINUX32' }
    }
  const bundle = runtime.bundle(treated('sh', '-c', script))
  const plain = runtime.bundle(runs('busybox', 'uname', '-m'))
  const machine = process.arch === 'x64' ? 'i686' : 'armv8l'
  t.match(await runtime.must('run', '--bundle', bundle, 'c'), asked(machine))
  t.not(await runtime.must('run', '--bundle', plain, 'p'), `${machine}\n`)

  const sleeping = runtime.bundle(treated('sleep', '1000'))
  await runtime.must('run', '--detach', '--bundle', sleeping, 'd')
  t.match(await runtime.must('exec', 'd', 'sh', '-c', script), asked(machine))
})

t.test('a command that is brought in keeps to its processors', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle(runs('sleep', '1000'))
  await runtime.must('run', '--detach', '--bundle', bundle, 'c')
  const [, online = ''] = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  const [first = '0'] = /^\d+/.exec(online) ?? []
  const allowed = async (execCPUAffinity: object): Promise<string> => {
    const file = join(bundle, 'process.json')
    const args = ['grep', 'Cpus_allowed_list', '/proc/self/status']
    writeFileSync(file, JSON.stringify({ cwd: '/', env: ['PATH=/bin'], args, execCPUAffinity }))
    return (await runtime.must('exec', '--process', file, 'c')).replace(/^.*\s(.*)\n$/, '$1')
  }
  t.equal(await allowed({ initial: first, final: first }), first)
  t.equal(await allowed({ initial: first }), online, 'the first is for what comes before the container')
})

t.test('what the kernel refuses is an error', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle((spec) => {
    spec.linux.memoryPolicy = { mode: 'MPOL_DEFAULT', nodes: '0-7' }
  })
  t.match(await runtime.call('run', '--bundle', bundle, 'c'), { code: 1, stderr: /set the memory policy: EINVAL/ })
  const flags = runtime.bundle((spec) => {
    spec.linux.personality = { domain: 'LINUX', flags: ['ADDR_NO_RANDOMIZE'] }
  })
  t.match(await runtime.call('run', '--bundle', flags, 'c'), {
    code: 1,
    stderr: /not supported: linux.personality.flags/,
  })
})

t.test('lists of numbers as sets', (t) => {
  t.strictSame([...bitsOf('')], [])
  t.strictSame([...bitsOf('0')], [1, 0, 0, 0, 0, 0, 0, 0])
  t.strictSame([...bitsOf('0-3, 7,64')], [0x8f, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
  t.equal(bitsOf('0-99999999999').length, 1024, 'no more than the kernel has')
  t.end()
})
