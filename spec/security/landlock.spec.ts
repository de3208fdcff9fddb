import t from 'tap'
import { landlockMasks, landlockRules } from '../../lib/security/landlock.js'

t.test('what is asked for, in the kernel’s words', async (t) => {
  const rules = landlockRules(
    {
      paths: [
        { path: '/usr', access: ['read', 'execute'] },
        { path: '/work', access: ['read', 'write'] },
      ],
      ports: [{ port: 443, access: ['connect_tcp'] }],
      scopes: ['signal'],
    },
    7,
  )
  t.strictSame(rules.missing, [])
  t.strictSame(rules.paths[0]?.access, ['read_file', 'read_dir', 'execute'])
  t.strictSame(landlockMasks(rules), {
    files: 0xffffn,
    ports: 3n,
    scopes: 2n,
    pathRules: [
      { path: '/usr', access: 0b1101n },
      { path: '/work', access: 0x7ffen },
    ],
    portRules: [{ port: 443, access: 2n }],
  })
})

t.test('what isn’t mentioned is left as it is', async (t) => {
  const { handled } = landlockRules({ scopes: ['abstract_unix_socket'] }, 7)
  t.strictSame(handled, { files: [], ports: [], scopes: ['abstract_unix_socket'] })
})

t.test('an older kernel', async (t) => {
  const option = { paths: [{ path: '/', access: ['read', 'truncate'] }], ports: [], scopes: ['signal'] } as const
  t.throws(() => landlockRules(option, 2), {
    code: 'KERNEL_UNSUPPORTED',
    message:
      /version 2 .* can't restrict truncate, ioctl_dev, bind_tcp, connect_tcp, signal; version 6 .* Linux 6\.12; .*bestEffort/,
  })
  const rules = landlockRules({ ...option, bestEffort: true }, 2)
  t.strictSame(rules.missing, ['truncate', 'ioctl_dev', 'bind_tcp', 'connect_tcp', 'signal'])
  t.strictSame(landlockMasks(rules), {
    files: 0x3fffn,
    ports: 0n,
    scopes: 0n,
    pathRules: [{ path: '/', access: 0b1100n }],
    portRules: [],
  })
})

t.test('a kernel without it', async (t) => {
  t.throws(() => landlockRules({ ports: [] }, 0), { code: 'KERNEL_UNSUPPORTED', message: /no Landlock.*lsm=/ })
  t.strictSame(landlockRules({ ports: [], bestEffort: true }, 0).missing, ['bind_tcp', 'connect_tcp'])
})
