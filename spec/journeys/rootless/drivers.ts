/** A storage driver in the user namespace: files of many owners, and changes that last. DRIVER is asked for, EXPECTED used. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type DriverChoice } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const { DRIVER: asked = 'auto', EXPECTED: expected } = process.env
const runtime = await Runtime.open({ storageDriver: asked as DriverChoice })
t.teardown(() => runtime.close())
const info = await runtime.info()
const owners = [1, 1000, 65_000]
const add = owners.flatMap((uid) => [
  { name: `srv/${String(uid)}`, type: 'directory', mode: 0o700, uid, gid: uid } as const,
  { name: `srv/${String(uid)}/file`, mode: 0o600, uid, gid: uid, content: `of ${String(uid)}` },
])
const base = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'base:test' })
const command = ['sleep', '1000']
const list = ['sh', '-c', 'stat -c "%n %u %g %a" /srv/*/*']

t.test(`${asked} is ${String(expected)}`, (t) => {
  t.equal(info.storageDriver, expected)
  for (const { name, works, reason } of info.storageDrivers) t.comment(name, works, reason)
  t.match(
    info.storageDrivers.find(({ name }) => name === 'erofs'),
    { works: false, reason: /user namespace/ },
  )
  t.match(
    info.storageDrivers.find(({ name }) => name === expected),
    { works: true },
  )
  t.end()
})

t.test('owners, and what a container changes', async (t) => {
  await using container = await runtime.run({ image: base, command, network: 'none' })
  const files = owners.map((uid) => `/srv/${String(uid)}/file ${String(uid)} ${String(uid)} 600`)
  t.strictSame((await container.exec(list)).stdout.trim().split('\n'), files)
  const change =
    'chown 7:8 /srv/1/file; echo new > /srv/1000/new; rm -r /srv/65000; mkdir /srv/65000; echo x > /srv/65000/y'
  t.match(await container.exec(['sh', '-c', change]), { exitCode: 0, stderr: '' })
  await container.restart({ timeout: 0 })
  const changed = [
    '/srv/1/file 7 8 600',
    '/srv/1000/file 1000 1000 600',
    '/srv/1000/new 0 0 644',
    '/srv/65000/y 0 0 644',
  ]
  t.strictSame((await container.exec(list)).stdout.trim().split('\n'), changed)
  const image = await container.commit({ ref: 'changed:test' })
  await using other = await runtime.run({ image, command, network: 'none' })
  t.strictSame((await other.exec(list)).stdout.trim().split('\n'), changed, 'as an image')
})

t.test('users of their own, links to devices and opaque directories', async (t) => {
  await using container = await runtime.run({ image: 'changed:test', command, user: 'app', network: 'none' })
  t.match(await container.exec(['sh', '-c', 'cat /srv/1000/file; touch /srv/1000/mine && stat -c %u /srv/1000/mine']), {
    stdout: 'of 10001000\n',
    exitCode: 0,
  })
  t.match(await container.exec(['cat', '/srv/1/file']), { exitCode: 1 }, 'others are kept out')
})

t.test('when all of it is removed, the user can remove the root by himself', async (t) => {
  await runtime.prune({ images: 'all', volumes: 'all' })
  await runtime.close()
  execFileSync('rm', ['-r', info.root])
  t.strictSame(readdirSync(join(info.root, '..')), [])
})
