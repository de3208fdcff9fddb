/** Units for systemd, as Podman's own generator, systemd and Podman itself read them. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { commandWords, generate } from '../fixtures/quadlet.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

const hostile = `it's "quoted"\\ with \\n, %n, %%h, $HOME \${PATH} $$, é\n[Service]\nExecStart=/bin/rm\t\u0001 ; # ' end \\`

/** What Podman is to be told, one option a line, beside what is said of it. */
const cases: readonly (readonly [Partial<ContainerOptions>, readonly string[]])[] = [
  [{ env: { A: hostile, B: '', C: undefined } }, ['--env', `A=${hostile}`, '--env', 'B=']],
  [{ labels: { [hostile.replaceAll('=', ' ')]: hostile } }, ['--label', `${hostile.replaceAll('=', ' ')}=${hostile}`]],
  [{ annotations: { a: hostile } }, ['--annotation', `a=${hostile}`]],
  [{ workdir: '/a b/%n' }, ['--workdir=/a b/%n']],
  [{ user: '1000:1000' }, ['--user', '1000:1000']],
  [{ hostname: 'box' }, ['--hostname', 'box']],
  [{ volumes: ['/tmp:/x:ro,noexec', 'data:/y', '/z'] }, ['-v', '/tmp:/x:ro,noexec', '-v', 'data:/y', '-v', '/z']],
  [
    {
      mounts: [
        { type: 'bind', source: '/tmp/a,"b":c', target: '/b', readOnly: true, propagation: 'slave', recursive: false },
        { type: 'volume', source: 'other', target: '/v w', noCopy: true, noExec: true },
        { type: 'tmpfs', target: '/t', size: '10m', mode: 0o700 },
        { type: 'image', source: 'busybox:test', target: '/i', subpath: 'bin' },
      ],
    },
    [
      '--mount=type=bind,"source=/tmp/a,""b"":c",destination=/b,bind-nonrecursive=true,bind-propagation=rslave,ro',
      '--volume=other:/v w:nocopy,noexec',
      ...['--tmpfs', '/t:size=10485760,mode=700'],
      ...['--mount', 'type=image,source=busybox:test,destination=/i,subpath=bin'],
    ],
  ],
  [{ tmpfs: ['/run/x:size=1m'] }, ['--tmpfs', '/run/x:size=1m']],
  [{ readOnly: true, init: true, noNewPrivileges: true }, ['--read-only', '--init', '--security-opt=no-new-privileges']],
  [{ network: 'backend', ip: '10.99.7.5', mac: '02:00:00:00:00:07' }, ['--network', 'backend', '--ip', '10.99.7.5', '--mac-address=02:00:00:00:00:07']],
  [{ network: 'backend', networkAliases: ['alias'], ports: [80, '127.0.0.1:8080:80/udp', { container: 1, host: 2, ip: 'fd00::1', protocol: 'tcp' }] },
    ['--network-alias', 'alias', '--publish', '80', '--publish', '127.0.0.1:8080:80/udp', '--publish', '[fd00::1]:2:1/tcp']],
  [{ extraHosts: ['h:10.0.0.1'], dns: ['9.9.9.9'], dnsSearch: ['x.y'], dnsOptions: ['ndots:2'] },
    ['--add-host', 'h:10.0.0.1', '--dns', '9.9.9.9', '--dns-search', 'x.y', '--dns-option', 'ndots:2']],
  [{ ulimits: { nofile: 1024, core: { soft: 0, hard: -1 } } }, ['--ulimit', 'nofile=1024', '--ulimit', 'core=0:-1']],
  [{ sysctls: { 'net.ipv4.ip_forward': 1 }, shmSize: '1m' }, ['--sysctl', 'net.ipv4.ip_forward=1', '--shm-size', '1048576']],
  [{ devices: ['/dev/null:/dev/xnull:r'], deviceCgroupRules: ['c 1:* rm'] },
    ['--device', '/dev/null:/dev/xnull:r', '--device-cgroup-rule=c 1:* rm']],
  [{ capAdd: ['NET_ADMIN'], capDrop: ['CHOWN'] }, ['--cap-add', 'net_admin', '--cap-drop', 'chown']],
  [{ selinux: { disable: true } }, ['--security-opt', 'label=disable']],
  [{ seccomp: 'unconfined', pidns: 'host', ipc: 'host', uts: 'host', umask: 0o27 },
    ['--security-opt', 'seccomp=unconfined', '--pid=host', '--ipc=host', '--uts=host', '--umask=0027']],
  [{ userns: 'host' }, ['--userns', 'host']],
  [{ uidMap: ['0:864300000:1000'], gidMap: [{ containerId: 0, hostId: 864300000, size: 1000 }] }, ['--uidmap', '0:864300000:1000', '--gidmap', '0:864300000:1000']],
  [{ memory: '64m', memorySwap: '128m', cpus: 0.5, cpuset: '0', pidsLimit: 50, oomScoreAdj: 7 },
    ['--memory=67108864', '--memory-swap=134217728', '--cpus=0.5', '--cpuset-cpus=0', '--pids-limit', '50', '--oom-score-adj=7']],
  [{ stopSignal: 'SIGUSR1', stopTimeout: '2500ms' }, ['--stop-signal', 'SIGUSR1', '--stop-timeout', '3']],
  [{ tty: true, stdin: true, platform: 'linux/amd64' }, ['--tty', '--interactive', '--platform=linux/amd64']],
  [{ logDriver: 'journald', logOptions: { tag: 'x {{.Name}}' } }, ['--log-driver', 'journald', '--log-opt', 'tag=x {{.Name}}']],
  [{ entrypoint: ['sh', '-c'] }, ['--entrypoint=["sh","-c"]']],
  [{ entrypoint: '' }, ['--entrypoint=']],
] // prettier-ignore

t.test('every option reaches podman run as it was given', needs('root', 'podman', 'busybox', 'systemd'), async (t) => {
  await runtime.networks.create({ name: 'backend', subnets: ['10.99.7.0/24'] })
  await runtime.volumes.create({ name: 'other', labels: { a: hostile } })
  for (const [options, flags] of cases) {
    const command = ['sh', '-c', hostile, '', '-x', 'two words', '']
    await using container = await runtime.containers.create({
      image,
      network: 'backend',
      ...options,
      name: 'web',
      command,
    })
    const quadlet = await container.toQuadlet()
    const { services, warnings, verified } = await generate(t, quadlet)
    t.equal(warnings, '')
    t.equal(verified, '', 'systemd-analyze verify has nothing to say')
    const words = commandWords(services.get('web.service') ?? '')
    t.strictSame(words.slice(-command.length), command, 'the command')
    t.equal(words.at(-command.length - 1), 'docker.io/library/busybox:test')
    const text = ` ${words.join('\u0000')}`
    t.ok(
      text.includes(flags.join('\u0000')) || flags.every((flag) => words.includes(flag)),
      Object.keys(options).join(),
      {
        flags,
        words,
      },
    )
    t.strictSame(quadlet.omitted, [])
  }
})

t.test(
  'what Podman makes of hostile values is what was given',
  needs('root', 'podman', 'runc', 'busybox'),
  async (t) => {
    const directory = await temporaryDirectory(t, 'podling-quadlet-podman-')
    const podman = (...words: string[]): string => {
      const store = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--runtime', 'runc']
      return execFileSync('podman', [...store, '--storage-driver', 'vfs', ...words], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    }
    mkdirSync(join(directory, 'image/bin'), { recursive: true })
    copyFileSync('/usr/bin/busybox', join(directory, 'image/bin/sh'))
    execFileSync('tar', ['-C', join(directory, 'image'), '-cf', join(directory, 'image.tar'), '.'])
    podman('import', join(directory, 'image.tar'), 'docker.io/library/busybox:test')
    const command = ['sh', '-c', hostile, '', 'x']
    const env = { A: hostile, EMPTY: '' }
    const labels = { key: hostile }
    await using container = await runtime.containers.create({
    image, network: 'none', name: 'web', command, env, labels, memory: '64m', workdir: '/a b', entrypoint: ['/bin/sh', 'a b'],
    mounts: [{ type: 'bind', source: directory, target: '/m,"n" :o', readOnly: true }],
  }) // prettier-ignore
    const { services } = await generate(t, await container.toQuadlet())
    const words = commandWords(services.get('web.service') ?? '').slice(2)
    podman('create', ...words.filter((word) => !/^(--cidfile|--sdnotify|--cgroups|-d$|--rm$)/.test(word)))
    t.teardown(() => podman('rm', '--all', '--force', '--time', '0'))
    const [made] = JSON.parse(podman('inspect', 'web')) as {
      readonly Config: Readonly<Record<string, unknown>> & { readonly Env: string[] }
      readonly HostConfig: Readonly<Record<string, unknown>>
      readonly Mounts: unknown
    }[]
    t.match(made?.Config, { Cmd: command, Entrypoint: ['/bin/sh', 'a b'], Labels: labels, WorkingDir: '/a b' })
    for (const [name, value] of Object.entries(env)) t.ok(made?.Config.Env.includes(`${name}=${value}`), name)
    t.equal(made?.HostConfig['Memory'], 64 * 2 ** 20)
    t.match(made?.Mounts, [{ Type: 'bind', Source: directory, Destination: '/m,"n" :o', RW: false }])
  },
)

t.test("restart policies are the service's", needs('root', 'podman', 'systemd'), async (t) => {
  const lines: Record<NonNullable<ContainerOptions['restart']>, RegExp[]> = {
    no: [],
    'on-failure': [/^Restart=on-failure$/m, /^StartLimitIntervalSec=0$/m],
    'on-failure:3': [/^Restart=on-failure$/m, /^StartLimitIntervalSec=infinity\nStartLimitBurst=4$/m],
    always: [/^Restart=always$/m, /^RestartMaxDelaySec=60s$/m, /^WantedBy=multi-user.target default.target$/m],
    'unless-stopped': [/^Restart=always$/m, /^WantedBy=multi-user.target default.target$/m],
  }
  for (const [restart, expected] of Object.entries(lines)) {
    const options = {
      image,
      network: 'none',
      name: 'web',
      command: ['sleep', '9'],
      detach: true,
      restart,
      stopTimeout: '2m',
    } as ContainerOptions
    await using container = await runtime.containers.create(options)
    const quadlet = await container.toQuadlet()
    const { services, warnings, verified } = await generate(t, quadlet)
    t.equal(warnings + verified, '')
    const service = services.get('web.service') ?? ''
    for (const line of expected) t.match(service, line, restart)
    if (restart === 'no') t.notMatch(service, /Restart|WantedBy|StartLimit/)
    t.match(service, /^TimeoutStopSec=130$/m)
    t.equal(quadlet.omitted.length, restart === 'unless-stopped' ? 1 : 0)
  }
})

t.test('volumes and networks have units of their own', needs('root', 'podman', 'systemd'), async (t) => {
  await runtime.volumes.create({
    name: 'scratch',
    labels: { a: hostile },
    options: { type: 'tmpfs', o: 'size=1m,mode=700' },
  })
  await runtime.networks.create({
    name: 'inner',
    subnets: ['10.99.8.0/24', 'fd00:99::/64'],
    internal: true,
    dns: false,
    mtu: 1400,
  })
  await using container = await runtime.containers.create({
    image, name: 'web', command: ['sleep', '9'], network: ['bridge', 'inner'], ip: '10.88.0.77', volumes: ['scratch:/s'],
  }) // prettier-ignore
  const { services, warnings, verified } = await generate(t, await container.toQuadlet())
  t.equal(warnings + verified, '')
  t.strictSame([...services.keys()].sort(), ['inner-network.service', 'scratch-volume.service', 'web.service'])
  const volume = commandWords(services.get('scratch-volume.service') ?? '')
  for (const word of ['scratch', `a=${hostile}`]) t.ok(volume.includes(word), `${word} in ${volume.join(' ')}`)
  t.match(volume.join(' '), /type=tmpfs.*o=size=1m,mode=700/)
  const network = commandWords(services.get('inner-network.service') ?? '').join(' ')
  const blocks = '--subnet 10.99.8.0/24 --gateway 10.99.8.1 --subnet fd00:99::/64 --gateway fd00:99::1'
  for (const flags of ['--disable-dns', '--internal', '--ipv6', blocks, '--opt=isolate=true --opt=mtu=1400 inner'])
    t.ok(network.includes(flags), `${flags} in ${network}`)
  const web = services.get('web.service') ?? ''
  t.match(commandWords(web).join(' '), /--network podman:ip=10\.88\.0\.77 --network inner /)
  t.match(web, /^Requires=scratch-volume\.service$/m)
  t.match(web, /^Requires=inner-network\.service$/m)
})

t.test('a pod with all that is in it', needs('root', 'podman', 'systemd'), async (t) => {
  await using pod = await runtime.pods.create({
    name: 'shop', ports: ['127.0.0.1:8099:80'], memory: '64m', pidsLimit: 9, hostname: 'shop', labels: { a: hostile }, dns: ['9.9.9.9'], uidMap: ['0:5000:1000'], gidMap: ['0:6000:1000'],
  }) // prettier-ignore
  await runtime.containers.create({ pod, image, name: 'db', command: ['sleep', '9'] })
  await runtime.containers.create({ pod, image, name: 'web', command: ['sleep', '9'], dependsOn: ['db'] })
  const quadlet = await pod.toQuadlet()
  t.strictSame(quadlet.omitted, ['pidsLimit: a pod of Podman has no limit of processes'])
  t.match(quadlet.units['shop.pod'], /^# Not as in Podling: pidsLimit/)
  const { services, warnings, verified } = await generate(t, quadlet)
  t.equal(warnings + verified, '')
  const made = /^ExecStartPre=(.*)$/m.exec(services.get('shop-pod.service') ?? '')?.[1] ?? ''
  const words = commandWords(`ExecStart=${made}`)
  for (const word of [
    '--exit-policy=continue',
    '--share=net,ipc,uts',
    '127.0.0.1:8099:80',
    '--memory=67108864',
    `--label=a=${hostile}`,
    '0:5000:1000',
    '0:6000:1000',
  ])
    t.ok(words.includes(word), `${word} in ${words.join(' ')}`)
  t.ok(
    words.lastIndexOf('--exit-policy=continue') > words.indexOf('--exit-policy=stop'),
    'and it is the last word on that',
  )
  t.match(services.get('web.service'), /^BindsTo=shop-pod\.service$/m)
  await using kept = await runtime.pods.create({
    name: 'kept',
    network: 'none',
    userns: { mode: 'keep-id', uid: 5, gid: 6 },
  })
  const { services: more, warnings: wrong } = await generate(t, await kept.toQuadlet())
  t.equal(wrong, '')
  t.match(more.get('kept-pod.service'), / --userns keep-id:uid=5,gid=6 /)
  t.match(services.get('web.service'), /^Requires=db\.service\nAfter=db\.service$/m)
})

t.test("what can't be said is told of", async (t) => {
  await using container = await runtime.containers.create({
    image, network: 'none', name: 'web', command: ['sleep', '9'], logDriver: 'json-file', logOnFull: 'stop', seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
    mounts: [{ type: 'volume', source: 'data', target: '/d', subpath: 'x' }], tty: { columns: 80, rows: 24 },
  }) // prettier-ignore
  const { omitted, units } = await container.toQuadlet()
  for (const name of ['logDriver', 'logOnFull', 'seccomp', 'mounts[0]', 'tty'])
    t.ok(
      omitted.some((line) => line.startsWith(`${name}:`)),
      name,
    )
  t.equal(units['web.container']?.split('\n').filter((line) => line.startsWith('# ')).length, omitted.length)
})

t.test('limits are those that it has by now, the name too', async (t) => {
  await using container = await runtime.containers.create({
    image,
    network: 'none',
    name: 'old',
    command: ['sleep', '9'],
    cpuQuota: 5000,
    memory: '64m',
  })
  await container.update({ memory: '32m', cpus: 0.25 })
  await container.rename('new')
  const { units } = await container.toQuadlet()
  const text = units['new.container'] ?? ''
  t.match(text, /^PodmanArgs=--memory=33554432$/m)
  t.match(text, /^PodmanArgs=--cpus=0\.25$/m)
  t.notMatch(text, /cpu-quota|old/)
})
