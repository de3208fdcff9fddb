import t from 'tap'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

async function lines(
  options: Parameters<typeof runtime.run>[0],
): Promise<{ exitCode: number; out: string[]; err: string[] }> {
  await using container = await runtime.run(options)
  const { exitCode } = await container.wait()
  const out: string[] = []
  const err: string[] = []
  for await (const line of container.logs()) (line.stream === 'stdout' ? out : err).push(line.text)
  return { exitCode, out, err }
}

const sh = (script: string) => ({ image, command: ['sh', '-c', script], network: 'none' as const })

t.test('a command runs to its exit code, and its streams are told apart', async (t) => {
  t.strictSame(await lines(sh('echo out; echo err >&2; exit 7')), { exitCode: 7, out: ['out'], err: ['err'] })
})

t.test('it is pid 1, with a host name and files of its own', async (t) => {
  const { out } = await lines({
    ...sh('echo $$; hostname; cat /etc/hostname; grep -c box /etc/hosts; ls /proc | grep -c "^[0-9]"'),
    hostname: 'box',
  })
  t.strictSame(out.slice(0, 4), ['1', 'box', 'box', '1'])
  t.ok(Number(out[4]) < 8, 'it sees its own processes only')
})

t.test('environment: what is said, and nothing of the host', async (t) => {
  process.env['PODLING_SPEC_SECRET'] = 'secret'
  const { out } = await lines({ ...sh('env'), env: { GREETING: 'hello world' }, hostname: 'box' })
  const names = out.map((line) => line.slice(0, line.indexOf('='))).sort()
  t.ok(out.includes('GREETING=hello world'))
  t.ok(out.includes('HOME=/root'))
  t.strictSame(
    names.filter(
      (name) => !['PATH', 'HOME', 'GREETING', 'HOSTNAME', 'TERM', 'container', 'SHLVL', 'PWD'].includes(name),
    ),
    [],
  )
})

t.test('users by name and by number, with their groups and home', async (t) => {
  t.strictSame((await lines({ ...sh('id -u; id -g; id -G; echo $HOME'), user: 'app' })).out, [
    '1000',
    '1000',
    '1000 50',
    '/home/app',
  ])
  t.strictSame((await lines({ ...sh('id -u; id -g'), user: '1234' })).out, ['1234', '0'])
  t.strictSame((await lines({ ...sh('id -u; id -g'), user: 'app:wheel' })).out, ['1000', '10'])
  t.strictSame((await lines({ ...sh('id -u; id -g'), user: '4294967294:4294967294' })).out, [
    '4294967294',
    '4294967294',
  ])
})

t.test('the working directory is made where it is missing', async (t) => {
  t.strictSame((await lines({ ...sh('pwd'), workdir: '/srv/new/place' })).out, ['/srv/new/place'])
})

t.test('a read-only root, with tmpfs to write to', async (t) => {
  const { out } = await lines({
    ...sh(
      'touch /x 2>/dev/null || echo refused; touch /scratch/x && echo written; df -k /scratch | tail -1 | tr -s " " | cut -d" " -f2',
    ),
    readOnly: true,
    tmpfs: ['/scratch:size=1m'],
  })
  t.strictSame(out, ['refused', 'written', '1024'])
})

t.test('the root of a tmpfs is as its options say, else as the image has it, else open to all', async (t) => {
  await using container = await runtime.run({
    image,
    network: 'none',
    command: ['stat', '-c', '%a %u %g', '/home/app', '/root', '/etc', '/new/place'],
    tmpfs: ['/home/app', '/root:mode=751,gid=7', '/etc:uid=5', '/new/place'],
  })
  await container.wait()
  await container.start()
  await container.wait()
  const out: string[] = []
  for await (const { text } of container.logs()) out.push(text)
  const each = ['755 1000 1000', '751 0 7', '755 5 0', '1777 0 0']
  t.strictSame(out, [...each, ...each], 'at each start')
})

t.test('bind mounts, read-only and not', async (t) => {
  const host = t.testdir({ file: 'from the host\n' })
  const { out } = await lines({
    ...sh('cat /data/file; echo changed > /data/file; touch /ro/x 2>/dev/null || echo refused'),
    volumes: [`${host}:/data:z`, `${host}:/ro:ro,z`],
  })
  t.strictSame(out, ['from the host', 'refused'])
})

t.test('no network but loopback; the host network', async (t) => {
  t.strictSame((await lines(sh('ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1'))).out, ['lo', '1'])
  const { readdir } = await import('node:fs/promises')
  const { out } = await lines({
    image,
    command: ['sh', '-c', 'cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d " " | sort'],
    network: 'host',
  })
  t.strictSame(out, (await readdir('/sys/class/net')).filter((name) => name !== 'bonding_masters').sort())
})

t.test("limits are the kernel's", async (t) => {
  const { out } = await lines({
    ...sh(
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; ulimit -n',
    ),
    memory: '64m',
    pidsLimit: 32,
    cpus: 0.5,
    ulimits: { nofile: 256 },
  })
  t.strictSame(out, ['67108864', '32', '256'])
})

t.test('out of memory is told apart', async (t) => {
  await using container = await runtime.run({
    image,
    command: ['sh', '-c', 'tail /dev/zero'],
    network: 'none',
    memory: '16m',
  })
  const exit = await container.wait()
  t.equal(exit.oomKilled, true)
  t.equal(exit.exitCode, 137)
})

t.test('default capabilities are those of Podman', async (t) => {
  const { out } = await lines(
    sh('grep -E "^Cap(Inh|Prm|Eff|Bnd|Amb)|^NoNewPrivs|^Seccomp:" /proc/self/status | tr -s "\\t" " "'),
  )
  t.strictSame(out, [
    'CapInh: 0000000000000000',
    'CapPrm: 00000000800405fb',
    'CapEff: 00000000800405fb',
    'CapBnd: 00000000800405fb',
    'CapAmb: 0000000000000000',
    'NoNewPrivs: 0',
    'Seccomp: 2',
  ])
})

t.test('init: true reaps and passes signals on', async (t) => {
  await using container = await runtime.run({
    image,
    command: ['sh', '-c', 'trap "exit 5" TERM; echo up; while :; do sleep 0.05; done'],
    network: 'none',
    init: true,
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  const { stdout } = await container.exec(['sh', '-c', 'cat /proc/1/comm; grep -c . /proc/1/cmdline'])
  t.notMatch(stdout, /^sh/)
  t.equal((await container.stop())?.exitCode, 5)
})

t.test('a user who is not root can open its standard streams anew', async (t) => {
  await using container = await runtime.run({
    image,
    network: 'none',
    user: 'app',
    command: ['sh', '-c', 'echo out > /dev/stdout; echo err > /proc/self/fd/2'],
  })
  t.match(await container.wait(), { exitCode: 0 })
  const lines: string[] = []
  for await (const { stream, text } of container.logs()) lines.push(`${stream} ${text}`)
  t.strictSame(lines, ['stdout out', 'stderr err'])
})
