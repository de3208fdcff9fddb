import t from 'tap'
import { compilePlan } from '../../lib/launch/compile/container.js'
import type { LaunchInput } from '../../lib/launch/compile/input.js'
import type { Spec } from '../../lib/launch/oci-spec.js'

const idMaps = { uid: '0 5 10\n', gid: '0 5 10\n' }
const mapping = [{ containerID: 0, hostID: 5, size: 10 }]

function operations(spec: Partial<Spec>, input: Partial<LaunchInput> = {}) {
  return compilePlan({
    spec: {
      ociVersion: '1.2.0',
      process: { cwd: '/', args: ['true'], user: { uid: 0, gid: 0 }, oomScoreAdj: 5 },
      linux: { namespaces: [{ type: 'user' }, { type: 'mount' }], uidMappings: mapping, gidMappings: mapping },
      ...spec,
    },
    root: [{ op: 'root-bind', source: '/r' }],
    cgroup: { directories: [], writes: [], attach: [] },
    cgroupMounts: [],
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    init: false,
    ...input,
  }).operations
}

t.test('all that is found on the host comes before the user namespace', (t) => {
  const mounts: Spec['mounts'] = [
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
    { destination: '/a', type: 'bind', source: '/host/a', options: ['bind', 'ro'] },
    { destination: '/s', type: 'bind', source: '/host/s', options: ['rbind', 'rslave'] },
    { destination: '/shared', type: 'bind', source: '/host/shared', options: ['rbind', 'rshared'] },
    { destination: '/m', type: 'bind', source: '/host/m', uidMappings: mapping, gidMappings: mapping },
  ]
  const all = operations({ mounts }, { mountSources: [{ destination: '/a', subpath: 'x', owner: 'app' }] })
  const at = all.findIndex(({ op }) => op === 'enter-user')
  const before = all.slice(0, at)
  t.match(before.slice(0, 5), [
    { op: 'oom-score-adj', value: 5 },
    { op: 'take', slot: 0, source: '/host/s' },
    { op: 'take', slot: 1, source: '/host/shared' },
    { op: 'propagation' },
    { op: 'root-bind', source: '/r' },
  ])
  t.match(before[5], { op: 'take', slot: 64, source: '/host/a', subpath: 'x', owner: 'app', recursive: false })
  t.match(before[6], { op: 'take', slot: 65, source: '/host/m', idMaps })
  t.match(before[7], { op: 'take', source: '/dev/null' }, 'devices are those of the host')
  const after = all.slice(at)
  const binds = after.flatMap((operation) => (operation.op === 'bind' ? [operation] : []))
  t.ok(
    binds.every(({ taken, owner, idMaps: maps }) => taken !== undefined && owner === undefined && maps === undefined),
  )
  t.match(
    binds.find(({ target }) => target === '/a'),
    { taken: 64, attributes: { readOnly: true } },
  )
  t.match(
    binds.find(({ target }) => target === '/shared'),
    { taken: 1, propagation: 'slave' },
    'what is mounted inside stays inside',
  )
  t.notOk(after.some(({ op }) => ['mknod', 'take', 'root-bind', 'fill', 'oom-score-adj'].includes(op)))
  t.end()
})

t.test('a directory is mapped once, but anew where something is mounted there', (t) => {
  const map = (path: string) => ({ op: 'map-ids', path, idMaps }) as const
  const layer = { op: 'mount', fstype: 'erofs', source: '/l', target: '/0', attributes: { readOnly: true }, options: [] } as const
  const root = [map('/d'), layer, map('/0'), map('/d'), layer, map('/0'), { op: 'root-bind', source: '/r' } as const]
  const kinds = operations({}, { root }).flatMap((one) => (one.op === 'map-ids' ? [one.path] : one.op === 'mount' ? ['mount'] : []))
  t.strictSame(kinds, ['/d', 'mount', '/0', 'mount', '/0'])
  t.end()
}) // prettier-ignore

t.test('without a user namespace, or with one whose ids nobody knows, nothing changes', (t) => {
  const plain = operations({ linux: { namespaces: [{ type: 'mount' }] } })
  const joined = operations({ linux: { namespaces: [{ type: 'user', path: '/proc/1/ns/user' }, { type: 'mount' }] } })
  for (const all of [plain, joined]) t.notOk(all.some(({ op }) => op === 'enter-user' || op === 'take'))
  t.strictSame(plain, joined)
  t.end()
})
