/** What comes in podling-oci's way when a container is made, and what is left of it then. */
import { chmodSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ociRuntime, runs } from '../fixtures/oci.js'

const sleeps = runs('sleep', '1000')

t.test('a filter that knows nothing of newer calls keeps no program from being found', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle((spec) => {
    spec.process.args = ['echo', 'found']
    const names = ['faccessat', 'faccessat2', 'statx', 'newfstatat', 'stat']
    spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names, action: 'SCMP_ACT_ERRNO' }] }
  })
  t.strictSame(await runtime.call('run', '--bundle', bundle, 'c'), { code: 0, stdout: 'found\n', stderr: '' })
  // What is wrong with it, its own execve(2) tells.
  const missing = runtime.bundle((spec) => {
    spec.process.args = ['/bin/nothing']
    const names = ['faccessat', 'faccessat2', 'statx', 'newfstatat', 'stat']
    spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names, action: 'SCMP_ACT_ERRNO' }] }
  })
  t.match(await runtime.call('run', '--bundle', missing, 'd'), { code: 1, stderr: /exec \/bin\/nothing: No such file/ })
})

t.test('what can’t be done in the end leaves nothing behind; --debug tells what was asked', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle(sleeps)
  const words = ['--pid-file', '/nowhere/at/all', '--bundle', bundle]
  t.match(await runtime.call('create', ...words, 'c'), {
    code: 1,
    stderr: /create failed: ENOENT: .*\/nowhere\/at\/all/,
  })
  t.equal(await runtime.status('c'), 'absent')
  await runtime.must('run', '--detach', '--bundle', bundle, 'c')
  const failed = await runtime.call('exec', '--pid-file', '/nowhere/at/all', 'c', 'sleep', '1000')
  t.match(failed, { code: 255, stderr: /exec failed: ENOENT: .*\/nowhere\/at\/all/ })
  t.equal((await runtime.must('ps', '--format', 'json', 'c')).split(',').length, 1)
  t.match((await runtime.call('--debug', 'state', 'c')).stderr, /level=debug msg="podling-oci [\d.]+: .* state c"/)
})

t.test('a /proc or /sys that is a link is refused; a process without a user is root', async (t) => {
  const runtime = await ociRuntime(t)
  for (const name of ['proc', 'sys']) {
    const bundle = runtime.bundle(sleeps)
    rmdirSync(join(bundle, 'rootfs', name))
    symlinkSync('/tmp', join(bundle, 'rootfs', name))
    const { code, stderr } = await runtime.call('create', '--bundle', bundle, name)
    t.equal(code, 1)
    t.match(stderr, /must be mounted on ordinary directory/)
  }
  const bundle = runtime.bundle(sleeps)
  await runtime.must('run', '--detach', '--bundle', bundle, 'c')
  writeFileSync(join(bundle, 'process.json'), '{"cwd": "/", "args": ["id", "-u"], "env": ["PATH=/bin"]}')
  t.equal(await runtime.must('exec', '--process', join(bundle, 'process.json'), 'c'), '0\n')
})

t.test('rro is about all that is mounted below a recursive bind; ro about its top, as with runc', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const writable = async (...options: string[]): Promise<string> => {
      const bundle = runtime.bundle((spec) => {
        spec.mounts.push({ destination: '/mnt', type: 'bind', source: '/dev', options: ['rbind', ...options] })
        const script =
          'for at in /mnt /mnt/shm; do echo 2>/dev/null >$at/podling-rro && busybox rm $at/podling-rro && echo $at; done; :'
        spec.process.args = ['sh', '-c', script]
      })
      return runtime.must('run', '--bundle', bundle, 'c')
    }
    t.equal(await writable('ro'), '/mnt/shm\n', name)
    t.equal(await writable('rro'), '', name)
    t.equal(await writable('ro', 'rro'), '', name)
  }
})

t.test(
  'mounts as runc makes them: a /dev that is read-only in the end, the mode of what a tmpfs covers, the order',
  async (t) => {
    const outputs: string[] = []
    for (const name of ['runc', 'podling-oci'] as const) {
      const runtime = await ociRuntime(t, name)
      const bundle = runtime.bundle((spec) => {
        spec.mounts.find(({ destination }) => destination === '/dev')!.options!.push('ro')
        spec.mounts.push(
          { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid'] },
          { destination: '/tmp/new', type: 'tmpfs', source: 'tmpfs', options: ['nosuid'] },
          { destination: '/tmp/etc', type: 'bind', source: '/etc', options: ['bind', 'shared'] },
          { destination: '/tmp/last', type: 'tmpfs', source: 'tmpfs', options: ['mode=711'] },
        )
        const script = [
          'stat -c %a /tmp /tmp/new /tmp/last',
          'echo x 2>/dev/null >/dev/new || echo read-only',
          'ls /dev/null /dev/pts/ptmx',
          'while read -r _ _ _ _ at _; do echo $at; done </proc/self/mountinfo | grep tmp',
        ]
        spec.process.args = ['sh', '-c', script.join('; ')]
      })
      chmodSync(join(bundle, 'rootfs/tmp'), 0o1751)
      outputs.push(await runtime.must('run', '--bundle', bundle, 'c'))
    }
    t.match(outputs[1], /^1751\n1777\n711\nread-only\n/)
    t.equal(outputs[1], outputs[0])
  },
)

t.test('cgroups that are another’s, as runc takes them: frozen ones are refused, full ones told of', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(sleeps)
    await runtime.must('run', '--detach', '--bundle', bundle, 'first')
    const second = await runtime.call('run', '--detach', '--bundle', bundle, 'second')
    t.match(second, { code: 0, stderr: /container's cgroup is not empty: 1 process\(es\) found/ }, name)
    await runtime.must('pause', 'first')
    const third = await runtime.call('create', '--bundle', bundle, 'third')
    t.match(third, { code: 1, stderr: /container's cgroup unexpectedly frozen/ }, name)
    await runtime.must('resume', 'first')
  }
})

t.test('a startContainer hook that its filter ends is told of, and the program does not begin', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      spec.process.args = ['echo', 'began']
      spec.linux.rootfsPropagation = 'rprivate'
      spec.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_KILL' }],
      }
      spec.hooks = { startContainer: [{ path: '/bin/busybox', args: ['mkdir', '/tmp/made'] }] }
    })
    const { code, stdout, stderr } = await runtime.call('run', '--bundle', bundle, 'c')
    t.match({ code, stdout }, { code: 1, stdout: '' }, name)
    t.match(stderr, /error running hook[^]*bad system call/, name)
  }
})
