import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import type { Operation } from '../../lib/launch/operation.js'
import { pipe } from '../../lib/sys/descriptors.js'
import { makePlan, makeRootfs, path, run, shell } from './rootfs.js'

const rootfs = makeRootfs()
const launcher = await Launcher.start()
t.teardown(async () => {
  await launcher.close()
  rootfs.remove()
})

const user = (name: string, groups: string[] = []): Operation => ({ op: 'user', user: name, groups, setHome: true })

t.test('exit codes and signals', async (t) => {
  for (const code of [0, 1, 7, 255]) {
    t.match((await shell(launcher, rootfs, `exit ${code}`)).record, {
      exitCode: code,
      signal: undefined,
      oomKilled: false,
    })
  }
  const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'] }), [])
  await monitor.kill(9)
  const record = await monitor.exited
  t.match(record, { exitCode: 137, signal: 9 })
  t.ok(record.finishedAt >= record.startedAt)
  await t.rejects(monitor.kill(9), { code: 'INVALID_STATE' })
})

t.test('a program finds its own world and nothing else', async (t) => {
  const { output } = await shell(launcher, rootfs, 'echo $$; hostname; cd /proc/self/fd && echo *; env; ls /', {
    env: [path, 'ONLY=this'],
    before: [{ op: 'hostname', name: 'inside' }, { op: 'loopback-up' }],
  })
  const lines = output.trim().split('\n')
  t.same(lines.slice(0, 3), ['1', 'inside', '0 1 2 3'], 'pid 1, its host name, no descriptor but its own')
  t.same(
    lines.filter((line) => /^[A-Z]+=/.test(line)).sort(),
    ['OLDPWD=/', 'ONLY=this', 'PATH=/bin', 'PWD=/proc/self/fd', 'SHLVL=1'],
    "the last ones are the shell's own",
  )
  t.match(output, /^bin\ndev\netc\n/m)
})

t.test('signals are as a program expects them', async (t) => {
  const argv = ['grep', '-E', 'Sig(Blk|Ign|Cgt)', '/proc/self/status']
  const { output } = await run(launcher, makePlan(rootfs, { argv, stdio: { stdout: 'pass' } }))
  t.same(
    output
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[1]),
    Array(3).fill('0000000000000000'),
  )
})

t.test('100 MB through stdout arrive whole', async (t) => {
  const out = pipe()
  const plan = makePlan(rootfs, { argv: ['sh', '-c', 'yes 0123456789 | head -c 100000000'], stdio: { stdout: 'pass' } })
  const monitor = await launcher.launch(plan, [out.write])
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream('', { fd: out.read })) {
    hash.update(chunk as Buffer)
    size += (chunk as Buffer).length
  }
  t.equal(size, 100_000_000)
  const line = Buffer.from('0123456789\n')
  t.equal(hash.digest('hex'), createHash('sha256').update(Buffer.alloc(100_000_000, line)).digest('hex'))
  t.equal((await monitor.exited).exitCode, 0)
})

t.test('a plan of any size', async (t) => {
  const env = Array.from({ length: 8000 }, (_, i) => `NAME_${i}=${'x'.repeat(100)}`)
  const { output } = await shell(launcher, rootfs, 'env | grep -c ^NAME_', { env: [path, ...env] })
  t.equal(output, '8000\n')
  await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['true', 'x'.repeat(3_000_000)] }), []), {
    code: 'LIMIT_REACHED',
    errno: 'E2BIG',
  })
})

t.test('failures say what was being done', async (t) => {
  const fails = async (options: Parameters<typeof makePlan>[1], expected: Record<string, unknown>): Promise<void> => {
    const error: unknown = await launcher.launch(makePlan(rootfs, options), []).catch((error: unknown) => error)
    t.match(error, expected, JSON.stringify(expected))
  }
  await fails(
    { argv: ['nothing'] },
    {
      code: 'COMMAND_NOT_FOUND',
      message: /^execute nothing: no such program in the container; give its absolute path/,
    },
  )
  await fails(
    { argv: ['/bin/nothing'] },
    { code: 'COMMAND_NOT_FOUND', errno: 'ENOENT', syscall: 'execve', path: '/bin/nothing' },
  )
  await fails({ argv: ['/etc/passwd'] }, { code: 'COMMAND_NOT_EXECUTABLE', errno: 'EACCES' })
  await fails({ argv: ['/etc'] }, { code: 'COMMAND_NOT_EXECUTABLE' })
  await fails({ argv: ['garbage'] }, { code: 'COMMAND_NOT_EXECUTABLE', errno: 'ENOEXEC' })
  await fails({ argv: ['script'] }, { code: 'COMMAND_NOT_FOUND', message: /its interpreter or loader is not/ })
  await fails(
    { argv: ['true'], before: [user('nobody-here')] },
    { code: 'USER_NOT_FOUND', message: /become the user nobody-here: no such user/ },
  )
  await fails({ argv: ['true'], before: [user('ann:nogroup')] }, { code: 'USER_NOT_FOUND', message: /no such group/ })
  await fails(
    { argv: ['true'], before: [{ op: 'chdir', path: '/missing', create: false }] },
    { code: 'WORKDIR_INVALID', errno: 'ENOENT' },
  )
  await fails(
    { argv: ['true'], before: [{ op: 'chdir', path: '/etc/passwd', create: false }] },
    { code: 'WORKDIR_INVALID', errno: 'ENOTDIR' },
  )
  const bad = { op: 'mount', fstype: 'nofs', source: 'x', target: '/q', attributes: {}, options: [] } as const
  await fails(
    { argv: ['true'], mounts: [bad] },
    { code: 'START_FAILED', message: 'mount nofs at /q: ENODEV', syscall: 'fsopen' },
  )
  const missing = { op: 'bind', source: '/missing', target: '/q', recursive: true, attributes: {} } as const
  await fails(
    { argv: ['true'], mounts: [missing] },
    { code: 'MOUNT_SOURCE_NOT_FOUND', message: /^bind \/missing at \/q: the source is not there/ },
  )
  await fails(
    { argv: ['true'], join: [{ type: 'network', path: '/missing' }] },
    { message: 'join the network namespace /missing: ENOENT' },
  )
  await fails(
    { argv: ['true'], cgroup: { directories: ['/sys/fs/cgroup/missing/a/b'], writes: [], attach: [] } },
    { message: 'make the cgroup /sys/fs/cgroup/missing/a/b: ENOENT' },
  )
})

t.test('users are those of the image', async (t) => {
  const id = async (name: string, groups: string[] = []): Promise<string> =>
    (await shell(launcher, rootfs, 'id; echo $HOME', { before: [user(name, groups)] })).output.trim()
  t.equal(await id('ann'), 'uid=1000(ann) gid=1000(ann) groups=10(wheel),29(audio),1000(ann)\n/home/ann')
  t.equal(await id('1000'), 'uid=1000(ann) gid=1000(ann) groups=10(wheel),29(audio),1000(ann)\n/home/ann')
  t.equal(await id('ann:audio'), 'uid=1000(ann) gid=29(audio) groups=29(audio)\n/home/ann')
  t.equal(await id('4000:5000', ['wheel', '77']), 'uid=4000 gid=5000 groups=10(wheel),77,5000')
  t.match(await id(''), /^uid=0\(root\) gid=0\(root\) groups=0\(root\),10\(wheel\)\n\/root/)
  const { monitor } = await run(launcher, makePlan(rootfs, { argv: ['true'], before: [user('ann')] }))
  t.match(monitor.started, { uid: 1000, gid: 1000, groups: [10, 29, 1000], home: '/home/ann' })
})

t.test('capabilities, no_new_privs, limits and the working directory', async (t) => {
  const caps = 0x401n
  const { output } = await shell(
    launcher,
    rootfs,
    'grep -E "^(Cap|NoNewPrivs)" /proc/self/status; ulimit -n; umask; pwd',
    {
      before: [
        { op: 'rlimit', resource: 7, soft: 100n, hard: 200n },
        { op: 'umask', mask: 0o27 },
        user(''),
        { op: 'capabilities', effective: caps, permitted: caps, inheritable: 0n, bounding: caps, ambient: 0n },
        { op: 'no-new-privs' },
        { op: 'chdir', path: '/made/here', create: true },
      ],
    },
  )
  t.match(
    output,
    /CapInh:\t0{16}\nCapPrm:\t0{13}401\nCapEff:\t0{13}401\nCapBnd:\t0{13}401\nCapAmb:\t0{16}\nNoNewPrivs:\t1\n100\n0?027\n\/made\/here\n/,
  )
})

t.test('mounts', async (t) => {
  const source = mkdtempSync(join(rootfs.directory, 'source-'))
  mkdirSync(join(source, 'dir'))
  writeFileSync(join(source, 'file'), 'from the host\n')
  const { output } = await shell(
    launcher,
    rootfs,
    'cat /made/file; cat /made/dir/file; touch /made/dir/x; touch /keep/y && ls /keep; cat /etc/note; ls -l /run/link',
    {
      mounts: [
        { op: 'bind', source: join(source, 'file'), target: '/made/file', recursive: false, attributes: {} },
        { op: 'bind', source, target: '/made/dir', recursive: true, attributes: { readOnly: true } },
        { op: 'bind', source: '/missing', target: '/optional', recursive: true, attributes: {}, optional: true },
        { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: '/keep', attributes: {}, options: ['size=1m'] },
        { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: '/etc', attributes: {}, options: [], copyUp: true },
        { op: 'write-file', path: '/etc/note', mode: 0o644, content: 'written\n' },
        { op: 'symlink', target: '/etc', path: '/run/link' },
      ],
    },
  )
  t.match(output, 'from the host\nfrom the host\ntouch: /made/dir/x: Read-only file system\ny\nwritten\n')
  t.match(output, '/run/link -> /etc')
  const { output: copied } = await shell(launcher, rootfs, 'id ann; ls /optional', {
    mounts: [
      {
        op: 'mount',
        fstype: 'tmpfs',
        source: 'tmpfs',
        target: '/etc',
        attributes: { readOnly: true },
        options: [],
        copyUp: true,
      },
    ],
  })
  t.match(copied, /uid=1000\(ann\)[^\n]*\nls: \/optional: No such file/)
})

t.test('targets stay in the root, whatever links the image has', async (t) => {
  const hostile = makeRootfs()
  t.teardown(() => {
    hostile.remove()
  })
  const outside = mkdtempSync(join(hostile.directory, 'outside-'))
  symlinkSync(outside, join(hostile.root, 'absolute'))
  symlinkSync('../../../../../../..' + outside, join(hostile.root, 'up'))
  symlinkSync('/proc/self/root' + outside, join(hostile.root, 'magic'))
  const { output } = await shell(launcher, hostile, `ls ${outside}`, {
    mounts: [
      { op: 'write-file', path: '/absolute/one', mode: 0o644, content: '1' },
      { op: 'write-file', path: '/up/two', mode: 0o644, content: '2' },
      { op: 'mkdir', path: '/absolute/three', mode: 0o755, uid: 0, gid: 0 },
    ],
  })
  t.equal(output, 'one\nthree\ntwo\n')
  t.same(readdirSync(outside), [])
  const magic = makePlan(hostile, {
    argv: ['true'],
    mounts: [{ op: 'write-file', path: '/magic/four', mode: 0o644, content: '4' }],
  })
  await launcher.launch(magic, []).then(
    (monitor) => monitor.exited,
    () => undefined,
  )
  t.same(readdirSync(outside), [])
})

t.test('masked and read-only paths', async (t) => {
  const { output } = await shell(
    launcher,
    rootfs,
    'cat /etc/passwd | wc -c; ls /home; echo 1 > /proc/sys/kernel/panic; touch /work/x; touch /root/x && echo fine',
    {
      before: [
        { op: 'mask', path: '/etc/passwd' },
        { op: 'mask', path: '/home' },
        { op: 'mask', path: '/missing' },
        { op: 'read-only', path: '/work' },
      ],
    },
  )
  t.match(output, /^0\n/)
  t.match(
    output,
    "sh: can't create /proc/sys/kernel/panic: Read-only file system\ntouch: /work/x: Read-only file system\nfine",
  )
  const { output: all } = await shell(launcher, rootfs, 'touch /x; touch /dev/x && echo fine', {
    before: [{ op: 'mount-read-only', path: '/' }],
  })
  t.equal(all, 'touch: /x: Read-only file system\nfine\n')
  const fake: Operation[] = [
    { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: '/dev', attributes: {}, options: [] },
    { op: 'symlink', target: '/proc/sys/kernel/core_pattern', path: '/dev/null' },
  ]
  const plan = makePlan(rootfs, { argv: ['true'], mounts: fake, before: [{ op: 'mask', path: '/etc/passwd' }] })
  await t.rejects(launcher.launch(plan, []), {
    message: 'mask /etc/passwd: /dev/null of the container is not the null device',
  })
})

t.test('sysctls reach the kernel and nothing else', async (t) => {
  const { output } = await shell(launcher, rootfs, 'cat /proc/sys/net/ipv4/ip_forward', {
    mounts: [{ op: 'sysctl', key: 'net.ipv4.ip_forward', value: '1' }],
  })
  t.equal(output, '1\n')
  const covered: Operation[] = [
    { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: '/proc/sys/net', attributes: {}, options: [] },
    { op: 'sysctl', key: 'net.ipv4.ip_forward', value: '1' },
  ]
  await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['true'], mounts: covered }), []), {
    message: 'set the sysctl net.ipv4.ip_forward to 1: EXDEV',
  })
  const fake: Operation[] = [
    { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target: '/proc', attributes: {}, options: [] },
    { op: 'sysctl', key: 'kernel.domainname', value: 'x' },
  ]
  await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['true'], mounts: fake }), []), { message: /procfs/ })
})

t.test('an init reaps, passes signals on, and ends as its child does', async (t) => {
  const { output, record } = await shell(
    launcher,
    rootfs,
    // To a zombie that nobody reaps a signal could be sent for ever.
    'echo $$; orphan=$(sh -c "sleep 0.1 >/dev/null & echo \\$!"); while kill -0 $orphan 2>/dev/null; do sleep 0.02; done; ps; exit 9',
    {
      before: [{ op: 'init' }],
    },
  )
  t.equal(record.exitCode, 9)
  t.match(output, /^2\n/)
  t.notMatch(output, /Z|^ *\d+ root +sleep/m, 'the orphan is reaped')
  t.match(output, /podling-init/)
  t.notMatch(output, /\/podling-helper/, 'no path of the host')
  const out = pipe()
  const plan = makePlan(rootfs, {
    argv: ['sh', '-c', 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'],
    stdio: { stdout: 'pass' },
    before: [{ op: 'init' }],
  })
  const monitor = await launcher.launch(plan, [out.write])
  for await (const _ of createReadStream('', { fd: out.read })) {
    await monitor.kill(15).catch(() => undefined)
    break
  }
  t.match(await monitor.exited, { exitCode: 5 })
})

t.test('a seccomp filter is in force', async (t) => {
  /* Return EPERM for mkdir(2), mkdirat(2) and let the rest pass: ld [0]; jeq; jeq; ret; ret. */
  const [mkdir, mkdirat] = process.arch === 'x64' ? [83, 258] : [1030, 34]
  const filter = Buffer.alloc(40)
  const put = (i: number, code: number, jt: number, jf: number, k: number): void => {
    filter.writeUInt16LE(code, 8 * i)
    filter.writeUInt8(jt, 8 * i + 2)
    filter.writeUInt8(jf, 8 * i + 3)
    filter.writeUInt32LE(k, 8 * i + 4)
  }
  put(0, 0x20, 0, 0, 0)
  put(1, 0x15, 1, 0, mkdir)
  put(2, 0x15, 0, 1, mkdirat)
  put(3, 0x06, 0, 0, 0x00050001)
  put(4, 0x06, 0, 0, 0x7fff0000)
  const { output } = await shell(launcher, rootfs, 'mkdir /tmp/x; echo done', {
    before: [{ op: 'no-new-privs' }, { op: 'seccomp', filter, flags: 0 }],
  })
  t.equal(output, "mkdir: can't create directory '/tmp/x': Operation not permitted\ndone\n")
})

t.test('the barrier holds a container until it may go on', async (t) => {
  const monitor = await launcher.launch(
    makePlan(rootfs, { argv: ['true'], before: [user('ann'), { op: 'barrier' }] }),
    [],
  )
  t.equal(monitor.running, false)
  t.match(monitor.started, { uid: 1000 })
  await monitor.proceed()
  t.equal(monitor.running, true)
  t.equal((await monitor.exited).exitCode, 0)
  const wrong = await launcher.launch(makePlan(rootfs, { argv: ['nothing'], before: [{ op: 'barrier' }] }), [])
  await t.rejects(wrong.proceed(), { code: 'COMMAND_NOT_FOUND' })
  const killed = await launcher.launch(makePlan(rootfs, { argv: ['true'], before: [{ op: 'barrier' }] }), [])
  await killed.kill(9)
  t.match(await killed.exited, { signal: 9 })
})

t.test('a user namespace of its own', async (t) => {
  const plan = makePlan(rootfs, {
    argv: ['sh', '-c', 'id -u; cat /proc/self/uid_map; hostname inside && hostname'],
    stdio: { stdout: 'pass' },
    create: ['user', 'mount', 'pid', 'uts', 'ipc', 'network', 'cgroup'],
  })
  const map = '0 100000 65536\n'
  const operations = plan.operations.filter(({ op }) => op !== 'mknod')
  const { output } = await run(launcher, { ...plan, idMaps: { uid: map, gid: map }, operations })
  t.match(output, /^0\n +0 +100000 +65536\ninside\n$/)
})

t.test('many starts at once', async (t) => {
  const records = await Promise.all(
    Array.from(
      { length: 64 },
      async (_, i) => (await launcher.launch(makePlan(rootfs, { argv: ['sh', '-c', `exit ${i}`] }), [])).exited,
    ),
  )
  t.same(
    records.map((record) => record.exitCode),
    Array.from({ length: 64 }, (_, i) => i),
  )
})

t.test('an overlay of many layers with long paths', async (t) => {
  const lower = Array.from({ length: 80 }, (_, i) => {
    const directory = join(rootfs.directory, 'layers', String(i).padStart(64, '0'), 'diff')
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `file-${i}`), '')
    return directory
  })
  const at = mkdtempSync(join(rootfs.directory, 'many-'))
  const plan = makePlan(rootfs, { argv: ['sh', '-c', 'ls / | grep -c file-'], stdio: { stdout: 'pass' } })
  const operations = plan.operations.map((operation): Operation =>
    operation.op === 'root-overlay'
      ? { op: 'root-overlay', lower: [rootfs.root, ...lower], options: [], at }
      : operation,
  )
  t.equal((await run(launcher, { ...plan, operations })).output, '80\n')
})
