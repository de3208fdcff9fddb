import t from 'tap'
import {
  disabledLevel,
  levelOf,
  parseContext,
  parseLxcContexts,
  parsePolicyName,
  randomLevel,
  selinuxLabels,
  sharedLabel,
  usualPolicy,
} from '../../lib/security/selinux.js'
import { relabelling } from '../../lib/security/relabel.js'

t.test('contexts', async (t) => {
  t.strictSame(parseContext('system_u:object_r:etc_t:s0:c1,c2'), {
    user: 'system_u',
    role: 'object_r',
    type: 'etc_t',
    level: 's0:c1,c2',
  })
  t.strictSame(parseContext('user:role:type'), { user: 'user', role: 'role', type: 'type' })
  for (const text of ['', 'kernel', 'a:b', 'a:b:', 'a::c:s0', 'a:b:c:']) t.equal(parseContext(text), undefined, text)
})

t.test('what the policy says', async (t) => {
  t.equal(parsePolicyName('# SELINUXTYPE=no\nSELINUX=enforcing\nSELINUXTYPE=default\n'), 'default')
  t.equal(parsePolicyName(''), 'targeted')
  const debian =
    'process = "system_u:system_r:container_t:s0"\ncontent = "system_u:object_r:virt_var_lib_t:s0"\n' +
    'file = "system_u:object_r:container_file_t:s0"\nro_file = "system_u:object_r:container_ro_file_t:s0"\n'
  t.strictSame(parseLxcContexts(debian), usualPolicy)
  const old = parseLxcContexts('file = "system_u:object_r:svirt_sandbox_file_t:s0"\nprocess = broken\n')
  t.equal(old.file.type, 'svirt_sandbox_file_t')
  t.strictSame(old.process, usualPolicy.process, 'what is no context is as usual')
})

t.test('a level by chance: two categories, the lower one first, and never that of disabled ones', async (t) => {
  const drawn = [7, 7, 1022, 1023, 9, 3]
  t.equal(
    randomLevel(() => drawn.shift() ?? 0),
    's0:c3,c9',
  )
  for (let i = 0; i < 200; i++) {
    const [, low, high] = /^s0:c(\d+),c(\d+)$/.exec(randomLevel()) ?? []
    t.ok(Number(low) < Number(high) && Number(high) < 1024)
  }
})

t.test('labels of a container', async (t) => {
  t.strictSame(selinuxLabels(usualPolicy, {}, 's0:c1,c2'), {
    process: 'system_u:system_r:container_t:s0:c1,c2',
    mount: 'system_u:object_r:container_file_t:s0:c1,c2',
  })
  t.strictSame(
    selinuxLabels(usualPolicy, { user: 'u', role: 'r', type: 'spc_t', fileType: 'f_t', level: 's0' }, 's0:c1,c2'),
    { process: 'u:r:spc_t:s0', mount: 'u:object_r:f_t:s0' },
    'the role is of processes alone, as with Podman',
  )
  t.strictSame(selinuxLabels(usualPolicy, { disable: true }, undefined), {
    mount: `system_u:object_r:container_file_t:${disabledLevel}`,
  })
  const { process, file } = usualPolicy
  const plain = {
    process: { user: process.user, role: process.role, type: process.type },
    file: { user: file.user, role: file.role, type: file.type },
  }
  t.strictSame(
    selinuxLabels(plain, {}, 's0:c1,c2'),
    { process: 'system_u:system_r:container_t', mount: 'system_u:object_r:container_file_t' },
    'a policy without levels has none',
  )
})

t.test('labels of what is shared', async (t) => {
  t.equal(sharedLabel('system_u:object_r:container_file_t:s0:c1,c2'), 'system_u:object_r:container_file_t:s0')
  t.equal(sharedLabel('system_u:object_r:container_file_t:s0-s0:c0.c1023'), 'system_u:object_r:container_file_t:s0')
  t.equal(sharedLabel('system_u:object_r:container_file_t'), 'system_u:object_r:container_file_t')
  t.equal(levelOf('a:b:c:s0:c1,c2'), 's0:c1,c2')
})

t.test('what is relabelled', async (t) => {
  const own = 'system_u:object_r:container_file_t:s0:c1,c2'
  t.equal(relabelling('private', own).label, own)
  t.equal(relabelling('shared', own).label, 'system_u:object_r:container_file_t:s0')
  for (const path of ['/', '/etc', '/usr', '/home', '/var/lib'])
    t.ok(relabelling('shared', own).kept.includes(path), path)
})
