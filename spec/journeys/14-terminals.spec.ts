/** Containers and commands on terminals. */
import t from 'tap'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime } = setup
const image = await runtime.images.fromHost({
  binaries: [
    'bash',
    'sh',
    'stty',
    'tput',
    'tty',
    'cat',
    'sleep',
    'stat',
    'ls',
    'ps',
    'busybox',
    'id',
    'readlink',
    'test',
  ],
  files: [{ from: '/usr/share/terminfo/x/xterm', to: '/usr/share/terminfo/x/xterm' }],
})
const shell = {
  image,
  // Without an editor of its own for lines, so that all comes from the kernel.
  command: ['bash', '--norc', '--noediting'],
  env: { PS1: '' },
  tty: { columns: 100, rows: 30 },
  stdin: true,
  network: 'none',
} as const

t.test('a shell on a terminal', async (t) => {
  await using container = await runtime.run(shell)
  await using terminal = await container.attach()
  const screen = watchScreen(terminal.stdout)
  const asks = async (line: string, answer: RegExp): Promise<void> => {
    terminal.stdin.write(`${line}\r`)
    await screen.sees(answer)
  }
  await asks('stty size', /\n30 100\r\n/)
  await asks('tput cols', /\n100\r\n/)
  await asks('echo $TERM', /\nxterm\r\n/)
  await asks('tty', /\n\/dev\/pts\/0\r\n/)
  await asks('for f in /dev/console /dev/tty /dev/pts/0; do stat -c %t:%T $f; done', /\n88:0\r\n5:0\r\n88:0\r\n/)
  await asks('ls /dev/pts', /\n0 {2}ptmx\r\n/)
  await asks('ps -o pid,sid,tpgid,tty= -p 1', / 1 +1 +\d+ pts\/0/)
  await asks('stty -a | busybox grep -o "[-]*onlcr"', /\nonlcr\r\n/)

  await terminal.resize({ columns: 132, rows: 50 })
  await asks('stty size', /\n50 132\r\n/)
  await container.resize({ columns: 40, rows: 10 })
  await asks('stty size', /\n10 40\r\n/)

  terminal.stdin.write('trap "echo resized" WINCH; echo $((40+2))\r')
  await screen.sees(/\n42\r\n/)
  await terminal.resize({ columns: 41, rows: 10 })
  terminal.stdin.write('\r')
  await screen.sees(/\nresized\r\n/)

  // What the shell does when its child dies of a signal is its own affair, so this one ends by itself.
  terminal.stdin.write('bash -c \'trap "echo in\\"\\"t; exit" INT; echo rea""dy; while :; do sleep 0.1; done\'\r')
  await screen.sees(/\nready\r\n/)
  terminal.stdin.write('\x03')
  await screen.sees(/\^C[^]*int\r\n/)

  terminal.stdin.write('exit 3\r')
  t.match(await terminal.exited, { exitCode: 3 })
  t.match(await screen.ends(), /exit\r\n$/, 'all of it has come before the end')
  t.equal(terminal.stderr.read(), null)

  let logged = ''
  for await (const { stream, text } of container.logs()) logged += `${stream} ${text}\n`
  t.match(logged, /^stdout 30 100\r$/m, 'the log has it too')
})

t.test('with an init, a key reaches the command once', async (t) => {
  await using container = await runtime.run({
    ...shell,
    init: true,
    ready: { log: /^ready/ },
    command: ['bash', '-c', 'trap "echo caught" INT; echo ready; while :; do sleep 1000 & wait $!; done'],
  })
  await using terminal = await container.attach()
  const screen = watchScreen(terminal.stdout)
  terminal.stdin.write('\x03')
  await screen.sees(/caught\r\n/)
  terminal.stdin.write('\x03')
  await screen.sees(/caught\r\n/)
  t.equal(screen.text.split('caught').length - 1, 2)
})

t.test('a user who is not root has the terminal too', async () => {
  await using container = await runtime.run({ ...shell, user: '1000:1000', capDrop: ['ALL'] })
  await using terminal = await container.attach()
  const screen = watchScreen(terminal.stdout)
  terminal.stdin.write('id -u; echo again > /dev/stdout; echo tty > /dev/tty; stat -c %u:%g:%a $(tty)\r')
  await screen.sees(/\n1000\r\nagain\r\ntty\r\n1000:5:620\r\n/)
})

t.test('ready, a log of none, a read-only root', async () => {
  await using container = await runtime.run({
    ...shell,
    command: ['sh', '-c', 'sleep 0.1; echo now; read line; echo got $line'],
    readOnly: true,
    ready: { log: /^now/ },
  })
  await using terminal = await container.attach()
  const screen = watchScreen(terminal.stdout)
  terminal.stdin.write('this\r')
  await screen.sees(/got this\r\n/)
  await using silent = await runtime.run({ ...shell, command: ['cat'], logDriver: 'none' })
  await using other = await silent.attach()
  const echo = watchScreen(other.stdout)
  other.stdin.write('heard\r')
  await echo.sees(/heard\r\nheard\r\n/)
  const lines: unknown[] = []
  for await (const line of silent.logs()) lines.push(line)
  t.strictSame(lines, [])
})

t.test('commands on terminals', async (t) => {
  await using container = await runtime.run({ ...shell, tty: false, stdin: false, command: ['sleep', '1000'] })
  const typed = await container.exec(['sh', '-c', 'tty; stty size; echo $TERM >&2; cat'], {
    tty: { columns: 70, rows: 20 },
    stdin: 'no line ending',
  })
  t.match(typed, { exitCode: 0, stderr: '' })
  // Where the echo of what is typed comes in between is anybody's guess.
  t.match(typed.stdout, /\/dev\/pts\/0\r\n[^]*20 70\r\n[^]*xterm\r\n/)
  t.match(typed.stdout, /no line ending$/, 'its input ends as it does where somebody types it')
  t.match(await container.exec(['bash', '--norc', '--noediting'], { tty: true, stdin: 'echo $((6*7))\n' }), {
    exitCode: 0,
    stdout: /\r\n42\r\n/,
  })
  t.equal((await container.exec(['sh', '-c', 'echo $TERM'], { tty: true, env: { TERM: 'vt100' } })).stdout, 'vt100\r\n')
  t.equal((await container.exec(['sh', '-c', 'echo $TERM'])).stdout, '\n', 'TERM comes with a terminal')
  t.match(await container.exec(['no-such-command'], { tty: true }).catch((error: unknown) => error), {
    code: 'COMMAND_NOT_FOUND',
  })
  const much = await container.exec(['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done'], {
    tty: true,
  })
  t.equal(much.stdout, Array.from({ length: 20000 }, (_, i) => `${String(i)}\r\n`).join(''), 'to the last line')
  t.strictSame((await container.exec(['ls', '/dev/pts'])).stdout, 'ptmx\n', 'no terminal stays')
})

t.test('an editor on a terminal, which is let go of by keys', async (t) => {
  await using container = await runtime.run({ ...shell, tty: false, stdin: false, command: ['sleep', '1000'] })
  await using editor = await container.spawn(['busybox', 'vi', '/tmp/note'], {
    tty: { columns: 80, rows: 24 },
    detachKeys: 'ctrl-x,x',
  })
  const screen = watchScreen(editor.stdout)
  // It draws a tilde for each line behind the end.
  await screen.sees(/(?:~[^~]*){22}/)
  editor.stdin.write('ihello\x1b')
  await screen.sees(/hello/)
  await editor.resize({ columns: 60, rows: 10 })
  editor.stdin.write(':wq\r')
  t.match(await editor.exited, { exitCode: 0 })
  t.equal((await container.exec(['cat', '/tmp/note'])).stdout, 'hello\n')

  await using other = await container.spawn(['sh', '-c', 'trap "" HUP; read a; sleep 0.2; yes | busybox head -c 1000000; echo $a > /tmp/a; sleep 1000'], { tty: true, detachKeys: 'ctrl-x,x' }) // prettier-ignore
  other.stdin.write('typed\r\x18')
  other.stdin.write('x and this goes nowhere\r')
  await other.detached
  await watchScreen(other.stdout).ends()
  t.equal(
    (await container.exec(['sh', '-c', 'until test -s /tmp/a; do sleep 0.05; done; cat /tmp/a'])).stdout,
    'typed\n',
    'it goes on, though nobody reads what it writes',
  )
  await other.kill()
  t.match(await other.exited, { signal: 'SIGKILL' })
})

t.test('what makes no sense', async (t) => {
  await using container = await runtime.run({ ...shell, tty: false, stdin: false, command: ['sleep', '1000'] })
  const rejects = async (work: Promise<unknown>, code: string, message: RegExp): Promise<void> => {
    await t.rejects(work, { code, message })
  }
  await rejects(container.resize({ columns: 80, rows: 24 }), 'INVALID_STATE', /has none; make it with tty: true/)
  const plain = await container.spawn(['sleep', '1000'])
  await rejects(plain.resize({ columns: 80, rows: 24 }), 'INVALID_STATE', /it has none; start it with tty: true/)
  await rejects(plain.detach(), 'INVALID_STATE', /no terminal/)
  await plain.kill()
  await rejects(container.spawn(['true'], { detachKeys: 'ctrl-x' }), 'INVALID_OPTION', /no effect without tty/)
  await rejects(container.spawn(['true'], { tty: true, detachKeys: 'ctrl-ö' }), 'INVALID_OPTION', /detachKeys/)
  await rejects(container.spawn(['true'], { tty: { columns: 70000, rows: 0 } }), 'INVALID_OPTION', /tty: columns: must be 1\.\.65535, got 70000; rows: .*got 0/) // prettier-ignore
  await rejects(container.exec(['true'], { detachKeys: 'x' } as never), 'INVALID_OPTION', /detachKeys/)
  await rejects(container.attach({ stdin: true }), 'INVALID_OPTION', /takes no input; make it with stdin: true/)
  await rejects(container.attach({ detachKeys: 'ctrl-p,q-ctrl' }), 'INVALID_OPTION', /got 'q-ctrl'/)
  await rejects(container.attach({ stdin: 'yes' } as never), 'INVALID_OPTION', /stdin: must be true or false/)
  await rejects(container.attach({ keys: 'x' } as never), 'INVALID_OPTION', /keys/)
  const reader = await container.attach()
  const refused = await new Promise((resolve) => reader.stdin.write('x', resolve))
  t.match(refused, { code: 'INVALID_STATE', message: /takes no input/ })
  await container.stop({ timeout: 0 })
  await reader.exited
  await rejects(container.attach(), 'INVALID_STATE', /it is exited\. Call start\(\) first, or read its logs/)
  const options = { image, command: ['true'], network: 'none' } as const
  const created = await runtime.containers.create({ ...options, tty: true })
  await rejects(created.resize({ columns: 80, rows: 24 }), 'INVALID_STATE', /it is created/)
  await rejects(created.resize({ columns: 0, rows: 1e9 }), 'INVALID_OPTION', /columns: .*got 0; rows: .*got 1000000000/)
  await rejects(created.resize({ rows: 1 } as never), 'INVALID_OPTION', /columns/)
  await created.remove()
  await rejects(
    runtime.run({ ...options, tty: { columns: 1.5, rows: 100000 }, stdinOnce: true, stdin: 'yes' } as never),
    'INVALID_OPTION',
    /tty\.columns[\s\S]*tty\.rows[\s\S]*stdin/,
  )
  await rejects(
    runtime.run({ ...options, stdinOnce: true }),
    'INVALID_OPTION',
    /stdinOnce: has no effect without stdin/,
  )
  await rejects(runtime.run({ ...options, stdin: true, stdinOnce: true, tty: true }), 'INVALID_OPTION', /stdinOnce/)
})
