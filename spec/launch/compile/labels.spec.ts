import t from 'tap'
import { compilePlan } from '../../../lib/launch/compile/container.js'
import { compileExec } from '../../../lib/launch/compile/exec.js'
import type { LaunchInput } from '../../../lib/launch/compile/input.js'
import { explain } from '../../../lib/launch/explain/explain.js'
import type { Spec } from '../../../lib/launch/oci-spec.js'
import type { Operation } from '../../../lib/launch/operation.js'

const label = 'system_u:system_r:container_t:s0:c1,c2'
const mountLabel = 'system_u:object_r:container_file_t:s0:c1,c2'
const process = { cwd: '/', args: ['true'], user: { uid: 0, gid: 0 }, selinuxLabel: label, apparmorProfile: 'mine' }
const spec: Spec = {
  ociVersion: '1.2.0',
  root: { path: '/ignored' },
  process,
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue' },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup' },
    { destination: '/own', type: 'tmpfs', source: 'tmpfs', options: ['context=a:b:c'] },
    { destination: '/bound', type: 'bind', source: '/x', options: ['rbind'] },
  ],
  linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }], maskedPaths: ['/proc/acpi'], mountLabel },
}
const input: LaunchInput = {
  spec,
  root: [{ op: 'root-overlay', lower: ['/l'], options: ['index=off'], at: '/m' }],
  cgroup: { directories: [], writes: [], attach: [] },
  cgroupMounts: [{ name: 'memory', source: '/cg/memory/x' }],
  stdio: { stdin: 'null', stdout: 'log', stderr: 'log' },
  init: false,
  hooks: [
    { op: 'hook', stage: 'createContainer', path: '/h', argv: [], env: [], state: '{}', asProgram: false },
    { op: 'hook', stage: 'startContainer', path: '/h', argv: [], env: [], state: '{}', asProgram: true },
  ],
}
const context = `context=${mountLabel}`

t.test('a start by labels', async (t) => {
  const { operations } = compilePlan(input)
  const mounts = operations.filter((one) => one.op === 'mount')
  t.strictSame(
    mounts.map(({ target, options, label }) => [target, options, label]),
    [
      ['/proc', [], undefined],
      ['/dev', ['mode=755', context], undefined],
      ['/dev/pts', ['newinstance', context], undefined],
      ['/dev/mqueue', [], mountLabel],
      ['/sys/fs/cgroup', ['mode=755', 'size=64k', context], undefined],
      ['/own', ['context=a:b:c'], undefined],
    ],
  )
  t.match(
    operations.find(({ op }) => op === 'root-overlay'),
    { options: ['index=off', context] },
  )
  t.match(
    operations.find(({ op }) => op === 'mask'),
    { path: '/proc/acpi', label: mountLabel },
  )
  t.strictSame(
    operations.flatMap((one) => {
      if (one.op === 'attribute') return [`${one.name} ${one.value}`]
      return ['hook', 'pivot-root', 'keyring'].includes(one.op) ? [one.op] : []
    }),
    ['hook', `keycreate ${label}`, `exec ${label}`, 'apparmor/exec exec mine', 'pivot-root', 'keyring', 'hook'],
    'behind the host’s hook, before the pivot, the keyring and the container’s hook',
  )
})

t.test('what the monitor makes is called so, too, and what is bound where that is asked for', async (t) => {
  t.equal(compilePlan(input).streamLabel, undefined, 'there is no monitor')
  const relabel = { label: mountLabel, kept: ['/etc'] }
  const plan = compilePlan({
    ...input,
    monitor: { lifetime: 'bound', socket: '/s', exitFile: '/e' },
    mountSources: [{ destination: '/bound', relabel }],
  })
  t.equal(plan.streamLabel, mountLabel)
  t.match(
    plan.operations.find((one) => one.op === 'bind' && one.target === '/bound'),
    { source: '/x', relabel },
  )
})

t.test('an exec by labels', async (t) => {
  const { operations } = compileExec(spec, process, { stdin: 'null', stdout: 'pass', stderr: 'pass' })
  t.strictSame(
    operations.slice(0, 4).map(({ op }) => op),
    ['attribute', 'attribute', 'attribute', 'keyring'],
  )
})

t.test('a spec without labels has nothing of them', async (t) => {
  const { selinuxLabel: _, apparmorProfile: __, ...plain } = process
  const { operations } = compilePlan({
    ...input,
    spec: { ...spec, process: plain, linux: { ...spec.linux, mountLabel: '' } },
  })
  t.notOk(operations.some(({ op }) => op === 'attribute'))
  t.strictSame(
    operations.find(({ op }) => op === 'mask'),
    { op: 'mask', path: '/proc/acpi' },
  )
  t.strictSame(
    operations.find((one) => one.op === 'mount' && one.target === '/dev/pts'),
    {
      ...compilePlan(input).operations.find((one) => one.op === 'mount' && one.target === '/dev/pts'),
      options: ['newinstance'],
    },
  )
})

t.test('what the kernel says to them', async (t) => {
  const plan = compilePlan(input)
  const failed = (find: (one: Operation) => boolean, errno: number, syscall = 'write', reason = 'syscall' as const) =>
    explain(
      { stage: 'operation', index: plan.operations.findIndex(find), reason, error: errno, syscall, said: '' },
      plan,
    )
  const attribute = (name: string) => (one: Operation) => one.op === 'attribute' && one.name === name
  const [ENOENT, EACCES, EINVAL] = [2, 13, 22]
  t.match(failed(attribute('exec'), EINVAL), {
    code: 'INVALID_OPTION',
    why: /policy .* no such label/,
    remedy: /seinfo/,
  })
  t.match(failed(attribute('exec'), ENOENT), { code: 'KERNEL_UNSUPPORTED', remedy: /security=selinux/ })
  t.match(failed(attribute('keycreate'), EACCES), { code: 'PERMISSION_DENIED', remedy: /ausearch/ })
  t.match(failed(attribute('apparmor/exec'), ENOENT), {
    code: 'APPARMOR_PROFILE_NOT_LOADED',
    remedy: /apparmor_parser -r/,
  })
  t.match(failed(attribute('apparmor/exec'), EINVAL), { code: 'KERNEL_UNSUPPORTED', remedy: /security=apparmor/ })
  t.match(failed(attribute('apparmor/exec'), EACCES), { code: 'PERMISSION_DENIED', remedy: /change_profile/ })
  const denied = { stage: 'operation', index: plan.operations.length - 1, reason: 'command-not-executable' } as const
  t.match(explain({ ...denied, error: EACCES, syscall: 'execve', said: '' }, plan), {
    code: 'COMMAND_NOT_EXECUTABLE',
    remedy: /SELinux/,
  })
})
