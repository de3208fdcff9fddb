/** The verbs of a container whose user has no cgroup: what works without one, and what says that it can't. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const home = process.env['HOME'] ?? ''
const runtime = await Runtime.open()
const add = [
  { name: 'srv', type: 'directory', mode: 0o755 } as const,
  { name: 'srv/secret', mode: 0o600, uid: 33, gid: 44, content: 'of 33' },
]
const image = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'busybox:test' })

function idle(options: Partial<ContainerOptions> = {}): Promise<Container> {
  return runtime.run({ image, command: ['sleep', '1000'], network: 'none', ...options })
}

async function refused(t: Test, code: string, words: RegExp, work: () => Promise<unknown>): Promise<void> {
  const error = await work().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  t.match(error, { code, message: words })
}

t.test('restart and a second start, on what the first has written', async (t) => {
  await using container = await idle()
  await container.exec(['sh', '-c', 'echo kept > /srv/kept; chown 7:8 /srv/kept'])
  await container.restart({ timeout: 0 })
  await container.stop({ timeout: 0 })
  await container.start()
  t.match(await container.exec(['sh', '-c', 'cat /srv/kept; stat -c "%u %g" /srv/kept']), { stdout: 'kept\n7 8\n' })
})

t.test('export, diff and commit tell the ids of the container', async (t) => {
  await using container = await idle()
  await container.exec([
    'sh',
    '-c',
    'echo new > /srv/new; chown 7:8 /srv/new; chmod 600 /srv/new; rm /srv/secret; mkdir /srv/d',
  ])
  t.strictSame(await container.diff(), [
    { kind: 'C', path: '/srv' },
    { kind: 'A', path: '/srv/d' },
    { kind: 'A', path: '/srv/new' },
    { kind: 'D', path: '/srv/secret' },
  ])
  t.ok((await text(await container.export())).includes('srv/new'))
  const committed = await container.commit({ ref: 'committed:test' })
  await using other = await idle({ image: committed })
  t.match(await other.exec(['sh', '-c', 'stat -c "%n %u %g %a" /srv/*; cat /srv/new']), {
    stdout: '/srv/d 0 0 755\n/srv/new 7 8 600\nnew\n',
  })
})

t.test('copies in and out, of one that runs and of one that has ended', async (t) => {
  mkdirSync(join(home, 'site'))
  writeFileSync(join(home, 'site', 'index'), 'hello')
  await using container = await idle()
  for (const target of ['running', 'ended']) {
    if (target === 'ended') await container.stop({ timeout: 0 })
    await container.copyTo(join(home, 'site'), '/srv')
    t.match(await text(await container.copyFrom('/srv')), /site\/index[^]*hello/, target)
  }
})

t.test('top counts as the container does', async (t) => {
  await using container = await idle({ user: 'app', init: true })
  t.match(await container.top(['pid', 'user', 'group', 'comm']), [
    { pid: 1, user: 'app', group: 'app' },
    { user: 'app', group: 'app', comm: 'sleep' },
  ])
  await using root = await idle()
  t.match(await root.top(['user']), [{ user: 'root' }])
})

t.test('a pod shares its network', async (t) => {
  await using pod = await runtime.pods.create({ name: 'shop', network: 'none' })
  const server = ['httpd', '-f', '-p', '80', '-h', '/etc']
  await runtime.containers.create({ pod, name: 'web', image, command: server, health: { tcp: 80, interval: '1s' } })
  const client = await runtime.containers.create({
    pod,
    name: 'client',
    image,
    command: ['sleep', '1000'],
    dependsOn: ['web'],
  })
  await pod.start()
  t.match(await client.exec(['wget', '-q', '-O', '-', 'http://127.0.0.1/group']), { exitCode: 0, stdout: /^root:x:0:/ })
  await client.restart({ timeout: 0 })
  t.match(await client.exec(['wget', '-q', '-O', '-', 'http://127.0.0.1/group']), { exitCode: 0 }, 'restarted into it')
  await refused(t, 'CGROUP_UNAVAILABLE', /^pause pod shop: /, () => pod.pause())
})

t.test('namespaces of the host', async (t) => {
  await using container = await idle({ network: 'host', pidns: 'host', ipc: 'host', uts: 'host' })
  t.match(await container.exec(['sh', '-c', 'test -d /proc/1 && cat /proc/sys/kernel/hostname']), { exitCode: 0 })
  await refused(t, 'CGROUP_UNAVAILABLE', /shares its pid namespace/, () => container.top())
})

t.test('detached: the next runtime finds it', async (t) => {
  const container = await idle({ detach: true, restart: 'always' })
  await using other = await Runtime.open()
  const adopted = await other.containers.get(container.name)
  t.match(await adopted.exec(['id', '-u']), { stdout: '0\n' })
  await adopted.stop({ timeout: 0 })
  await adopted.remove()
})

t.test('what needs a cgroup says so, and how to get one', async (t) => {
  await using container = await idle()
  const remedy = /: delegate one|; delegate one/
  await refused(t, 'CGROUP_UNAVAILABLE', remedy, () => container.pause())
  await refused(t, 'CGROUP_UNAVAILABLE', remedy, () => container.stats())
  await refused(t, 'CGROUP_UNAVAILABLE', remedy, () => container.update({ memory: '100m' }))
  await refused(t, 'CGROUP_UNAVAILABLE', remedy, () => container.commit({ pause: true }))
  await refused(t, 'CGROUP_UNAVAILABLE', remedy, () => idle({ pidsLimit: 10 }))
  await refused(t, 'CHECKPOINT_FAILED', /run as root/, () => container.checkpoint({ path: join(home, 'none') }))
  t.equal(container.status, 'running')
  t.match(await runtime.metrics().metrics(), /^podling_container_state\{/m, 'all else is counted')
})

t.test('all of it can be removed', async (t) => {
  await using container = await idle({ volumes: ['data:/data'] })
  await container.exec(['sh', '-c', 'mkdir -p /data/a/b; touch /data/a/b/c; chmod 0 /data/a; chown -R 77 /data'])
  await container.remove({ force: true })
  const { images, volumes } = await runtime.prune({ images: 'all', volumes: 'all' })
  t.equal(images.length, 2)
  t.equal(volumes.length, 1)
  t.match(await runtime.check(), { problems: [] })
})

t.teardown(() => runtime.close())
