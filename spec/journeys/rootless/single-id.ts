/** A user without a range: what works with one id, what WARNING says, and what the rest is refused with. */
import t from 'tap'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const add = [
  { name: 'srv/theirs', mode: 0o640, uid: 33, gid: 44, content: 'of 33' },
  { name: 'data', type: 'directory', mode: 0o700, uid: 70_000, gid: 70_000 } as const,
]
const image = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'busybox:test' })

function idle(options: Partial<ContainerOptions> = {}): Promise<Container> {
  return runtime.run({ image, command: ['sleep', '1000'], network: 'none', ...options })
}

t.test('info says what is lost, and the remedy', async (t) => {
  const { userNamespace } = await runtime.info()
  t.match(userNamespace, { uids: 1, gids: 1 })
  t.match(userNamespace?.warnings, [new RegExp(process.env['WARNING'] ?? '')])
})

t.test('whatever an image gives to others is root’s', async (t) => {
  await using container = await idle({ tty: true, volumes: ['data:/data'] })
  t.match(await container.exec(['sh', '-c', 'id -u; id -g; stat -c "%n %u %g %a" /srv/theirs /data']), {
    stdout: '0\n0\n/srv/theirs 0 0 640\n/data 0 0 700\n',
  })
  await container.exec(['touch', '/srv/mine'])
  await container.restart({ timeout: 0 })
  t.match(await container.diff(), [{ path: '/srv' }, { path: '/srv/mine' }])
  const committed = await container.commit({ ref: 'committed:test' })
  await container.copyTo(await busyboxRootfs(), '/srv')
  t.match(await container.exec(['stat', '-c', '%u', '/srv/home/app']), { stdout: '0\n' })
  await using other = await idle({ image: committed })
  t.match(await other.exec(['stat', '-c', '%u', '/srv/mine']), { stdout: '0\n' })
})

t.test('user namespaces of their own', async (t) => {
  const refusal = {
    code: 'SUBIDS_NOT_FOUND',
    message: /needs further ids, .* info\(\)\.userNamespace\.warnings says why/,
  }
  for (const userns of ['keep-id', 'nomap', 'auto'] as const) await t.rejects(idle({ userns }), refusal, userns)
  await t.rejects(idle({ uidMap: ['0:0:1'] }), refusal)
})

t.test('users that are not there', async (t) => {
  const refusal = { code: 'SUBIDS_TOO_FEW', message: /no such (user|group) \(EINVAL\); .*\/etc\/subuid/ }
  for (const user of ['app', '1000', '0:5']) await t.rejects(idle({ user }), refusal, user)
  await using container = await idle()
  await t.rejects(container.exec(['id'], { user: 'app' }), refusal, 'exec')
  t.match(await container.exec(['chown', '5', '/srv']), { exitCode: 1, stderr: /Invalid argument/ })
})

t.test('pods, and all is whole', async (t) => {
  await using pod = await runtime.pods.create({ name: 'shop', network: 'none' })
  const member = await runtime.containers.create({ pod, image, command: ['sleep', '1000'] })
  await pod.start()
  t.match(await member.exec(['hostname']), { stdout: 'shop\n' })
  t.match(await runtime.check(), { problems: [] })
})
