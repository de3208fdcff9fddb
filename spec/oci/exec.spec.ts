/** Further processes by podling-oci, in the words and ways of runc, which is asked beside it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { ociRuntime, runs, said, type MutableSpec } from '../fixtures/oci.js'

const both = ['runc', 'podling-oci'] as const

/** A user of the image is called as another's number, and is of a group that nobody asked for. */
const passwd = 'root:x:0:0::/root:/bin/sh\n1:x:0:0::/evil:/bin/sh\nann:x:1:1::/home/ann:/bin/sh\n'

function withUsers(bundle: string): string {
  mkdirSync(join(bundle, 'rootfs/etc'))
  writeFileSync(join(bundle, 'rootfs/etc/passwd'), passwd)
  writeFileSync(join(bundle, 'rootfs/etc/group'), 'root:x:0:\nwheel:x:10:root,ann\n')
  return bundle
}

const sleeps = (spec: MutableSpec): void => {
  spec.process.args = ['sleep', '1000']
  spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', hard: 77, soft: 66 }]
}

t.test('who and where it is, and with what, as runc has it', async (t) => {
  const told: unknown[][] = []
  for (const name of both) {
    const runtime = await ociRuntime(t, name)
    const bundle = withUsers(runtime.bundle(sleeps))
    await runtime.must('run', '--detach', '--bundle', bundle, 'c')
    const outcomes: unknown[] = []
    const tell = async (...words: string[]): Promise<void> => {
      const { code, stdout, stderr } = await runtime.call('exec', ...words)
      outcomes.push([words, code, stdout, said(stderr)])
    }
    const status = ['grep', '-E', '^(Cap|Groups|NoNewPrivs|Seccomp:)', '/proc/self/status']
    await tell('c', 'sh', '-c', 'id -u; id -g; pwd; ulimit -n; echo $HOME; echo "$PATH"')
    await tell('--user', '1', 'c', 'sh', '-c', 'id -u; id -g; id -G; echo $HOME')
    await tell('-u', '1:2', '-g', '5', '-g', '6', 'c', ...status)
    await tell('--cwd', '/tmp', '-e', 'A=1', '-e', 'B=2', 'c', 'sh', '-c', 'pwd; echo $A$B')
    await tell('--cap', 'CAP_SYS_TIME', '--cap', 'CAP_NET_ADMIN', 'c', ...status)
    await tell('--no-new-privs=false', 'c', ...status)
    await tell('c', 'cat', '/proc/self/oom_score_adj')
    await tell('c', 'sh', '-c', 'readlink /proc/self/ns/pid >/dev/null; ls /proc/self/fd; exit 7')
    await tell('c', 'sh', '-c', 'kill -9 $$')
    await tell('c', 'nothing')
    await tell('c', '/bin/nothing')
    await tell('c', '/tmp')
    await tell('c')
    await tell('nobody', 'id')
    await tell('--tty', '--detach', 'c', 'id')
    await tell('--console-socket', '/nowhere', 'c', 'id')
    await runtime.must('kill', 'c', 'KILL')
    await runtime.until('c', 'stopped')
    await tell('c', 'id')
    told.push(outcomes)
  }
  t.strictSame(told[1], told[0])
})

t.test('its process by a file, with a pid file, parted from its maker', async (t) => {
  for (const name of both) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(runs('sleep', '1000'))
    await runtime.must('run', '--detach', '--bundle', bundle, 'c')
    const files = { process: join(bundle, 'process.json'), pid: join(bundle, 'pid') }
    const program = {
      cwd: '/tmp',
      args: ['sh', '-c', 'pwd > told; id -u >> told; exec sleep 1000'],
      user: { uid: 3, gid: 4, username: 'nobody' },
      env: ['PATH=/bin'],
      capabilities: null,
      rlimits: [{ type: 'RLIMIT_CORE', hard: 1024, soft: 0 }],
    }
    writeFileSync(files.process, JSON.stringify(program))
    execFileSync('chmod', ['777', join(bundle, 'rootfs/tmp')])
    await runtime.must('exec', '--process', files.process, '--pid-file', files.pid, '--detach', 'c')
    const pid = readFileSync(files.pid, 'utf8')
    for (let turns = 0; !readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep'); turns++) {
      if (turns === 3000) throw new Error('it is no sleep')
      await delay(10)
    }
    t.equal(readFileSync(join(bundle, 'rootfs/tmp/told'), 'utf8'), '/tmp\n3\n')
    t.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), /podling-oci-test/)
    writeFileSync(files.process, JSON.stringify({ ...program, args: [] }))
    t.match(await runtime.call('exec', '--process', files.process, 'c'), {
      code: 255,
      stderr: /args:? (must not|cannot) be empty/,
    })
    await runtime.must('kill', 'c', 'KILL')
    await runtime.until('c', 'stopped')
  }
  const runtime = await ociRuntime(t)
  await runtime.must('run', '--detach', '--bundle', runtime.bundle(runs('sleep', '1000')), 'c')
  const file = join(runtime.bundle(), 'process.json')
  writeFileSync(file, '{"cwd": "tmp", "user": {"uid": 0, "gid": 0}, "args": ["id"]}')
  const wrong = await runtime.call('exec', '--process', file, 'c')
  t.match(wrong, { code: 255, stderr: /process\.cwd: must be an absolute path/ })
  writeFileSync(file, '{')
  t.match(await runtime.call('exec', '--process', file, 'c'), { code: 255, stderr: /exec failed: .*process\.json: / })
})

t.test('it is an orphan that a subreaper waits for; its terminal goes to the console socket', async (t) => {
  const outputs: string[] = []
  for (const name of both) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(runs('sleep', '1000'))
    await runtime.must('run', '--detach', '--bundle', bundle, 'c')
    // As conmon and containerd's shim do it.
    const shim = `
import ctypes, os, socket, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)
program, root, bundle = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(bundle + '/console')
listener.listen(1)
subprocess.check_call([program, '--root', root, 'exec', '--tty', '--detach', '--console-socket', bundle + '/console',
  '--pid-file', bundle + '/pid', 'c', 'sh', '-c', 'tty; echo typed: $(cat); exit 9'])
name, (master,), _, _ = socket.recv_fds(listener.accept()[0], 100, 1)
print(name.decode())
os.write(master, b'words\\n\\4')
text = b''
try:
  while True: text += os.read(master, 4096)
except OSError: pass
sys.stdout.write(text.decode())
print(os.waitpid(int(open(bundle + '/pid').read()), 0)[1] >> 8)`
    outputs.push(execFileSync('python3', ['-c', shim, runtime.program, runtime.root, bundle], { encoding: 'utf8' }))
  }
  t.match(outputs[1], /^\/dev\/ptmx\n[^]*\/dev\/pts\/0[^]*typed: words[^]*\n9\n$/)
  t.equal(outputs[1]!.length, outputs[0]!.length)
})

t.test('a container that is frozen takes none, unless that is asked for', async (t) => {
  const runtime = await ociRuntime(t)
  await runtime.must('run', '--detach', '--bundle', runtime.bundle(runs('sleep', '1000')), 'c')
  const { cgroup } = JSON.parse(readFileSync(join(runtime.root, 'c/state.json'), 'utf8')) as {
    cgroup: { unified: string }
  }
  writeFileSync(join(cgroup.unified, 'cgroup.freeze'), '1')
  await runtime.until('c', 'paused')
  const refused = await runtime.call('exec', 'c', 'true')
  t.match(refused, { code: 255, stderr: /cannot exec in a paused container \(use --ignore-paused to override\)/ })
  const waiting = runtime.call('exec', '--ignore-paused', 'c', 'echo', 'thawed')
  await delay(200)
  writeFileSync(join(cgroup.unified, 'cgroup.freeze'), '0')
  t.strictSame(await waiting, { code: 0, stdout: 'thawed\n', stderr: '' })
})

t.test('a cgroup below the container’s own', async (t) => {
  const runtime = await ociRuntime(t)
  await runtime.must('run', '--detach', '--bundle', runtime.bundle(runs('sleep', '1000')), 'c')
  const { cgroup } = JSON.parse(readFileSync(join(runtime.root, 'c/state.json'), 'utf8')) as {
    cgroup: { directories: string[] }
  }
  for (const directory of cgroup.directories) {
    mkdirSync(join(directory, 'sub'))
    // One that is empty takes no process.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const given = join(directory, file)
      if (existsSync(given)) writeFileSync(join(directory, 'sub', file), readFileSync(given))
    }
  }
  const lines = (await runtime.must('exec', '--cgroup', 'sub', 'c', 'cat', '/proc/self/cgroup')).split('\n')
  t.match(
    lines.find((line) => line.startsWith('0::')),
    /\/sub$/,
  )
  t.match(lines.find((line) => line.includes(':memory:')) ?? '/sub', /\/sub$/)
  const missing = await runtime.call('exec', '--cgroup', 'nowhere', 'c', 'true')
  t.match(missing, { code: 255, stderr: /adding pid to cgroups: open .*nowhere\/cgroup.procs: no such file/ })
  t.match(await runtime.call('exec', '--cgroup', 'memory,nothing:/', 'c', 'true'), {
    code: 255,
    stderr: /unknown controller nothing/,
  })
  t.match(await runtime.call('exec', '--cgroup', '../..', 'c', 'true'), { code: 255, stderr: /not a sub cgroup path/ })
})

t.test('a terminal without a console socket is that of the caller', async (t) => {
  const outputs: string[] = []
  for (const name of both) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      spec.process.terminal = true
      spec.process.args = ['sh', '-c', 'stty size; read line; echo got: $line; stty raw; cat >/dev/null & exit 6']
    })
    const typist = `
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
  fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 13, 71, 0, 0))
  before = termios.tcgetattr(0)
  status = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
  print('as before:', termios.tcgetattr(0) == before, 'status:', status)
  sys.exit(0)
text, typed = b'', False
try:
  while True:
    text += os.read(master, 4096)
    if b'13 71' in text and not typed:
      typed = os.write(master, b'words\\r') > 0
except OSError: pass
sys.stdout.write(text.decode())`
    const words = [runtime.program, '--root', runtime.root, 'run', '--bundle', bundle, 'c']
    const program = execFileSync('sh', ['-c', `command -v ${words[0]!}`], { encoding: 'utf8' }).trim()
    outputs.push(execFileSync('python3', ['-c', typist, program, ...words.slice(1)], { encoding: 'utf8' }))
  }
  t.equal(outputs[1], '13 71\r\nwords\r\ngot: words\r\nas before: True status: 6\r\n')
  t.equal(outputs[1], outputs[0])
})

t.test(
  'lines of a terminal that is the caller’s end as the program ends them, where no terminal reads them',
  async (t) => {
    const runtime = await ociRuntime(t)
    const bundle = runtime.bundle((spec) => {
      spec.process.terminal = true
      spec.process.args = ['echo', 'one line']
    })
    t.equal(await runtime.must('run', '--bundle', bundle, 'c'), 'one line\n')
  },
)
