import t from 'tap'
import type { ContainerOptions } from '../../lib/container/options.js'
import { parseOptions } from '../../lib/container/parse-options.js'
import { PodlingError } from '../../lib/errors.js'
import { unlimited } from '../../lib/launch/rlimits.js'

/** The mistakes that are told of, a line each. */
function mistakes(options: unknown): string[] {
  try {
    parseOptions(options as ContainerOptions)
    return []
  } catch (error) {
    if (!(error instanceof PodlingError) || error.code !== 'INVALID_OPTION') throw error
    return error.message.includes('\n')
      ? error.message
          .split('\n')
          .slice(1)
          .map((line) => line.trim())
      : [error.message.replace('container options: ', '')]
  }
}

/** The only mistake of one option. */
function mistake(option: object): string {
  const lines = mistakes({ image: 'app', ...option })
  return lines.length === 1 ? (lines[0] ?? '') : JSON.stringify(lines)
}

const parse = (options: Partial<ContainerOptions>) => parseOptions({ image: 'app', ...options })

t.test('defaults are those of podman run', (t) => {
  t.same(parseOptions({ image: { id: 'sha256:1' } }), {
    image: 'sha256:1',
    command: [],
    entrypoint: undefined,
    env: {},
    workdir: undefined,
    user: undefined,
    name: undefined,
    hostname: undefined,
    labels: {},
    annotations: {},
    mounts: [],
    readOnly: false,
    network: { kind: 'networks', networks: [{ name: 'podling', aliases: [] }], ports: [] },
    extraHosts: [],
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    memory: undefined,
    cpus: undefined,
    cpuset: undefined,
    pidsLimit: 2048,
    ulimits: [],
    devices: { devices: [], cdi: [], rules: [] },
    sysctls: {},
    capAdd: [],
    capDrop: [],
    seccomp: { kind: 'default' },
    noNewPrivileges: false,
    privileged: false,
    mask: [],
    unmask: [],
    ipc: 'private',
    pidns: 'private',
    uts: 'private',
    umask: 0o022,
    stopSignal: undefined,
    stopTimeout: 10_000,
    init: false,
    detach: false,
    stdin: false,
    stdinOnce: false,
    log: {
      driver: 'k8s-file',
      path: undefined,
      maxSize: undefined,
      maxFiles: 1,
      tag: undefined,
      onFull: 'continue',
    },
    platform: undefined,
    ready: [],
  })
  t.same(
    parse({ memory: undefined, env: { A: undefined, B: '1' } } as object).env,
    { B: '1' },
    'undefined is as absent',
  )
  t.match(
    parseOptions({ image: 'app', ports: ['8080:80'] }, 'pasta').network,
    { kind: 'user', program: 'pasta', ports: [{ container: 80, host: 8080 }] },
    'without rights over the host’s network',
  )
  t.equal(parse({ network: 'none' }).network, 'none')
  t.end()
})

t.test('values in one form', (t) => {
  const options = parse({
    entrypoint: '/bin/app',
    user: 1000,
    memory: '64m',
    umask: '0077',
    stopSignal: 'INT',
    stopTimeout: '1m30s',
    ulimits: { nofile: 1024, core: { soft: 0, hard: -1 } },
    sysctls: { 'net.core.somaxconn': 256 },
    capAdd: ['net_admin', 'all'],
    extraHosts: ['db;cache:10.0.0.2', 'six:[fd00::1]', 'seven:fd00::2'],
  })
  t.match(options, {
    entrypoint: ['/bin/app'],
    user: '1000',
    memory: 64 * 2 ** 20,
    umask: 0o077,
    stopSignal: 2,
    stopTimeout: 90_000,
    sysctls: { 'net.core.somaxconn': '256' },
    capAdd: ['CAP_NET_ADMIN', 'ALL'],
  })
  t.same(options.ulimits, [
    { type: 'RLIMIT_NOFILE', soft: 1024, hard: 1024 },
    { type: 'RLIMIT_CORE', soft: 0, hard: unlimited },
  ])
  t.same(parse({ ulimits: ['nofile=5:6', 'core=-1'] }).ulimits, [
    { type: 'RLIMIT_NOFILE', soft: 5, hard: 6 },
    { type: 'RLIMIT_CORE', soft: unlimited, hard: unlimited },
  ])
  t.same(options.extraHosts, [
    { name: 'db', address: '10.0.0.2' },
    { name: 'cache', address: '10.0.0.2' },
    { name: 'six', address: 'fd00::1' },
    { name: 'seven', address: 'fd00::2' },
  ])
  t.end()
})

t.test('every mistake at once', (t) => {
  t.same(
    mistakes({
      comand: ['x'],
      memory: '5x',
      cpus: 0,
      apparmor: 'a b',
      health: { retries: 0, tcp: 80, port: 'x' },
      ports: [80, { container: 80, host: 70000 }],
      network: 'no/name',
      capAdd: ['NET_ADMN'],
      mounts: [{ type: 'bind', source: 'a', target: '/', red: 1 }],
      env: { A: 5 },
      ready: { port: 70000 },
      sysctls: { 'kernel.panic': 1 },
    }).map((line) => line.replace(/; a container can have.*|belongs to the whole host.*/, '')),
    [
      'image: is required',
      'comand: unknown option; did you mean command?',
      'env.A: must be a string, got 5',
      `memory: must be a number of bytes or a size such as '512m' or '1.5g', got '5x'`,
      'cpus: must be 0.01..1000000, got 0',
      `capAdd[0]: 'NET_ADMN' is no capability; did you mean NET_ADMIN?`,
      "apparmor: must be 'unconfined' or the name of a loaded profile, got 'a b'",
      'mounts[0].red: unknown property of a bind mount',
      `mounts[0].source: must be an absolute path, got 'a'`,
      `mounts[0].target: must be a path below '/', got '/'`,
      "health.port: must be a whole number, got 'x'",
      'health.retries: must be 1..2147483647, got 0',
      'ready.port: must be 1..65535, got 70000',
      `network: must be 'none', 'host', 'container:NAME', 'ns:PATH' or the name of a network, got 'no/name'`,
      'ports[1].host: must be 0..65535, got 70000',
      'sysctls["kernel.panic"]: ',
    ],
  )
  t.throws(() => parseOptions({ image: '' }), { message: 'container options: image: must not be empty' })
  t.throws(() => parseOptions(undefined as never), {
    code: 'INVALID_OPTION',
    message: /must be an object, got undefined/,
  })
  t.throws(() => parseOptions([] as never), { code: 'INVALID_OPTION' })
  t.throws(() => parseOptions(null as never), { code: 'INVALID_OPTION' })
  t.end()
})

t.test('one mistake, one sentence', (t) => {
  const cases: [object, string | RegExp][] = [
    [{ command: 'sleep 1' }, `command: must be an array, got 'sleep 1'`],
    [{ command: ['a', 1] }, 'command[1]: must be a string, got 1'],
    [{ command: ['a\0b'] }, `command[0]: must be without NUL characters, got 'a\\u0000b'`],
    [{ workdir: 'app' }, `workdir: must be an absolute path, got 'app'`],
    [{ user: -1 }, 'user: must be 0..4294967294, got -1'],
    [{ user: 'a b' }, /^user: must be a name or uid/],
    [{ user: '1:2:3' }, /^user: must be a name or uid/],
    [{ user: '4294967295' }, /^user: must be a name or uid/],
    [{ name: '-x' }, /^name: must be letters, digits/],
    [{ hostname: 'a b' }, /^hostname: must be at most 64 letters/],
    [{ hostname: 'x'.repeat(65) }, /^hostname: must be at most 64 letters/],
    [{ env: { 'A=B': '1' } }, `env: a variable's name must not be empty nor hold '=', got 'A=B'`],
    [{ labels: { a: 1 } }, 'labels.a: must be a string, got 1'],
    [{ memory: 1000 }, 'memory: must be at least 512k, got 1000'],
    [{ memory: -1 }, /^memory: must be a number of bytes/],
    [{ cpus: NaN }, /^cpus: must be a number, got NaN/],
    [{ cpuset: '3-1' }, `cpuset: must be a list such as '0-3,7', got '3-1'`],
    [{ pidsLimit: 1.5 }, 'pidsLimit: must be a whole number, got 1.5'],
    [{ ulimits: { nofil: 1 } }, 'ulimits.nofil: unknown limit; did you mean nofile?'],
    [{ ulimits: { nofile: { soft: 2, hard: 1 } } }, 'ulimits.nofile: soft must not be above hard, got 2 and 1'],
    [{ ulimits: ['nofil=1'] }, /^ulimits\[0\]: must be a limit.*did you mean nofile\?/],
    [{ capDrop: ['CHOWNN'] }, `capDrop[0]: 'CHOWNN' is no capability; did you mean CHOWN?`],
    [{ seccomp: 'unconfind' }, /^seccomp: must be 'unconfined'.*did you mean 'unconfined'\?/],
    [{ seccomp: { defaultAction: 'x' } }, /^seccomp\.defaultAction: must be one of/],
    [{ ipc: 'hosts' }, `ipc: must be one of 'private', 'host'; got 'hosts'; did you mean 'host'?`],
    [{ umask: 0o1000 }, /^umask: must be/],
    [{ umask: '9' }, `umask: must be a file mode such as 0o755 or '755', got '9'`],
    [{ stopSignal: 'FOO' }, `stopSignal: must be a signal such as 'SIGTERM' or 15, got 'FOO'`],
    [{ stopTimeout: 'soon' }, /^stopTimeout: must be a number of milliseconds or a duration/],
    [
      { logDriver: 'journal' },
      `logDriver: must be one of 'k8s-file', 'json-file', 'journald', 'passthrough', 'none'; got 'journal'; did you mean 'journald'?`,
    ],
    [{ platform: 'arm64' }, `platform: must be os/architecture such as linux/arm64, got 'arm64'`],
    [{ extraHosts: ['db'] }, `extraHosts[0]: must be 'name:address' such as 'db:10.0.0.2', got 'db'`],
    [
      { extraHosts: ['db:host-gateway'], network: 'none' },
      "extraHosts: host-gateway has no meaning with network: 'none'",
    ],
    [
      { extraHosts: ['db:host-gateway'], hostGateway: false },
      'extraHosts: host-gateway has no meaning with hostGateway: false',
    ],
    [{ dns: ['dns.example'], network: 'host' }, `dns[0]: must be an IP address, got 'dns.example'`],
    [{ ready: { prot: 80 } }, /^ready: must have one of port, http, log, command, healthy; .*did you mean port\?/],
    [{ ready: [{ port: 80 }, { http: 'x', port: 80 }] }, `ready[1].http: must be a path such as '/health', got 'x'`],
    [{ ready: { http: '/', port: 80 }, network: 'none' }, /^ready: an http check needs network: 'host'/],
    [{ ready: { healthy: false } as never }, 'ready.healthy: must be true; got false'],
    [{ health: 'never' as never }, `health: must be 'none', false or an object such as { http: '/' }, got 'never'`],
    [{ health: { comand: 'x' } as never }, 'health.comand: unknown property of a health check; did you mean command?'],
    [{ health: { tcp: 80, http: '/' } }, 'health.http: is one check too many beside tcp'],
    [{ health: { tcp: 80, port: 81 } }, 'health.port: has no effect without http; for a port alone use tcp'],
    [{ health: { http: 'x y' } }, `health.http: must be a path such as '/health', got 'x y'`],
    [{ health: { tcp: 80, interval: 0 } }, 'health.interval: must be above 0, got 0'],
    [{ health: { command: [] } }, 'health.command: must not be empty'],
    [
      { mounts: [{ type: 'bind', source: '/a', target: '/b', relabel: 'all' as never }] },
      /^mounts\[0\]\.relabel: must be .*private.*shared/,
    ],
    [{ volumes: ['/a:/b:z,Z'] }, /^volumes\[0\]: options z and Z contradict each other/],
    [{ apparmor: 'a b' }, `apparmor: must be 'unconfined' or the name of a loaded profile, got 'a b'`],
    [{ apparmor: 'mine', privileged: true }, 'apparmor: has no effect with privileged: true; leave one of them out'],
    [{ selinux: { typ: 'x' } as never }, 'selinux.typ: unknown property of selinux; did you mean type?'],
    [{ selinux: { type: 'a:b' } }, `selinux.type: must be a name of the policy such as 'container_t', got 'a:b'`],
    [{ selinux: { level: 's0:d1' } }, `selinux.level: must be a level such as 's0:c100,c200', got 's0:d1'`],
    [{ selinux: { disable: true, type: 'x_t' } }, 'selinux.type: has no effect with disable: true'],
    [{ apparmor: 'a b' }, `apparmor: must be 'unconfined' or the name of a loaded profile, got 'a b'`],
    [{ sysctls: { 'kernel.hostname': 'x' } }, /is set by the option hostname/],
    [{ sysctls: { 'net.ipv4/../../x': 1 } }, /must be the name of a kernel parameter/],
    [{ privileged: 1 }, 'privileged: must be true or false, got 1'],
  ]
  for (const [option, expected] of cases) {
    const title = JSON.stringify(option)
    if (typeof expected === 'string') t.equal(mistake(option), expected, title)
    else t.match(mistake(option), expected, title)
  }
  t.end()
})

t.test('options that contradict each other', (t) => {
  t.match(mistake({ capAdd: ['chown'], capDrop: ['CAP_CHOWN'] }), "capDrop: CAP_CHOWN can't be dropped and added")
  t.match(mistake({ capAdd: ['ALL'], capDrop: ['ALL'] }), "capDrop: ALL can't be dropped and added")
  t.match(mistake({ privileged: true, capDrop: ['CHOWN'] }), /capDrop: has no effect with privileged: true/)
  t.match(mistake({ uts: 'host', hostname: 'x' }), /hostname: has no effect with uts: 'host'/)
  t.match(mistake({ dns: ['1.1.1.1'], network: 'none' }), /dns: has no effect with network: 'none'/)
  t.match(mistake({ network: 'host', sysctls: { 'net.core.somaxconn': 1 } }), /can't be set with network: 'host'/)
  t.match(mistake({ ipc: 'host', sysctls: { 'kernel.msgmax': 1 } }), /can't be set with ipc: 'host'/)
  t.match(mistake({ uts: 'host', sysctls: { 'kernel.domainname': 'x' } }), /can't be set with uts: 'host'/)
  t.same(mistakes({ image: 'app', capAdd: ['ALL'], capDrop: ['CHOWN'] }), [])
  t.end()
})

t.test('ready', (t) => {
  const ready = parse({
    network: 'host',
    ready: [
      { port: 80 },
      { http: '/', port: 8080, status: 204, timeout: '5s' },
      { log: /up/gi },
      { log: 'a.b' },
      { command: ['true'] },
    ],
  }).ready
  t.match(ready.slice(0, 2), [
    { kind: 'port', port: 80, timeout: 60_000 },
    { kind: 'http', path: '/', port: 8080, status: 204, timeout: 5000 },
  ])
  t.match(ready[2], { kind: 'log', pattern: /up/i })
  t.equal(ready[2]?.kind === 'log' && ready[2].pattern.flags, 'i', 'a global pattern would remember its place')
  t.ok(ready[3]?.kind === 'log' && ready[3].pattern.test('xa.by') && !ready[3].pattern.test('axb'))
  t.match(ready[4], { kind: 'command', command: ['true'] })
  t.end()
})

/** The types say the same. A line that compiles although an error is expected stops the build. */
export const rightTypes: ContainerOptions[] = [
  { image: 'app', ready: { log: 'up' }, ulimits: { nofile: 1 }, mounts: [{ type: 'tmpfs', target: '/t', size: '1m' }] },
  { image: { id: 'x' }, ulimits: ['nofile=1'], seccomp: { defaultAction: 'SCMP_ACT_ALLOW' }, network: 'host' },
  // @ts-expect-error: the image is required
  { command: ['x'] },
  // @ts-expect-error: one string an argument
  { image: 'app', command: 'sleep 1' },
  // @ts-expect-error: not an option
  { image: 'app', comand: [] },
  // @ts-expect-error: a bind mount has a source
  { image: 'app', mounts: [{ type: 'bind', target: '/x' }] },
  // @ts-expect-error: no such limit
  { image: 'app', ulimits: { nofil: 1 } },
  // @ts-expect-error: a profile goes by its name
  { image: 'app', apparmor: false },
]
