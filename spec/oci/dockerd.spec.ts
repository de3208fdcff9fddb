/** dockerd, unpacked from its package, with its own containerd: the same is done with runc and with podling-oci. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { dockerd, type DaemonEngine } from '../fixtures/daemon.js'
import { bothSay, engineImage, imageName, inTerminal, ownMachine, terminalScript } from '../fixtures/engine.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const needed = needs(
    'root',
    'dockerd',
    'docker-cli',
    'containerd',
    'runc',
    'iptables',
    'tini',
    'busybox',
    'skopeo',
    'python3',
  )
  if (needed.skip === undefined) ownMachine()

  t.test('containers of dockerd', needed, async (t) => {
    const { engines } = await dockerd(t, await engineImage(t))
    const cases: readonly Case[] = [
      // libnetwork has the network set up by a hook.
      [
        [],
        'ip -o -4 addr show dev eth0 | grep -c 172.17.0; echo err >&2; exit 7',
        { code: 7, stdout: '1\n', stderr: 'err\n' },
      ],
      [
        [
          '--init',
          '--user',
          '1234:5678',
          '--workdir',
          '/w',
          '--env',
          'A=b',
          '--hostname',
          'abc',
          '--group-add',
          '99',
          '--oom-score-adj',
          '500',
        ],
        'ps -o pid,args | grep -c "^ *1 .*docker-init --"; id; pwd; echo $A; hostname; cat /proc/self/oom_score_adj',
        { stdout: /^1\nuid=1234 gid=5678 groups=99,5678\n\/w\nb\nabc\n500\n$/ },
      ],
      [
        [
          '--cap-drop',
          'ALL',
          '--cap-add',
          'NET_RAW',
          '--network',
          'none',
          '--read-only',
          '--tmpfs',
          '/t:size=1m',
          '--shm-size',
          '3m',
          '--device',
          '/dev/fuse',
        ],
        `${rights}; ip -o link; touch /x 2>&1; busybox df -k /t /dev/shm; head -c 0 /dev/fuse`,
        { code: 0, stdout: /CapEff:\t0+2000\n[^]*Seccomp:\t2[^]*touch: \/x: Read-only[^]* 1024 [^]* 3072 / },
      ],
      [
        ['--privileged', '--pid', 'host', '--ipc', 'host', '--uts', 'host', '--network', 'host'],
        `${rights}; ls /dev; hostname; ip -o link show docker0 | grep -c docker0`,
        { stdout: /CapBnd:\t0+1f[^]*Seccomp:\t0[^]*loop-control[^]*\n1\n$/ },
      ],
      [
        [
          '--security-opt',
          'no-new-privileges',
          '--security-opt',
          'seccomp=unconfined',
          '--ulimit',
          'nofile=77:88',
          '--sysctl',
          'kernel.msgmax=9999',
          '--cpus',
          '0.5',
          '--cpuset-cpus',
          '0',
          '--pids-limit',
          '5',
        ],
        `${rights}; ulimit -n; ulimit -Hn; cat /proc/sys/kernel/msgmax; grep Cpus_allowed_list /proc/self/status
         for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1`,
        { stdout: /NoNewPrivs:\t1\nSeccomp:\t0\n77\n88\n9999\n[^]*list:\t0\n[^]*can't fork/ },
      ],
      [['--memory', '20m'], 'tail /dev/zero & wait $!', { code: 137 }],
    ]
    const ran = await bothSay(t, engines, async (docker, tell) => {
      const run = ['run', '--rm', ...docker.flags]
      for (const [flags, command] of cases) {
        tell([...flags, command].join(' '), await docker.call(...run, ...flags, imageName, 'sh', '-c', command))
      }
      tell('not there', await docker.call(...run, imageName, 'nothing'))
      tell('not executable', await docker.call(...run, imageName, '/etc/passwd'))
      writeFileSync(join(docker.home, 'file'), 'text')
      const volumes = ['--volume', `${docker.home}/file:/file:ro`, '--volume', `${docker.runtime}:/data`]
      const use = 'cat; cat /file; echo > /data/x; ls /data; echo >> /file'
      tell(
        'stdin, volumes',
        await docker.feed('fed\n', ...run, '--interactive', ...volumes, imageName, 'sh', '-c', use),
      )
      const terminal = [
        ...run,
        '--interactive',
        '--tty',
        '--sig-proxy=false',
        imageName,
        'sh',
        '-c',
        `busybox stty size; ${terminalScript}`,
      ]
      tell('terminal', await inTerminal(t, docker.argv(...terminal), docker.env))
    })
    for (const [flags, command, outcome] of cases) {
      const step = [...flags, command].join(' ')
      t.match(ran.get(step), outcome, step)
    }
    t.match(ran.get('not there'), { code: 127, stderr: /executable file not found in \$PATH/ })
    t.match(ran.get('not executable'), { code: 126, stderr: /permission denied/ })
    t.match(ran.get('stdin, volumes'), { stdout: 'fed\ntextx\n', stderr: /Read-only/ })
    t.match(ran.get('terminal'), /^17 91\n\/dev\/pts\/0\n101\nexit 4\n$/)

    const lived = await bothSay(t, engines, async (docker, tell) => {
      const name = docker.named('c')
      const inspect = (what: string, container = name): Promise<string> =>
        docker.must('inspect', '--format', `{{${what}}}`, container)
      const state = (): Promise<string> => inspect('.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled')
      const step = async (...words: string[]): Promise<void> => {
        tell(words.join(' '), [await docker.call(...words, name), await state()])
      }
      const until = (text: string): Promise<string> =>
        within(
          10_000,
          () => docker.must('logs', name),
          (logs) => logs === text,
        )
      const exec = (...words: string[]): ReturnType<DaemonEngine['call']> => docker.call('exec', ...words)
      const health = ['--health-cmd', 'test -e /tmp/here', '--health-interval', '100ms', '--health-start-period', '60s']
      tell(
        'run',
        await docker.call(
          'run',
          '--detach',
          ...docker.flags,
          '--name',
          name,
          ...health,
          imageName,
          'sh',
          '-c',
          sleeper,
        ),
      )
      tell('logs', await until('begun'))
      const processes = await docker.must('top', name, '-o', 'pid,user,comm')
      tell('top', processes.split('\n')[1]?.replace(/\d+/, 'PID'))
      tell('exec', await exec(name, 'sh', '-c', 'echo out; echo err >&2; exit 9'))
      tell('exec of nothing', await exec(name, 'nothing'))
      tell(
        'exec as another',
        await exec('--user', 'nobody', '--workdir', '/tmp', '--env', 'A=b', name, 'sh', '-c', 'id; pwd; echo $A'),
      )
      const terminal = docker.argv(
        'exec',
        '--interactive',
        '--tty',
        name,
        'sh',
        '-c',
        `busybox stty size; ${terminalScript}`,
      )
      tell('exec in a terminal', await inTerminal(t, terminal, docker.env))
      tell('exec, detached', await exec('--detach', name, 'touch', '/tmp/here'))
      tell(
        'health',
        await within(
          30_000,
          () => inspect('.State.Health.Status'),
          (status) => status === 'healthy',
        ),
      )
      await step('pause')
      await step('unpause')
      const limits = ['update', '--memory', '64m', '--memory-swap', '64m', '--cpus', '0.5', '--pids-limit', '50']
      tell('update', (await docker.call(...limits, name)).code)
      tell('limits', await docker.must('exec', name, 'sh', '-c', `cat ${['memory/memory.limit_in_bytes', 'pids/pids.max', 'cpu/cpu.cfs_quota_us'].map((file) => `/sys/fs/cgroup/${file}`).join(' ')}`)) // prettier-ignore
      tell(
        'stats',
        await docker
          .must('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}', name)
          .then((text) => text.split('/')[1]),
      )
      tell('kill', await docker.call('kill', '--signal', 'USR1', name))
      tell('wait', await docker.must('wait', name))
      await step('start')
      await until('begun\ngot USR1\nbegun')
      await step('restart', '--time', '0')
      await until('begun\ngot USR1\nbegun\nbegun')
      await step('stop')
      tell('rm', await docker.call('rm', name))
      tell(
        'again and again',
        await docker.call(
          'run',
          '--detach',
          ...docker.flags,
          '--name',
          name,
          '--restart',
          'on-failure:2',
          imageName,
          'false',
        ),
      )
      const restarts = (): Promise<string> => inspect('.State.Status}} {{.RestartCount')
      tell('restarts', await within(30_000, restarts, (text) => text === 'exited 2'))
      tell('rm', await docker.call('rm', '--force', name))
    })
    t.match(lived.get('top'), /PID +root +sh/)
    t.strictSame(lived.get('exec'), { code: 9, stdout: 'out\n', stderr: 'err\n' })
    t.match(lived.get('exec of nothing'), { code: 126, stdout: /executable file not found/ })
    t.match(lived.get('exec as another'), { stdout: /^uid=65534[^]*\n\/tmp\nb\n$/ })
    t.match(lived.get('exec in a terminal'), /^17 91\n\/dev\/pts\/\d\n101\nexit 4\n$/)
    t.equal(lived.get('health'), 'healthy')
    t.match(lived.get('pause'), [{ code: 0 }, 'paused 0 false'])
    t.match(lived.get('unpause'), [{ code: 0 }, 'running 0 false'])
    t.equal(lived.get('limits'), `${String(64 * 2 ** 20)}\n50\n50000`)
    t.equal(lived.get('wait'), '5')
    t.match(lived.get('stop'), [{ code: 0 }, 'exited 6 false'])
    t.equal(lived.get('restarts'), 'exited 2')
  })
}

type Case = readonly [flags: readonly string[], command: string, outcome: Readonly<Record<string, unknown>>]

const rights = 'grep -E "Cap|Seccomp:|NoNew" /proc/self/status'

const sleeper = `trap 'echo got USR1; exit 5' USR1; trap 'exit 6' TERM; echo begun; while :; do sleep 0.1; done`
