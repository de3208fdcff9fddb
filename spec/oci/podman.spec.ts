/** Podman on podling-oci, beside Podman on runc: the same is done with both, and the same has to come of it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import {
  bothSay,
  engineImage,
  imageName,
  inTerminal,
  ownMachine,
  runtimeNames,
  terminalScript,
} from '../fixtures/engine.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { podmanExec, podmanWith, type Podman } from '../fixtures/podman.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const needed = needs('root', 'podman', 'runc', 'busybox', 'skopeo', 'python3', 'catatonit')
  if (needed.skip === undefined) ownMachine()
  const archive = needed.skip === undefined ? await engineImage(t) : ''
  const engines: Podman[] = []
  if (needed.skip === undefined) {
    for (const runtime of runtimeNames) engines.push(await podmanWith(t, runtime, archive))
  }

  t.test('run: streams, exit statuses, and what of it can go wrong', needed, async (t) => {
    const said = await bothSay(t, engines, async (podman, tell) => {
      const { cgroup, run } = podman
      tell('status', await run('--rm', imageName, 'sh', '-c', 'echo out; echo err >&2; exit 7'))
      tell('not in PATH', await run('--rm', imageName, 'nothing'))
      tell('not there', await run('--rm', imageName, '/nothing'))
      tell('not executable', await run('--rm', imageName, '/etc/passwd'))
      const flags = ['run', '--rm', '--network', 'none', '--cgroup-parent', `/${cgroup}`]
      tell('init', await run('--rm', '--init', imageName, 'sh', '-c', 'ps | grep -c "^ *1 .*podman-init"'))
      tell('stdin', await podman.feed('fed\n', ...flags, '--interactive', imageName, 'cat'))
      const terminal = [
        ...flags,
        '--interactive',
        '--tty',
        '--sig-proxy=false',
        imageName,
        'sh',
        '-c',
        `busybox stty size; ${terminalScript}`,
      ]
      tell('terminal', await inTerminal(t, podman.argv(...terminal), podman.env))
    })
    t.match(said.get('status'), { code: 7, stdout: 'out\n', stderr: 'err\n' })
    t.match(said.get('not in PATH'), { code: 127, stderr: /executable file not found in \$PATH/ })
    t.match(said.get('not there'), { code: 127, stderr: /no such file or directory/ })
    t.match(said.get('not executable'), { code: 126, stderr: /permission denied/ })
    t.match(said.get('init'), { code: 0, stdout: '1\n' })
    t.match(said.get('stdin'), { code: 0, stdout: 'fed\n' })
    t.match(said.get('terminal'), /^17 91\n\/dev\/pts\/0\n101\nexit 4\n$/)
  })

  t.test('what confines a container, and what it is given', needed, async (t) => {
    const volume = await temporaryDirectory(t, 'podling-podman-volume-')
    writeFileSync(join(volume, 'file'), 'text')
    mkdirSync(join(volume, 'empty'))
    const cases: readonly Case[] = [
      [
        ['--user', 'nobody', '--workdir', '/tmp', '--env', 'A=b', '--hostname', 'abc', '--oom-score-adj', '500'],
        'id; pwd; echo $A; hostname; cat /proc/self/oom_score_adj',
        /^uid=65534[^]*\n\/tmp\nb\nabc\n500\n$/,
      ],
      [
        ['--user', '1234:5678', '--cap-drop', 'ALL', '--cap-add', 'NET_RAW'],
        `id; ${rights}`,
        /^uid=1234[^]*CapBnd:\t0+2000\n/,
      ],
      [['--cap-add', 'ALL', '--security-opt', 'seccomp=unconfined'], rights, /CapEff:\t0+1ff[^]*Seccomp:\t0/],
      [
        ['--privileged', '--pid', 'host', '--ipc', 'host', '--uts', 'host'],
        `${rights}; ls /dev; hostname`,
        /Seccomp:\t0[^]*loop-control/,
      ],
      [['--security-opt', 'no-new-privileges'], rights, /NoNewPrivs:\t1[^]*Seccomp:\t2/],
      [
        ['--read-only', '--volume', `${volume}:/v:ro`, '--tmpfs', '/t:size=1m', '--shm-size', '3m'],
        'touch /x 2>&1; touch /tmp/x && ls /v; touch /v/x 2>&1; busybox df -k /t /dev/shm',
        /^touch: \/x: Read-only[^]*\nempty\nfile\ntouch: \/v\/x: Read-only[^]* 1024 [^]* 3072 /,
      ],
      [
        ['--volume', `${volume}:/v`, '--mount', 'type=tmpfs,dst=/z,tmpfs-mode=1700', '--device', '/dev/fuse'],
        'echo more > /v/file; cat /v/file; stat -c %a /z; stat -c %t:%T:%a /dev/fuse; head -c 0 /dev/fuse',
        /^more\n1700\na:e5:/,
      ],
      [
        [
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
        `ulimit -n; ulimit -Hn; cat /proc/sys/kernel/msgmax; ${shown.cpu}; grep Cpus_allowed_list /proc/self/status
         for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1`,
        /^77\n88\n9999\n50000[^]*list:\t0\n[^]*can't fork/,
      ],
      [
        ['--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536'],
        'id; cat /proc/self/uid_map; stat -c %u /etc; echo > /dev/null && echo written',
        /^uid=0[^]*\n +0 +100000 +65536\n0\nwritten\n$/,
      ],
      [['--memory', '32m'], `${shown.memory}; tail /dev/zero; exit 9`, /^33554432\n$/],
    ]
    const said = await bothSay(t, engines, async (podman, tell) => {
      for (const [flags, command] of cases) {
        tell(flags.join(' '), await podman.run('--rm', ...flags, imageName, 'sh', '-c', command))
      }
    })
    for (const [flags, , stdout] of cases) t.match(said.get(flags.join(' ')), { stdout }, flags.join(' '))
  })

  t.test('life of a container that is detached', needed, async (t) => {
    const said = await bothSay(t, engines, async (podman, tell) => {
      const format = '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}'
      const inspect = (): Promise<string> => podman.must('inspect', '--format', format, 'c')
      // It has stopped, and has exited once podman has cleaned up.
      const state = (): Promise<string> => within(20_000, inspect, (text) => !text.startsWith('stopped'))
      const until = async (text: string): Promise<string> =>
        within(10_000, () => podman.must('logs', 'c'), (logs) => logs.includes(text)) // prettier-ignore
      const exec = (...words: string[]) => podmanExec(podman, ...words)
      const step = async (...words: string[]): Promise<void> => {
        tell(words.join(' '), [await podman.call(...words), await state()])
      }
      tell('run', await podman.run('--detach', '--name', 'c', imageName, 'sh', '-c', sleeper))
      tell('logs', await until('begun'))
      tell('top', await podman.must('top', 'c', 'user', 'comm'))
      tell('stats', await podman.must('stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'c'))
      await step('pause', 'c')
      await step('unpause', 'c')
      await step('update', '--memory', '64m', '--pids-limit', '50', 'c')
      tell('limits', (await exec('c', 'sh', '-c', `${shown.memory}; ${shown.pids}`)).stdout.trim())
      tell('exec', await exec('c', 'sh', '-c', 'echo out; echo err >&2; exit 9'))
      tell('exec of nothing', await exec('c', 'nothing'))
      const as = ['--user', 'nobody', '--workdir', '/tmp', '--env', 'A=b']
      tell('exec as another', (await exec(...as, 'c', 'sh', '-c', 'id; pwd; echo $A')).stdout.trim())
      tell('exec with input', await podman.feed('fed\n', 'exec', '--interactive', 'c', 'cat'))
      tell('exec, detached', (await podman.call('exec', '--detach', 'c', 'sh', '-c', 'echo here > /tmp/here')).code)
      const file = async (): Promise<string> => (await exec('c', 'sh', '-c', 'cat /tmp/here 2>&1')).stdout.trim()
      tell('what it wrote', await within(10_000, file, (text) => text === 'here'))
      const terminal = podman.argv(
        'exec',
        '--interactive',
        '--tty',
        'c',
        'sh',
        '-c',
        `busybox stty size; ${terminalScript}`,
      )
      tell('exec in a terminal', await inTerminal(t, terminal, podman.env))
      tell('kill', await podman.call('kill', '--signal', 'USR1', 'c'))
      tell('wait', await podman.must('wait', 'c'))
      await step('start', 'c')
      await until('begun\ngot USR1\nbegun')
      await step('restart', '--time', '0', 'c')
      await until('begun\ngot USR1\nbegun\nbegun')
      await step('stop', '--time', '5', 'c')
      await step('rm', '--force', 'nobody')
      tell('rm', await podman.must('rm', 'c'))
      tell('create', await podman.run('--detach', '--name', 'c', imageName, 'sleep', '1000'))
      tell('rm --force', await podman.must('rm', '--force', '--time', '0', 'c'))
      tell('out of memory', await podman.run('--name', 'c', '--memory', '20m', imageName, 'tail', '/dev/zero'))
      tell('killed', await state())
      tell('init', [await podman.must('create', '--network', 'none', '--cgroup-parent', `/${podman.cgroup}`, '--name', 'i', imageName), await podman.must('init', 'i')]) // prettier-ignore
      tell('initialized', await podman.must('inspect', '--format', '{{.State.Status}}', 'i'))
    })
    t.match(said.get('logs'), /^begun$/)
    t.match(said.get('top'), /root\s+sh\n/)
    t.match(said.get('pause c'), [{ code: 0 }, 'paused 0 false'])
    t.match(said.get('unpause c'), [{ code: 0 }, 'running 0 false'])
    t.equal(said.get('limits'), `${String(64 * 2 ** 20)}\n50`)
    t.strictSame(said.get('exec'), { code: 9, stdout: 'out\n', stderr: 'err\n' })
    t.match(said.get('exec of nothing'), { code: 127 })
    t.match(said.get('exec as another'), /^uid=65534[^]*\n\/tmp\nb$/)
    t.equal(said.get('what it wrote'), 'here')
    t.match(said.get('exec in a terminal'), /^17 91\n\/dev\/pts\/\d\n101\nexit 4\n$/)
    t.equal(said.get('wait'), '5')
    t.match(said.get('stop --time 5 c'), [{ code: 0 }, 'exited 6 false'])
    t.match(said.get('killed'), 'exited 137 true')
    t.equal(said.get('initialized'), 'initialized')
  })

  t.test('a pod', needed, async (t) => {
    const said = await bothSay(t, engines, async (podman, tell) => {
      const infra = ['--infra-image', imageName, '--infra-command', 'sleep 1000', '--network', 'none']
      const shared = ['--share', 'net,ipc,uts,pid', '--cgroup-parent', `/${podman.cgroup}`]
      const status = (): Promise<string> => podman.must('pod', 'ps', '--format', '{{.Name}} {{.Status}}')
      tell('create', await podman.must('pod', 'create', '--name', 'p', '--hostname', 'pod', ...infra, ...shared))
      tell('run', await podman.must('run', '--detach', '--pod', 'p', '--name', 'm', imageName, 'sleep', '1001'))
      tell(
        'sees',
        await podman.must('run', '--rm', '--pod', 'p', imageName, 'sh', '-c', 'hostname; ps | grep -c "[s]leep 1001"'),
      )
      tell('running', await status())
      tell('pause', [await podman.must('pod', 'pause', 'p'), await status()])
      tell('unpause', [await podman.must('pod', 'unpause', 'p'), await status()])
      tell('stop', [await podman.must('pod', 'stop', '--time', '0', 'p'), await status()])
      tell('start', [await podman.must('pod', 'start', 'p'), await status()])
      tell('rm', await podman.must('pod', 'rm', '--force', '--time', '0', 'p'))
    })
    t.equal(said.get('sees'), 'pod\n1')
    t.match(said.get('pause'), [/./, 'p Paused'])
    t.match(said.get('stop'), [/./, 'p Exited'])
    t.match(said.get('start'), [/./, 'p Running'])
  })
}

type Case = readonly [flags: readonly string[], command: string, stdout: string | RegExp]

/** What shows a limit in the container, in each layout of cgroups. */
const shown = {
  cpu: 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max',
  pids: 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max',
  memory: 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max',
}

const rights = 'grep -E "Cap|Seccomp:|NoNew" /proc/self/status'

const sleeper = `trap 'echo got USR1; exit 5' USR1; trap 'exit 6' TERM; echo begun; while :; do sleep 0.1; done`
