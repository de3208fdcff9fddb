/** The operations of the runtime-spec by podling-oci, in the words and ways of runc, which is asked beside it. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { ociRuntime, runs, said } from '../fixtures/oci.js'

const sleeps = runs('sleep', '1000')

t.test('create, start, kill and delete, and what can be done when', async (t) => {
  const told: Record<string, unknown>[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      sleeps(spec)
      spec.annotations = { 'org.example.is': 'told' }
    })
    const pidFile = join(bundle, 'pid')
    await runtime.must('create', '--bundle', bundle, '--pid-file', pidFile, 'c')
    const state = JSON.parse(await runtime.must('state', 'c')) as Record<string, unknown>
    t.equal(state['pid'], Number(readFileSync(pidFile, 'utf8')))
    t.match(state['created'], /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    const outcomes = [Object.keys(state), state['status'], state['annotations'], state['ociVersion'], state['owner']]
    const tell = async (...words: string[]): Promise<void> => {
      const { code, stdout, stderr } = await runtime.call(...words)
      outcomes.push([words[0], code, stdout, said(stderr)])
    }
    await tell('create', '--bundle', bundle, 'c')
    await tell('start', 'c')
    outcomes.push(await runtime.status('c'))
    await tell('start', 'c')
    await tell('delete', 'c')
    await tell('kill', 'c', 'KILL')
    await runtime.until('c', 'stopped')
    await tell('kill', 'c')
    await tell('kill', '--all', 'c', '9')
    await tell('start', 'c')
    outcomes.push((JSON.parse(await runtime.must('state', 'c')) as { pid: number }).pid)
    await tell('delete', 'c')
    await tell('delete', 'c')
    await tell('state', 'c')
    await tell('start', 'c')
    await tell('kill', 'c')
    await tell('delete', '--force', 'c')
    await tell('create', '--bundle', bundle, '../c')
    await tell('run', '--bundle', bundle, '')
    told.push({ outcomes })
  }
  t.strictSame(told[1], told[0])
})

t.test('run gives its program’s streams and status, and leaves nothing', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(runs('sh', '-c', 'echo out; echo err >&2; exit 7'))
    t.strictSame(await runtime.call('run', '--bundle', bundle, 'c'), { code: 7, stdout: 'out\n', stderr: 'err\n' })
    t.equal((await runtime.call('state', 'c')).code, 1)
    const killed = runtime.bundle(runs('sh', '-c', 'kill -9 $$; sleep 1000'))
    const waiting = runtime.call('run', '--bundle', killed, '--keep', 'k')
    await runtime.until('k', 'running')
    await runtime.must('kill', 'k', 'KILL')
    t.equal((await waiting).code, 137)
    t.equal(await runtime.status('k'), 'stopped', 'kept')
  }
})

t.test('a program that is not there fails the create, in the words that engines look for', async (t) => {
  const words: Record<string, RegExp> = {
    nothing: /executable file not found in \$PATH/,
    '/bin/nothing': /no such file or directory/,
    '/proc/self/status': /permission denied/,
    '/tmp': /is a directory/,
  }
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    for (const [program, pattern] of Object.entries(words)) {
      const { code, stderr } = await runtime.call('create', '--bundle', runtime.bundle(runs(program)), 'c')
      t.equal(code, 1)
      t.match(stderr, pattern, `${name}: ${program}`)
      t.equal((await runtime.call('state', 'c')).code, 1, 'nothing is left')
    }
  }
})

t.test('the log, as text and as JSON', async (t) => {
  const runtime = await ociRuntime(t)
  const log = join(runtime.bundle(), 'log')
  const { stderr } = await runtime.call('--log', log, '--log-format', 'json', 'state', 'nobody')
  t.equal(stderr, 'container does not exist\n')
  const { level, msg, time } = JSON.parse(readFileSync(log, 'utf8')) as Record<string, string>
  t.strictSame({ level, msg }, { level: 'error', msg: 'container does not exist' })
  t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  t.match((await runtime.call('state', 'nobody')).stderr, /^time="[^"]+" level=error msg="container does not exist"\n$/)
  t.match(await runtime.call('state', '--bogus', 'x'), { code: 1, stderr: /flag provided but not defined: -bogus/ })
  t.match(await runtime.call('state'), { code: 1, stderr: /requires exactly 1 argument/ })
})

t.test('what is created is an orphan: a subreaper waits for it', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle(runs('sh', '-c', 'exit 9'))
  // As conmon and containerd's shim do it.
  const shim = `
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)
program, root, bundle = sys.argv[1:]
subprocess.check_call([program, '--root', root, 'create', '--bundle', bundle, '--pid-file', bundle + '/pid', 'c'])
pid = int(open(bundle + '/pid').read())
subprocess.check_call([program, '--root', root, 'start', 'c'])
print(os.waitpid(pid, 0)[1] >> 8)`
  t.equal(execFileSync('python3', ['-c', shim, runtime.program, runtime.root, bundle], { encoding: 'utf8' }), '9\n')
})

t.test('what is passed to the program: descriptors that are asked for, no others', async (t) => {
  const outputs: string[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(runs('sh', '-c', 'cat <&3; cat <&4; ls /proc/self/fd'))
    const command = `echo one > ${bundle}/1; echo two > ${bundle}/2; exec ${runtime.program} --root ${runtime.root} \
      run --bundle ${bundle} --preserve-fds 2 c 3<${bundle}/1 4<${bundle}/2 7<${bundle}/1`
    outputs.push(execFileSync('sh', ['-c', command], { encoding: 'utf8' }))
    const { code, stderr } = await runtime.call('run', '--bundle', bundle, '--preserve-fds', '90', 'd')
    t.equal(code, 1)
    t.match(stderr, /unable to stat preserved-fd/)
  }
  t.match(outputs[1], /^one\ntwo\n0\n1\n2\n3\n4\n/)
  t.equal(outputs[1], outputs[0])
})

t.test('the terminal goes to the console socket', async (t) => {
  const outputs: string[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      spec.process.terminal = true
      spec.process.consoleSize = { width: 91, height: 17 }
      spec.process.args = ['sh', '-c', 'stty size; tty; ls -l /dev/console']
    })
    const receive = `
import os, socket, subprocess, sys
program, root, bundle = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(bundle + '/console')
listener.listen(1)
subprocess.check_call([program, '--root', root, 'create', '--bundle', bundle, '--console-socket', bundle + '/console', 'c'])
name, (master,), _, _ = socket.recv_fds(listener.accept()[0], 100, 1)
print(name.decode())
subprocess.check_call([program, '--root', root, 'start', 'c'])
try:
  while True: sys.stdout.write(os.read(master, 4096).decode())
except OSError: pass`
    const text = execFileSync('python3', ['-c', receive, runtime.program, runtime.root, bundle], { encoding: 'utf8' })
    outputs.push(text.replace(/\w+ \d+ \d\d:\d\d/, 'time'))
    const { code, stderr } = await runtime.call('create', '--bundle', bundle, 'd')
    t.equal(code, 1)
    t.match(stderr, /cannot allocate tty if runc will detach without setting console socket/)
  }
  t.match(outputs[1], '/dev/ptmx\n17 91\r\n/dev/pts/0')
  t.equal(outputs[1], outputs[0])
})

t.test('features tell what is there', async (t) => {
  const runtime = await ociRuntime(t)
  const features = JSON.parse(await runtime.must('features')) as { mountOptions: string[] }
  t.match(features, { ociVersionMin: '1.0.0', linux: { cgroup: { v2: true }, seccomp: { enabled: true } } })
  t.ok(features.mountOptions.includes('rbind'))
})

t.test('what run is told before it has come to wait, its container is told', async (t) => {
  const runtime = await ociRuntime(t)
  const place = await temporaryDirectory(t, 'podling-oci-')
  const [begun, go] = [join(place, 'begun'), join(place, 'go')]
  const hook = `: >${begun}; while [ ! -e ${go} ]; do sleep 0.05; done`
  const bundle = runtime.bundle((spec) => {
    spec.process.args = ['sh', '-c', 'trap "exit 7" TERM; : >/dev/shm/ready; while :; do sleep 0.05; done']
    spec.hooks = { poststart: [{ path: '/bin/sh', args: ['sh', '-c', hook] }] }
  })
  const pidFile = join(place, 'pid')
  const child = runtime.begin('run', '--bundle', bundle, '--pid-file', pidFile, 'c')
  const ended = once(child, 'close')
  const ready = (): string => `/proc/${readFileSync(pidFile, 'utf8')}/root/dev/shm/ready`
  while (!existsSync(begun) || !existsSync(ready())) await delay(10)
  child.kill('SIGTERM')
  await runtime.until('c', 'stopped')
  writeFileSync(go, '')
  t.strictSame(await ended, [7, null])
  t.equal(await runtime.status('c'), 'absent')
})
