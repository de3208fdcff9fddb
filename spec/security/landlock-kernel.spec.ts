/**
 * landlock(7) binds root of a container too: without the rules it writes to a volume, binds a port, speaks to a socket, all of which
 * its capabilities allow.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { attackLab, without } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { landlockAbi } from '../../lib/sys/system-calls.js'

const abi = landlockAbi()
const lab = await attackLab(t)
const work = await temporaryDirectory(t, 'podling-landlock-')
const rest = [
  { path: '/', access: ['read', 'execute'] },
  { path: '/dev/null', access: ['read', 'write'] },
] as const

t.test('files', { skip: abi < 5 && 'this kernel has no Landlock of version 5' }, async (t) => {
  const landlock = { paths: [...rest, { path: '/work/own', access: ['read', 'write'] }] } as const
  const script =
    'mkdir -p /work/own && echo mine >/work/own/file && cat /work/own/file; echo x >/work/evil; echo x >/evil'
  const options = { volumes: [`${work}:/work`, `${await temporaryDirectory(t)}:/work/own`], landlock }
  const command = ['sh', '-c', script]
  t.strictSame((await lab.weak({ ...options, command }, { plan: without('landlock') })).lines, ['mine'])
  t.ok(existsSync(join(work, 'evil')), 'without it all is written')
  const { lines } = await lab.strong({ ...options, command: ['sh', '-c', `${script}; rm /work/evil`] })
  t.match(lines, ['mine', /\/work\/evil: Permission denied/, /\/evil: Permission denied/, /rm: .*Permission denied/])
  t.ok(existsSync(join(work, 'evil')))

  await using container = await lab.runtime.run({
    image: lab.image,
    network: 'none',
    ...options,
    command: ['sleep', '60'],
  })
  const { stderr } = await container.exec(['sh', '-c', 'echo x >/evil'])
  t.match(stderr, /Permission denied/, 'a command that is brought in is bound too')
  t.match(container.inspect().security.landlock, { missing: [], paths: landlock.paths.map(({ path }) => ({ path })) })
})

t.test(
  'with no_new_privs and as a user',
  { skip: abi < 5 && 'this kernel has no Landlock of version 5' },
  async (t) => {
    const { lines } = await lab.strong({
      landlock: { paths: rest },
      user: '1000:1000',
      noNewPrivileges: true,
      command: ['sh', '-c', 'echo x >/tmp/x; cat /etc/hostname >/dev/null && echo read'],
    })
    t.match(lines, [/Permission denied|can't create/, 'read'])
  },
)

t.test('ports', { skip: abi < 4 && 'this kernel has no Landlock of version 4' }, async (t) => {
  const command = [
    'sh',
    '-c',
    'for port in 80 81; do httpd -p $port; echo $?; done; nc 127.0.0.1 81 </dev/null; echo $?',
  ]
  t.strictSame((await lab.weak({ command }, {})).lines, ['0', '0', '0'], 'both are bound')
  const landlock = { ports: [{ port: 81, access: ['bind_tcp'] }] } as const
  const { lines } = await lab.strong({ command, landlock })
  t.match([...lines].sort(), ['0', '1', '1', /httpd: .*Permission denied/, /nc: .*Permission denied/])
})

t.test('scopes', { skip: abi < 6 && 'this kernel has no Landlock of version 6' }, async (t) => {
  const name = `podling-landlock-${String(process.pid)}`
  const server = spawn(lab.attack, ['abstract-serve', name], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  const attack = { command: ['attack', 'abstract', name], network: 'host' }
  t.strictSame((await lab.strong(attack)).lines, ['ok 0'])
  t.strictSame((await lab.strong({ ...attack, landlock: { scopes: ['abstract_unix_socket'] } })).lines, ['EPERM'])
})

t.test('mistakes', { skip: abi < 5 && 'this kernel has no Landlock of version 5' }, async (t) => {
  const refused = async (landlock: object) => (await lab.strong({ command: ['true'], landlock })).error
  t.match(await refused({ paths: [{ path: '/nothing', access: ['read'] }, ...rest] }), {
    code: 'INVALID_OPTION',
    message: /confine the process by Landlock: a path of its rules is not in the container/,
  })
  t.match(await refused({ paths: [{ path: '/etc', access: ['read'] }] }), {
    code: 'COMMAND_NOT_EXECUTABLE',
    message: /landlock must allow 'execute' and 'read'/,
  })
  t.match(await refused({ paths: [{ path: 'etc', access: ['reed'] }], prots: [] }), {
    code: 'INVALID_OPTION',
    message:
      /prots: .*ports[\s\S]*landlock\.paths\[0\]\.path: .*absolute[\s\S]*landlock\.paths\[0\]\.access\[0\]: .*'read'/,
  })
  t.match(await refused({}), { code: 'INVALID_OPTION', message: /landlock: confines nothing/ })
})
