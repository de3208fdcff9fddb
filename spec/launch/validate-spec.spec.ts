import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import { rlimitNumbers, rlimitValue, unlimited } from '../../lib/launch/rlimits.js'
import { formatSpec, parseSpec, validateSpec } from '../../lib/launch/validate-spec.js'
import { fuzz } from '../fixtures/fuzz.js'
import { needs } from '../peers.js'

const user = { uid: 0, gid: 0 }
const minimal = { ociVersion: '1.2.0', root: { path: 'rootfs' }, process: { cwd: '/', args: ['sh'], user } }

function faults(change: object): string[] {
  try {
    validateSpec({ ...minimal, ...change })
    return []
  } catch (error) {
    if (!(error instanceof PodlingError) || error.code !== 'SPEC_INVALID') throw error
    const lines = error.message.split('\n')
    return lines.length === 1 ? [error.message.replace('OCI spec: ', '')] : lines.slice(1).map((line) => line.trim())
  }
}

t.test('what runc writes', needs('runc'), (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podling-bundle-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  execFileSync('runc', ['spec', '--bundle', directory])
  const text = readFileSync(join(directory, 'config.json'), 'utf8')
  t.same(JSON.parse(formatSpec(parseSpec(text))), JSON.parse(text))
  t.end()
})

t.test('right ones', (t) => {
  const right: object[] = [
    {},
    { ociVersion: '1.0.2-dev' },
    { unknown: { from: 'a later version' } },
    { linux: { namespaces: [{ type: 'network' }, { type: 'time' }], cgroupsPath: 'user.slice:x:y' } },
    {
      linux: {
        devices: [
          { type: 'p', path: '/fifo' },
          { type: 'c', path: '/dev/x', major: 1, minor: 2, fileMode: 8630 },
        ],
      },
    },
    {
      linux: {
        resources: { pids: {}, memory: { limit: -1 }, unified: { 'memory.high': 'max' }, devices: [{ allow: true }] },
      },
    },
    { linux: { seccomp: { defaultAction: 'SCMP_ACT_LOG', syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW' }] } } },
    { mounts: [{ destination: 'relative' }, { destination: '/x', type: 'none', source: '/y', options: ['rbind'] }] },
    { hooks: { createRuntime: [{ path: '/bin/true', timeout: 5 }] }, annotations: { a: '' } },
    {
      process: {
        ...minimal.process,
        capabilities: { bounding: ['CAP_OF_THE_FUTURE'] },
        rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: unlimited }],
      },
    },
  ]
  for (const change of right) t.same(faults(change), [], JSON.stringify(change))
  t.end()
})

t.test('wrong ones', (t) => {
  const process = (change: object) => ({ process: { ...minimal.process, ...change } })
  const linux = (change: object) => ({ linux: change })
  const resources = (change: object) => linux({ resources: change })
  const wrong: [object, string][] = [
    [{ ociVersion: undefined }, 'ociVersion: is required'],
    [{ ociVersion: '2.0.0' }, `ociVersion: must be a version of the specification such as 1.2.0, got '2.0.0'`],
    [{ root: undefined }, 'root: is required'],
    [{ root: { path: '' } }, 'root.path: must not be empty'],
    [{ root: { path: '/a\0b' } }, 'root.path: must be without NUL characters'],
    [process({ cwd: 'app' }), `process.cwd: must be an absolute path, got 'app'`],
    [process({ cwd: undefined }), 'process.cwd: is required'],
    [process({ args: [] }), 'process.args: must not be empty'],
    [process({ env: ['PATH'] }), `process.env[0]: must be NAME=value, got 'PATH'`],
    [process({ user: { uid: -1, gid: 0 } }), 'process.user.uid: must be 0..4294967295, got -1'],
    [process({ user: { uid: 1 } }), 'process.user.gid: is required'],
    [process({ oomScoreAdj: 1001 }), 'process.oomScoreAdj: must be -1000..1000, got 1001'],
    [
      process({ rlimits: [{ type: 'RLIMIT_X', soft: 1, hard: 1 }] }),
      `process.rlimits[0].type: must be one of the known names; got 'RLIMIT_X'; did you mean 'RLIMIT_AS'?`,
    ],
    [
      process({ rlimits: [{ type: 'RLIMIT_CPU', soft: 2, hard: 1 }] }),
      'process.rlimits[0].soft: must not be above hard, got 2',
    ],
    [
      process({ rlimits: [1, 2].map((hard) => ({ type: 'RLIMIT_CPU', soft: 1, hard })) }),
      `process.rlimits[1].type: 'RLIMIT_CPU' is there already`,
    ],
    [{ hostname: 'x' }, 'hostname: needs a uts namespace in linux.namespaces; without one it would rename the host'],
    [
      linux({ namespaces: [{ type: 'net' }] }),
      `linux.namespaces[0].type: must be one of 'pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'; got 'net'`,
    ],
    [linux({ namespaces: [{ type: 'pid' }, { type: 'pid' }] }), `linux.namespaces[1].type: 'pid' is there already`],
    [
      linux({ namespaces: [{ type: 'pid', path: 'ns' }] }),
      `linux.namespaces[0].path: must be an absolute path, got 'ns'`,
    ],
    [
      linux({ uidMappings: [{ containerID: 0, hostID: 0, size: 1 }] }),
      'linux.uidMappings: needs a user namespace in linux.namespaces',
    ],
    [linux({ devices: [{ type: 'c', path: '/dev/x', major: 1 }] }), 'linux.devices[0].minor: is required'],
    [linux({ maskedPaths: ['proc'] }), `linux.maskedPaths[0]: must be an absolute path, got 'proc'`],
    [linux({ sysctl: { 'net.x': 1 } }), 'linux.sysctl["net.x"]: must be a string, got 1'],
    [
      linux({ rootfsPropagation: 'private ' }),
      `linux.rootfsPropagation: must be one of 'shared', 'rshared', 'slave', 'rslave', 'private', 'rprivate', 'unbindable', 'runbindable'; got 'private '; did you mean 'private'?`,
    ],
    [
      linux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerMetadata: 'x' } }),
      'linux.seccomp.listenerMetadata: must not be set without listenerPath',
    ],
    [
      linux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ action: 'SCMP_ACT_LOG' }] } }),
      'linux.seccomp.syscalls[0].names: is required',
    ],
    [resources({ memory: { limit: -2 } }), 'linux.resources.memory.limit: must be at least -1, got -2'],
    [resources({ cpu: { quota: 1, burst: 2 } }), 'linux.resources.cpu.burst: must not be above quota, got 2'],
    [resources({ cpu: { cpus: 'all' } }), `linux.resources.cpu.cpus: must be a list such as '0-3,7', got 'all'`],
    [
      resources({ hugepageLimits: [{ pageSize: '64kB', limit: 1 }] }),
      `linux.resources.hugepageLimits[0].pageSize: must be a page size such as 2MB, got '64kB'`,
    ],
    [resources({ rdma: { mlx5: {} } }), 'linux.resources.rdma.mlx5: must not be empty'],
    [resources({ devices: [{ access: 'rwm' }] }), 'linux.resources.devices[0].allow: is required'],
    [{ mounts: [{ source: '/x' }] }, 'mounts[0].destination: is required'],
    [
      { mounts: [{ destination: '/x', uidMappings: [] }] },
      'mounts[0]: must have uidMappings and gidMappings, or neither',
    ],
    [{ hooks: { poststop: [{ path: 'x' }] } }, `hooks.poststop[0].path: must be an absolute path, got 'x'`],
    [{ annotations: { a: 1 } }, 'annotations.a: must be a string, got 1'],
  ]
  for (const [change, fault] of wrong) t.same(faults(change), [fault])
  t.same(faults({ process: { cwd: 'x', args: [1], user: {} } }).length, 4, 'all at once')
  for (const value of [undefined, null, [], 'spec', 5]) {
    const check = () => {
      validateSpec(value)
    }
    t.throws(check, { code: 'SPEC_INVALID' })
  }
  t.end()
})

t.test('text', (t) => {
  const filter =
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["clone"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}'
  const text = `{"ociVersion":"1.2.0","root":{"path":"r"},"mounts":null,"annotations":{"path":""},
    "process":{"cwd":"/","args":["echo","18446744073709551615"],"user":{"uid":0,"gid":0},
    "rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]},"linux":{"namespaces":[{"type":"pid","path":""}],"rootfsPropagation":"","seccomp":${filter}}}`
  const spec = parseSpec(text)
  t.equal(spec.linux?.seccomp?.syscalls?.[0]?.args?.[0]?.value, 2n ** 64n - 1n)
  t.equal(spec.process?.rlimits?.[0]?.hard, unlimited)
  t.equal(spec.process?.args?.[1], '18446744073709551615')
  t.equal(spec.mounts, undefined, 'null is as absent')
  t.same(spec.linux?.namespaces, [{ type: 'pid' }], 'and so is an empty path')
  t.equal(spec.linux?.rootfsPropagation, undefined)
  t.same(spec.annotations, { path: '' })
  const again = formatSpec(spec)
  t.match(again, /"hard": 18446744073709551615/)
  t.match(again, /"value": 18446744073709551615/)
  t.same(parseSpec(again), spec)
  t.throws(() => parseSpec('{'), { code: 'SPEC_INVALID', message: /config\.json is no JSON/ })
  t.end()
})

t.test('the text of a spec is judged as the spec is', async (t) => {
  const whole = JSON.stringify({
    ...minimal,
    mounts: [{ destination: '/a', type: 'tmpfs', source: 'x', options: ['ro'] }],
    annotations: { a: 'b' },
    hooks: { poststop: [{ path: '/x', args: ['y'], timeout: 3 }] },
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'mount', path: '/ns' }],
      devices: [{ type: 'c', path: '/dev/x', major: 1, minor: 3, fileMode: 438 }],
      resources: { memory: { limit: 5 }, devices: [{ allow: false, access: 'rwm' }], unified: { 'memory.high': '1' } },
      seccomp: {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }] }],
      },
    },
  })
  const others = [-1, 1, 1.5, 2 ** 65, 'x', '/x', 'a\0b', [], ['x'], {}, { x: 1 }, true, undefined]
  let wrong = 0
  await fuzz(t, 2000, (random) => {
    const spec = JSON.parse(whole) as object
    let at = spec as Record<string, unknown>
    for (;;) {
      const name = random.pick(Object.keys(at))
      const next = at[name]
      if (typeof next === 'object' && next !== null && Object.keys(next).length > 0 && random.chance(0.9)) {
        at = next as Record<string, unknown>
        continue
      }
      at[name] = random.pick(others)
      break
    }
    const text = JSON.stringify(spec)
    const verdict = (judge: () => unknown): string => {
      try {
        judge()
        return 'right'
      } catch (error) {
        wrong++
        return (error as Error).message
      }
    }
    const read = verdict(() => parseSpec(text, 'it'))
    const shown = verdict(() => {
      validateSpec(JSON.parse(text), 'it')
    })
    if (read !== shown) throw new Error(`${text}\n${read}\n${shown}`)
  })
  t.ok(wrong > 1000, 'many were wrong')
})

t.test('rlimits', (t) => {
  const header = readFileSync('/usr/include/asm-generic/resource.h', 'utf8')
  const defined = [...header.matchAll(/^#\s*define\s+(RLIMIT_\w+)\s+(\d+)/gm)].map(([, name, number]) => [
    name,
    Number(number),
  ])
  t.same(Object.fromEntries(defined), rlimitNumbers)
  t.equal(rlimitValue(unlimited), 2n ** 64n - 1n)
  t.equal(rlimitValue(1024), 1024n)
  t.end()
})
