import t from 'tap'
import { generateSpec, type HostFacts, type ImageDefaults } from '../../lib/container/generate-spec.js'
import { parseBoundingSet, parseLimits } from '../../lib/container/host-facts.js'
import type { ContainerOptions } from '../../lib/container/options.js'
import { parseOptions } from '../../lib/container/parse-options.js'
import { emptyImageConfig } from '../../lib/image/image-config.js'
import { unlimited } from '../../lib/launch/rlimits.js'
import { validateSpec } from '../../lib/launch/validate-spec.js'
import { capabilityNames, defaultCapabilities } from '../../lib/security/capabilities.js'
import type { SeccompProfile } from '../../lib/security/seccomp-profile.js'

const id = '0123456789abcdef'.repeat(4)

function generate(
  options: Partial<ContainerOptions> = {},
  image: ImageDefaults = {},
  host: HostFacts = {},
  profile?: SeccompProfile,
) {
  const spec = generateSpec({
    options: parseOptions({ image: 'app', ...options }),
    image: { cmd: ['serve'], ...image },
    id,
    rootPath: '/root',
    cgroupsPath: '/podling/x',
    files: { hosts: '/run/x/hosts', hostname: '/run/x/hostname' },
    host: { arch: 'amd64', ...host },
    ...(profile === undefined ? {} : { seccompProfile: profile }),
  })
  validateSpec(spec)
  return spec
}

/** What lib/image reads of an image fits. */
export const fits: ImageDefaults = emptyImageConfig

const mount = (spec: ReturnType<typeof generate>, destination: string) =>
  spec.mounts?.find((one) => one.destination === destination)

t.test('entrypoint and command, as docker and podman have them', (t) => {
  const image = { entrypoint: ['/entry', '-x'], cmd: ['serve', 'all'] }
  const args = (options: Partial<ContainerOptions>, from: ImageDefaults = image) =>
    generate(options, from).process?.args
  t.same(args({}), ['/entry', '-x', 'serve', 'all'])
  t.same(args({ command: ['one'] }), ['/entry', '-x', 'one'])
  t.same(args({ entrypoint: '/own' }), ['/own'], 'the image’s command falls away with its entrypoint')
  t.same(args({ entrypoint: ['/own', 'a'], command: ['b'] }), ['/own', 'a', 'b'])
  t.same(args({ entrypoint: '', command: ['b'] }), ['b'])
  t.same(args({ entrypoint: [] }), ['serve', 'all'])
  t.same(args({ command: ['sh', ''] }, { entrypoint: [], cmd: [] }), ['sh', ''])
  const nothing = () => args({}, { entrypoint: [], cmd: [] })
  t.throws(nothing, { code: 'INVALID_OPTION', message: /^command: is required/ })
  t.throws(() => args({ entrypoint: '' }), { code: 'INVALID_OPTION', message: /^command: is required/ })
  t.throws(() => args({ command: [''] }, { cmd: [] }), { message: /must not be an empty string/ })
  t.end()
})

t.test('environment: defaults, the image’s, the options’', (t) => {
  t.same(generate().process?.env, [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'container=podling',
    'HOSTNAME=0123456789ab',
  ])
  const spec = generate(
    { env: { B: 'own', HOSTNAME: 'h', EQ: 'a=b', EMPTY: '' } },
    { env: ['PATH=/bin', 'A=1', 'B=2'] },
  )
  t.same(spec.process?.env, ['PATH=/bin', 'container=podling', 'HOSTNAME=h', 'A=1', 'B=own', 'EQ=a=b', 'EMPTY='])
  t.end()
})

t.test('user', (t) => {
  const user = (options: Partial<ContainerOptions>, image: ImageDefaults = {}) => generate(options, image).process?.user
  t.same(user({}), { uid: 0, gid: 0, umask: 0o022 })
  t.same(user({ user: 'app' }), { uid: 0, gid: 0, umask: 0o022, username: 'app' })
  t.same(user({}, { user: 'app:staff' }), { uid: 0, gid: 0, umask: 0o022, username: 'app:staff' })
  t.same(user({ user: '5:6' }), { uid: 5, gid: 6, umask: 0o022, username: '5:6' })
  t.same(user({ user: 5, umask: 0 }, { user: 'app' }), { uid: 5, gid: 0, umask: 0, username: '5' })
  t.end()
})

t.test('capabilities: root has the set, others what was asked for by name', (t) => {
  const set = (options: Partial<ContainerOptions>, host?: HostFacts) =>
    generate(options, {}, host).process?.capabilities
  const all = [...defaultCapabilities].sort()
  t.same(set({}), { bounding: all, effective: all, permitted: all, inheritable: [], ambient: [] })
  t.same(set({ user: 'app' }), { bounding: all, effective: [], permitted: [], inheritable: [], ambient: [] })
  const asked = ['CAP_NET_ADMIN']
  t.match(set({ user: 'app', capAdd: ['net_admin'] }), {
    effective: asked,
    permitted: asked,
    inheritable: asked,
    ambient: asked,
  })
  t.same(set({ privileged: true })?.bounding, capabilityNames)
  t.same(set({ privileged: true }, { capabilities: ['CAP_CHOWN'] })?.effective, ['CAP_CHOWN'])
  t.same(set({ privileged: true, user: 'app' })?.effective, [])
  t.end()
})

t.test('limits', (t) => {
  t.same(generate().linux?.resources, { devices: [{ allow: false, access: 'rwm' }], pids: { limit: 2048 } })
  t.match(generate({ memory: '64m', cpus: 0.5, cpuset: '0-1', pidsLimit: -1 }).linux?.resources, {
    memory: { limit: 67108864, swap: 134217728 },
    cpu: { quota: 50000, period: 100000, cpus: '0-1' },
    pids: { limit: -1 },
  })
  t.same(generate({ cpuset: '0' }).linux?.resources?.cpu, { cpus: '0' })
  t.same(generate({}, {}, { limits: { nofile: 20000, nproc: Infinity } }).process?.rlimits, [
    { type: 'RLIMIT_NOFILE', soft: 20000, hard: 20000 },
    { type: 'RLIMIT_NPROC', soft: 1048576, hard: 1048576 },
  ])
  t.same(generate({ ulimits: { nofile: 5, core: -1 } }, {}, { limits: { nofile: 20000 } }).process?.rlimits, [
    { type: 'RLIMIT_NOFILE', soft: 5, hard: 5 },
    { type: 'RLIMIT_CORE', soft: unlimited, hard: unlimited },
  ])
  t.end()
})

t.test('namespaces, and what hangs on them', (t) => {
  const types = (options: Partial<ContainerOptions>) => generate(options).linux?.namespaces?.map(({ type }) => type)
  t.same(types({}), ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'])
  t.same(types({ network: 'host', ipc: 'host', pidns: 'host', uts: 'host' }), ['mount', 'cgroup'])
  t.same(generate({ sysctls: { 'net.core.somaxconn': 5 } }).linux?.sysctl, {
    'net.ipv4.ping_group_range': '0 0',
    'net.core.somaxconn': '5',
  })
  t.same(generate({ network: 'host' }).linux?.sysctl, {})
  t.match(mount(generate({ ipc: 'host' }), '/dev/shm'), { type: 'bind', source: '/dev/shm' })
  t.equal(generate().hostname, '0123456789ab')
  t.equal(generate({ network: 'host' }, {}, { hostname: 'vm' }).hostname, 'vm')
  t.equal(generate({ network: 'host', hostname: 'own' }, {}, { hostname: 'vm' }).hostname, 'own')
  t.equal(generate({ uts: 'host' }).hostname, undefined)
  t.ok(generate({ uts: 'host' }, {}, { hostname: 'vm' }).process?.env?.includes('HOSTNAME=vm'))
  t.end()
})

t.test('mounts: parents first, the caller’s in place of the default ones', (t) => {
  const spec = generate({
    mounts: [
      {
        type: 'bind',
        source: '/a',
        target: '/data/deep',
        readOnly: true,
        recursive: false,
        propagation: 'slave',
        noExec: true,
      },
      { type: 'bind', source: '/b', target: '/data/' },
      { type: 'tmpfs', target: '/dev/shm', size: '1m', mode: 0o700, noSuid: false },
    ],
    volumes: ['/h:/etc', '/v:/v:ro,nodev,rslave', '/f:/etc/hosts'],
    tmpfs: ['/t', '/t2:size=10m,mode=700,noexec', '/t3:notmpcopyup,ro'],
  })
  const at = spec.mounts?.map(({ destination }) => destination) ?? []
  t.same([...at].sort(), [...new Set(at)].sort(), 'each path once')
  const before = (a: string, b: string) => t.ok(at.indexOf(a) < at.indexOf(b) && at.includes(a), `${a} before ${b}`)
  before('/data', '/data/deep')
  before('/etc', '/etc/hosts')
  before('/dev', '/dev/shm')
  before('/sys', '/sys/fs/cgroup')
  t.same(mount(spec, '/data'), {
    destination: '/data',
    type: 'bind',
    source: '/b',
    options: ['rbind', 'rprivate', 'rw'],
  })
  t.same(mount(spec, '/data/deep')?.options, ['bind', 'rslave', 'ro', 'noexec'])
  t.same(mount(spec, '/dev/shm')?.options, ['size=1048576', 'mode=700', 'rw', 'rprivate', 'nodev', 'tmpcopyup'])
  t.same(mount(spec, '/v')?.options, ['ro', 'nodev', 'rslave', 'rbind'])
  t.equal(mount(spec, '/etc/hosts')?.source, '/f')
  t.equal(mount(spec, '/etc/hostname')?.source, '/run/x/hostname')
  t.equal(mount(spec, '/etc/resolv.conf'), undefined, 'a file that was not made is not bound')
  t.same(mount(spec, '/t')?.options, ['rw', 'rprivate', 'nosuid', 'nodev', 'tmpcopyup'])
  t.same(mount(spec, '/t2')?.options, [
    'size=10m',
    'mode=700',
    'noexec',
    'rw',
    'rprivate',
    'nosuid',
    'nodev',
    'tmpcopyup',
  ])
  t.same(mount(spec, '/t3')?.options, ['ro', 'rprivate', 'nosuid', 'nodev'])
  t.end()
})

t.test('a read-only root', (t) => {
  const spec = generate({ readOnly: true, tmpfs: ['/run:size=1m'] })
  t.equal(spec.root?.readonly, true)
  t.ok(mount(spec, '/tmp') && mount(spec, '/var/tmp'))
  t.match(mount(spec, '/run')?.options, ['size=1m'])
  t.ok(mount(spec, '/etc/hosts')?.options?.includes('ro'))
  t.end()
})

t.test('privileged', (t) => {
  const devices = [{ type: 'c', path: '/dev/fuse', major: 10, minor: 229 }] as const
  const spec = generate({ privileged: true }, {}, { devices })
  t.same(spec.linux?.maskedPaths, [])
  t.same(spec.linux?.readonlyPaths, [])
  t.same(spec.linux?.resources?.devices, [{ allow: true, access: 'rwm' }])
  t.same(spec.linux?.devices, devices)
  t.equal(spec.linux?.seccomp, undefined)
  t.ok(mount(spec, '/sys')?.options?.includes('rw'))
  t.ok(mount(spec, '/sys/fs/cgroup')?.options?.includes('rw'))
  t.equal(generate({}, {}, { devices }).linux?.devices, undefined)
  t.end()
})

t.test('seccomp', (t) => {
  const profile: SeccompProfile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['bpf'], action: 'SCMP_ACT_KILL', includes: { caps: ['CAP_BPF'] } }],
  }
  t.equal(generate().linux?.seccomp?.defaultErrnoRet, 38)
  t.equal(generate({ seccomp: 'unconfined' }).linux?.seccomp, undefined)
  t.same(generate({ seccomp: profile }).linux?.seccomp?.syscalls, [])
  t.equal(generate({ seccomp: profile, capAdd: ['BPF'] }).linux?.seccomp?.syscalls?.length, 1)
  t.equal(generate({ seccomp: profile, privileged: true }).linux?.seccomp?.syscalls?.length, 1)
  t.same(generate({ seccomp: '/profile.json' }, {}, {}, profile).linux?.seccomp?.syscalls, [])
  t.throws(() => generate({ seccomp: '/profile.json' }), { code: 'INVALID_OPTION', message: /was not read/ })
  t.end()
})

t.test('workdir, annotations, no new privileges', (t) => {
  t.equal(generate().process?.cwd, '/')
  t.equal(generate({}, { workingDir: '/srv' }).process?.cwd, '/srv')
  t.equal(generate({ workdir: '/own' }, { workingDir: '/srv' }).process?.cwd, '/own')
  t.same(generate({ annotations: { a: 'b' } }).annotations, { a: 'b' })
  t.equal(generate({ noNewPrivileges: true }).process?.noNewPrivileges, true)
  t.end()
})

t.test('what the host is like', (t) => {
  t.equal(parseBoundingSet('Name:\tx\nCapBnd:\t000001ffffffffff\nCapAmb:\t0\n'), 0x1ffffffffffn)
  const limits = `Limit                     Soft Limit           Hard Limit           Units
Max processes             96365                96365                processes
Max open files            1024                 unlimited            files
`
  t.same(parseLimits(limits), { nofile: Infinity, nproc: 96365 })
  t.end()
})
