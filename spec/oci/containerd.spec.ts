/** containerd, unpacked from its package, and its runc shim: the same tasks with runc and with podling-oci. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { containerd, type DaemonEngine } from '../fixtures/daemon.js'
import { bothSay, engineImage, imageName, inTerminal, ownMachine, terminalScript } from '../fixtures/engine.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const needed = needs('root', 'containerd', 'runc', 'busybox', 'skopeo', 'python3')
  if (needed.skip === undefined) ownMachine()

  t.test('tasks of containerd', needed, async (t) => {
    const { engines } = await containerd(t, await engineImage(t))
    const status = async (ctr: DaemonEngine): Promise<string> =>
      (await ctr.must('tasks', 'list'))
        .split('\n')
        .find((line) => line.startsWith(ctr.named('c')))
        ?.split(/ +/)[2] ?? ''

    const ran = await bothSay(t, engines, async (ctr, tell) => {
      let runs = 0
      const run = (flags: readonly string[], ...command: string[]): ReturnType<DaemonEngine['call']> =>
        ctr.call('run', '--rm', ...ctr.flags, ...flags, imageName, ctr.named(`r${String(++runs)}`), ...command)
      tell('status', await run([], 'sh', '-c', 'echo out; echo err >&2; exit 7'))
      tell('not there', await run([], 'nothing'))
      tell('not executable', await run([], '/etc/passwd'))
      const limits = ['--memory-limit', '30000000', '--seccomp', '--read-only', '--cap-drop', 'CAP_CHOWN']
      const identity = ['--hostname', 'abc', '--env', 'A=b', '--cwd', '/tmp', '--user', '1234:5678']
      const look = 'hostname; echo $A; pwd; id; touch /x 2>&1; grep -E "Cap|Seccomp:" /proc/self/status'
      tell('confined', await run([...limits, ...identity], 'sh', '-c', look))
      tell('privileged', await run(['--privileged', '--net-host'], 'grep', 'Cap', '/proc/self/status'))
      tell('out of memory', await run(['--memory-limit', '30000000'], 'tail', '/dev/zero'))
      tell(
        'bind',
        await run(['--mount', `type=bind,src=${ctr.home},dst=/v,options=rbind:ro`], 'sh', '-c', 'touch /v/x 2>&1'),
      )
      const terminal = ['run', '--rm', ...ctr.flags, '--tty', imageName, ctr.named('t'), 'sh', '-c', terminalScript]
      tell('terminal', await inTerminal(t, ctr.argv(...terminal), ctr.env))
    })
    t.strictSame(ran.get('status'), { code: 7, stdout: 'out\n', stderr: 'err\n' })
    t.match(ran.get('not there'), { code: 1, stderr: /executable file not found in \$PATH/ })
    t.match(ran.get('not executable'), { code: 1, stderr: /permission denied/ })
    t.match(ran.get('confined'), {
      stdout: /^abc\nb\n\/tmp\nuid=1234 gid=5678[^]*Read-only[^]*a80425fa[^]*Seccomp:\t2/,
    })
    t.match(ran.get('privileged'), { stdout: /CapBnd:\t0+1f/ })
    t.match(ran.get('out of memory'), { code: 137 })
    t.match(ran.get('bind'), { stdout: /Read-only/ })
    t.match(ran.get('terminal'), /^\/dev\/pts\/0\n101\nexit 4\n$/)

    const lived = await bothSay(t, engines, async (ctr, tell) => {
      const name = ctr.named('c')
      const log = join(ctr.home, 'log')
      const begin = ['run', '--detach', ...ctr.flags, '--log-uri', `file://${log}`, imageName, name]
      const until = (wanted: string): Promise<string> =>
        within(
          10_000,
          () => status(ctr),
          (one) => one === wanted,
        )
      const exec = (id: string, flags: readonly string[], ...command: string[]): ReturnType<DaemonEngine['call']> =>
        ctr.call('tasks', 'exec', '--exec-id', id, ...flags, name, ...command)
      tell(
        'run',
        await ctr.call(
          ...begin,
          'sh',
          '-c',
          `trap 'echo got USR1; exit 5' USR1; echo begun; while :; do sleep 0.1; done`,
        ),
      )
      tell(
        'log',
        await within(
          10_000,
          () => Promise.resolve(readFileSync(log, 'utf8')),
          (text) => text !== '',
        ),
      )
      // ctr closes its ends of the streams when the process has ended, whether all has come by then or not.
      tell('exec', await exec('e1', [], 'sh', '-c', 'echo out; echo err >&2; sleep 0.5; exit 9'))
      tell('exec of nothing', await exec('e2', [], 'nothing'))
      tell('exec as another', await exec('e3', ['--user', '1234', '--cwd', '/tmp'], 'sh', '-c', 'id; pwd; sleep 0.5'))
      const terminal = ['tasks', 'exec', '--exec-id', 'e4', '--tty', name, 'sh', '-c', terminalScript]
      tell('exec in a terminal', await inTerminal(t, ctr.argv(...terminal), ctr.env))
      tell(
        'processes',
        (await ctr.must('tasks', 'ps', name)).replace(/\d+/g, 'PID').replace(/ +/g, ' ').split('\n').slice(0, 2),
      )
      tell('metrics', (await ctr.must('tasks', 'metrics', name)).match(/^\w+\.[\w.]+/gm))
      tell('pause', [await ctr.call('tasks', 'pause', name), await status(ctr)])
      tell('resume', [await ctr.call('tasks', 'resume', name), await status(ctr)])
      tell('kill', [await ctr.call('tasks', 'kill', '--signal', 'USR1', name), await until('STOPPED')])
      tell('its end', await ctr.call('tasks', 'rm', name))
      tell('start again', [await ctr.call('tasks', 'start', '--detach', '--null-io', name), await status(ctr)])
      tell('kill at once', [await ctr.call('tasks', 'kill', '--signal', 'KILL', name), await until('STOPPED')])
      tell('rm', [await ctr.call('tasks', 'rm', name), await ctr.call('containers', 'rm', name), await status(ctr)])
      tell('what it wrote', readFileSync(log, 'utf8'))
    })
    t.equal(lived.get('log'), 'begun\n')
    t.strictSame(lived.get('exec'), { code: 9, stdout: 'out\n', stderr: 'err\n' })
    t.match(lived.get('exec as another'), { stdout: /^uid=1234 [^]*\n\/tmp\n$/ })
    t.match(lived.get('exec in a terminal'), /^\/dev\/pts\/\d\n101\nexit 4\n$/)
    t.strictSame(lived.get('processes'), ['PID INFO', 'PID -'])
    t.match(lived.get('pause'), [{ code: 0 }, 'PAUSED'])
    t.match(lived.get('resume'), [{ code: 0 }, 'RUNNING'])
    t.match(lived.get('its end'), { stderr: /exit code 5/ })
    t.match(lived.get('start again'), [{ code: 0 }, 'RUNNING'])
    t.equal(lived.get('what it wrote'), 'begun\ngot USR1\n')
  })
}
