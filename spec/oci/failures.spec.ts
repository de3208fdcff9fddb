/** What comes in podling-oci's way when a container is made, and what is left of it then. */
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
