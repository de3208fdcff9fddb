import t from 'tap'
import { compilePlan } from '../../../lib/launch/compile/container.js'
import { compileExec } from '../../../lib/launch/compile/exec.js'
import type { LaunchInput } from '../../../lib/launch/compile/input.js'
import type { Spec, SpecProcess } from '../../../lib/launch/oci-spec.js'
import type { Operation } from '../../../lib/launch/operation.js'
import type { LinuxSeccomp, SeccompRule } from '../../../lib/security/linux-seccomp.js'

const spec: Spec = {
  ociVersion: '1.2.0',
  hostname: 'box',
  root: { path: '/ignored', readonly: true },
  process: {
    cwd: '/srv',
    args: ['true'],
    env: ['PATH=/bin'],
    user: { uid: 0, gid: 0, username: 'app', umask: 0o077, additionalGids: [7] },
    capabilities: { bounding: ['CAP_KILL', 'CAP_CHOWN'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'] },
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 10, hard: 2 ** 64 }],
    oomScoreAdj: 5,
  },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
    { destination: '/data', type: 'bind', source: '/host/data', options: ['rbind', 'ro', 'rslave'] },
    { destination: '/one', type: 'none', source: '/host/one', options: ['bind'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro'] },
  ],
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'network', path: '/run/netns/x' }, { type: 'uts' }],
    sysctl: { 'net.core.somaxconn': '10' },
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
    seccomp: { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }] },
  },
}

const input: LaunchInput = {
  spec,
  root: [{ op: 'root-overlay', lower: ['/l/1'], upper: '/u', work: '/w', options: [], at: '/m' }],
  cgroup: { directories: ['/cg/memory/podling/x'], writes: [], attach: [] },
  cgroupMounts: [{ name: 'memory', source: '/cg/memory/podling/x' }],
  stdio: { stdin: 'null', stdout: 'log', stderr: 'log' },
  monitor: { lifetime: 'bound', socket: '/s', exitFile: '/e' },
  init: false,
}

const order = (operations: readonly Operation[]) => operations.map(({ op }) => op)
const at = (operations: readonly Operation[], op: Operation['op']) => order(operations).indexOf(op)

t.test('the steps of a start, in their order', (t) => {
  const { operations, create, join } = compilePlan(input)
  t.strictSame(create, ['mount', 'pid', 'uts'])
  t.strictSame(join, [{ type: 'network', path: '/run/netns/x' }])
  t.strictSame(
    order(operations).slice(0, 3),
    ['take', 'propagation', 'root-overlay'],
    'cut off from the host before anything is mounted, but for what is to stay its peer',
  )
  t.match(
    operations.find((step) => step.op === 'bind' && step.target === '/data'),
    { propagation: 'slave', taken: 0 },
  )
  t.equal(order(operations).at(-1), 'exec')
  t.ok(at(operations, 'bind') < at(operations, 'pivot-root'), 'host paths are named before the pivot')
  t.ok(at(operations, 'mask') > at(operations, 'pivot-root'))
  t.ok(
    at(operations, 'sysctl') < operations.findIndex((step) => step.op === 'read-only' && step.path === '/proc/sys'),
    'sysctls before /proc/sys is read-only',
  )
  t.notOk(order(operations).includes('loopback-up'), 'a joined network is left as it is')
  t.ok(at(operations, 'user') < at(operations, 'capabilities'))
  t.end()
})

t.test('volumes: made, then filled from the bare image, then bound', (t) => {
  const prepare = [
    { op: 'mount', fstype: 'tmpfs', source: 'x', target: '/v/_data', attributes: {}, options: [] },
  ] as const
  const fill = { data: '/v/_data', staging: '/v', lock: '/v', durable: true }
  const mountSources = [{ destination: '/one', source: '/v/_data', subpath: 'a/b', prepare, fill, owner: '5:6' }]
  const { operations } = compilePlan({ ...input, mountSources })
  const steps = order(operations)
  t.strictSame(steps.slice(0, 5), ['take', 'propagation', 'mount', 'root-overlay', 'fill'])
  t.match(operations[4], { op: 'fill', target: '/one', ...fill })
  t.match(
    operations.find((step) => step.op === 'bind' && step.target === '/one'),
    { source: '/v/_data', subpath: 'a/b', owner: '5:6' },
  )
  t.end()
})

t.test('seccomp comes where the kernel lets it', (t) => {
  const without = compilePlan(input).operations
  t.ok(at(without, 'user') < at(without, 'seccomp'), 'whose the streams are is known before')
  t.ok(at(without, 'seccomp') < at(without, 'capabilities'), 'with privileges still, without no_new_privs')
  const { process } = spec
  if (process === undefined) throw new Error('no process')
  const withNoNewPrivs = compilePlan({
    ...input,
    spec: { ...spec, process: { ...process, noNewPrivileges: true } },
  }).operations
  t.ok(at(withNoNewPrivs, 'no-new-privs') < at(withNoNewPrivs, 'seccomp'))
  t.equal(order(withNoNewPrivs).at(-2), 'seccomp', 'last of all, with it')
  t.end()
})

t.test('flags of a recursive bind: of all that is mounted below, or as the specification has it', (t) => {
  const mounts = [{ destination: '/m', type: 'bind', source: '/s', options: ['rbind', 'ro', 'rnodev'] }]
  const bindOf = (flagsOfTop: boolean) =>
    compilePlan({ ...input, spec: { ...spec, mounts }, flagsOfTop }).operations.find(
      (step) => step.op === 'bind' && step.target === '/m',
    )
  t.match(bindOf(false), { attributes: { readOnly: true, noDev: true }, top: undefined })
  t.match(bindOf(true), { attributes: { readOnly: undefined, noDev: true }, top: { readOnly: true, noDev: true } })
  t.end()
})

t.test('mounts, devices, cgroups', (t) => {
  const { operations } = compilePlan(input)
  const binds = operations.filter((operation) => operation.op === 'bind')
  t.match(binds, [
    { source: '/host/data', target: '/data', recursive: true, attributes: { readOnly: true }, propagation: 'slave' },
    { source: '/host/one', target: '/one', recursive: false },
    { source: '/cg/memory/podling/x', target: '/sys/fs/cgroup/memory', attributes: { readOnly: true } },
  ])
  t.match(
    operations.find(({ op }) => op === 'mount'),
    { fstype: 'proc', attributes: { noSuid: true }, options: [] },
  )
  const nodes = operations.flatMap((operation) => (operation.op === 'mknod' ? [operation.path] : []))
  t.strictSame(nodes, ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty'])
  t.end()
})

t.test('a pure v2 tree is one bind', (t) => {
  const { operations } = compilePlan({ ...input, cgroupMounts: [{ name: '', source: '/cg/podling/x' }] })
  t.match(operations.filter((operation) => operation.op === 'bind').at(-1), {
    source: '/cg/podling/x',
    target: '/sys/fs/cgroup',
  })
  t.end()
})

t.test('nothing is made in a /dev that belongs to the host', (t) => {
  for (const type of ['bind', 'none', 'tmpfs']) {
    const mounts = [{ destination: '/dev', type, source: '/dev', options: ['rbind'] }]
    t.equal(at(compilePlan({ ...input, spec: { ...spec, mounts } }).operations, 'mknod'), -1, type)
  }
  const own = [{ destination: '/dev/', type: 'tmpfs', source: 'tmpfs' }]
  t.ok(at(compilePlan({ ...input, spec: { ...spec, mounts: own } }).operations, 'mknod') > 0, 'but in its own')
  t.end()
})

t.test('limits and identity', (t) => {
  const { operations } = compilePlan(input)
  t.match(
    operations.find(({ op }) => op === 'rlimit'),
    { resource: 7, soft: 10n, hard: 2n ** 64n - 1n },
  )
  t.match(
    operations.find(({ op }) => op === 'user'),
    { user: 'app', groups: ['7'], setHome: true },
  )
  t.match(
    operations.find(({ op }) => op === 'capabilities'),
    { bounding: 0b100001n, effective: 1n, permitted: 1n, ambient: 0n },
  )
  t.match(
    operations.find(({ op }) => op === 'umask'),
    { mask: 0o077 },
  )
  t.end()
})

t.test('an exec makes nothing new', (t) => {
  const { process } = spec
  if (process === undefined) throw new Error('no process')
  const plan = compileExec(spec, { ...process, args: ['id'] }, { stdin: 'pass', stdout: 'pass', stderr: 'pass' })
  t.strictSame([plan.create, plan.join, plan.cgroup.directories], [[], [], []])
  t.equal(plan.monitor, undefined)
  t.strictSame(order(plan.operations), [
    'keyring',
    'enter-pids',
    'rlimit',
    'oom-score-adj',
    'user',
    'umask',
    'chdir',
    'seccomp',
    'capabilities',
    'exec',
  ])
  t.end()
})

t.test('an exec is in sight of the container when it may do no more than that', (t) => {
  const own = spec.process!
  const seccomp = spec.linux!.seccomp!
  const follows = (more: Partial<SpecProcess>, syscalls: LinuxSeccomp['syscalls'] | undefined) => {
    const changed = { ...spec, process: { ...own, ...more } }
    const linux = { ...spec.linux, ...(syscalls === undefined ? {} : { seccomp: { ...seccomp, syscalls } }) }
    const { seccomp: _, ...unconfined } = linux
    const plan = compileExec({ ...changed, linux: syscalls === undefined ? unconfined : linux }, changed.process, {
      stdin: 'null',
      stdout: 'null',
      stderr: 'null',
    })
    return order(plan.operations)[at(plan.operations, 'enter-pids') - 1]
  }
  const rule = (name: string, more: Partial<SeccompRule> = {}): SeccompRule => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    ...more,
  })
  const tracer = { capabilities: { ...own.capabilities, bounding: ['CAP_SYS_PTRACE'] } }
  const masked = { args: [{ index: 0, value: 1, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }] } as const
  t.equal(follows({}, undefined), 'capabilities')
  t.equal(follows({}, [rule('clone'), rule('setsid')]), 'capabilities')
  t.equal(follows({ noNewPrivileges: true }, []), 'capabilities', 'before the filter')
  t.equal(follows(tracer, []), 'capabilities', 'come what may')
  // Its filter would not let it be born, and nobody there can trace it.
  t.equal(follows({}, [rule('clone')]), 'keyring')
  t.equal(follows({}, [rule('clone', masked), rule('setsid')]), 'keyring')
  t.equal(follows({}, [rule('clone'), rule('setsid', { action: 'SCMP_ACT_ERRNO', errnoRet: 5 })]), 'keyring')
  t.end()
})
