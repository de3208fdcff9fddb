/** User namespaces of containers whose maker is an ordinary user: `keep-id`, `nomap`, `auto` and maps of his own, on one driver. */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { extract } from 'tar-stream'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'
import { joinsAnother } from '../../fixtures/shared-users.js'

const home = process.env['HOME'] ?? ''
const storageDriver = process.env['DRIVER'] as 'overlay' | 'vfs' | 'fuse-overlayfs'
const [uid = 0, gid = 0, name = ''] = [process.getuid?.(), process.getgid?.(), process.env['NAME']]
const runtime = await Runtime.open({ storageDriver })
t.teardown(() => runtime.close())
const add = [
  // Without anybody of the user's own name and ids.
  { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\napp:x:300:50::/home/app:/bin/sh\n' },
  { name: 'etc/group', content: 'root:x:0:\nstaff:x:50:app\n' },
  ...['srv', 'anonymous', 'h'].map((name) => ({ name, type: 'directory', mode: 0o755 }) as const),
  { name: 'srv/set', mode: 0o4755, uid: 33, gid: 44, content: 'of 33' },
]
const image = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'busybox:test' })
const data = join(home, 'data')
mkdirSync(data)
writeFileSync(join(data, 'file'), 'of the user\n', { mode: 0o600 })

async function said(options: Partial<ContainerOptions>, script: string): Promise<string> {
  await using container = await runtime.run({ image, network: 'none', ...options, command: ['sh', '-c', script] })
  await container.wait()
  return await output(container)
}

async function output(container: Container): Promise<string> {
  const lines: string[] = []
  for await (const line of container.logs()) lines.push(line.text)
  return lines.join('\n')
}

/** What the driver has no part in is tried with one. */
const once = storageDriver === 'overlay' ? {} : { skip: 'the same with overlay' }

const maps = 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "'
const owners = 'stat -c "%u:%g %a %n" / /bin/busybox /home/app /srv/set /etc/hosts'

/** As Podman has it, with the ids that Debian's useradd(8) gives in the range. */
function kept(own: number, most = 65_536): string {
  return [
    ` 0 1 ${String(own)}`,
    ` ${String(own)} 0 1`,
    ` ${String(own + 1)} ${String(own + 1)} ${String(most - own)}`,
  ].join('\n')
}

t.test('keep-id: the user is himself', async (t) => {
  const volumes = [`${data}:/data`]
  t.equal(await said({ userns: 'keep-id' }, maps), `${kept(uid)}\n${kept(gid)}`)
  t.equal(
    await said({ userns: 'keep-id', volumes }, 'id; cat /data/file; stat -c %u:%g /data/file; echo new >/data/new; echo $HOME; pwd'),
    [
      `uid=${String(uid)}(${name}) gid=${String(gid)}(${name}) groups=${String(gid)}(${name})`,
      'of the user',
      `${String(uid)}:${String(gid)}`,
      '/',
      '/',
    ].join('\n'),
  )
  t.match(statSync(join(data, 'new')), { uid, gid }, 'what it writes is the user’s')
  rmSync(join(data, 'new'))
  t.equal(
    await said({ userns: 'keep-id', user: '0' }, `${owners}; echo x >>/etc/hosts && id -G`),
    [
      '0:0 755 /',
      '0:0 755 /bin/busybox',
      '1000:1000 755 /home/app',
      '33:44 4755 /srv/set',
      `0:${String(gid)} 664 /etc/hosts`,
      `0 ${String(gid)}`,
    ].join('\n'),
    'files of the image are whose the image says',
  )
}) // prettier-ignore

t.test('keep-id: passwd, group and HOME', once, async (t) => {
  const lines = `grep ${name} /etc/passwd /etc/group; echo $HOME`
  const line = (own: string) => `/etc/passwd:${name}:*:${String(uid)}:${String(gid)}::${own}:/bin/sh\n/etc/group:${name}:x:${String(gid)}:${name}\n${own}`
  t.equal(await said({ userns: 'keep-id', workdir: '/tmp' }, lines), line('/tmp'))
  t.equal(await said({ userns: 'keep-id', volumes: [`${data}:${home}`], readOnly: true }, lines), line(home))
  t.equal(
    await said({ userns: { mode: 'keep-id', uid: 500, gid: 600, size: 2000 }, volumes: [`${data}:/data`] }, `${maps}; id; stat -c %u:%g /data/file; grep 500 /etc/passwd /etc/group`),
    [
      kept(500, 2000),
      kept(600, 2000),
      'uid=500(500) gid=600(600) groups=600(600)',
      '500:600',
      '/etc/passwd:500:*:500:600:container user:/:/bin/sh',
      '/etc/group:600:x:600:500',
    ].join('\n'),
  )
  t.equal(await said({ userns: 'keep-id', user: 'app' }, 'id -un; id -G'), `app\n50 ${String(gid)}`, 'another user, with the group')
  await using twice = await runtime.run({ image, network: 'none', userns: 'keep-id', command: ['sh', '-c', `grep -c ^${name}: /etc/passwd`] })
  await twice.wait()
  await twice.start()
  await twice.wait()
  t.equal(await output(twice), '1\n1', 'one entry, however often it is started')
}) // prettier-ignore

t.test('nomap: the user is nobody', once, async (t) => {
  t.equal(
    await said({ userns: 'nomap', volumes: [`${data}:/data`] }, `${maps}; id -u; stat -c %u:%g /data/file; cat /data/file 2>&1; touch /data/x 2>&1; ${owners}`),
    [
      ' 0 1 65536', ' 0 1 65536', '0', '65534:65534', "cat: can't open '/data/file': Permission denied", 'touch: /data/x: Permission denied',
      '0:0 755 /', '0:0 755 /bin/busybox', '1000:1000 755 /home/app', '33:44 4755 /srv/set', '0:65534 664 /etc/hosts',
    ].join('\n'),
  ) // prettier-ignore
  t.strictSame(readdirSync(data), ['file'])
}) // prettier-ignore

t.test('auto: a range of its own for each', async (t) => {
  const idle = { image, network: 'none', command: ['sleep', '1000'] } as const
  await using one = await runtime.run({ ...idle, userns: 'auto' })
  const two = await runtime.run({ ...idle, userns: 'auto:size=2000' })
  const map = (hostId: number, size: number) => [{ containerId: 0, hostId, size }]
  t.strictSame(one.inspect().userNamespace, { mode: 'auto', uids: map(1, 1024), gids: map(1, 1024) })
  t.strictSame(two.inspect().userNamespace, { mode: 'auto', uids: map(1025, 2000), gids: map(1025, 2000) })
  t.equal((await two.exec(['sh', '-c', `${maps}; ${owners}`])).stdout, ' 0 1025 2000\n 0 1025 2000\n0:0 755 /\n0:0 755 /bin/busybox\n1000:1000 755 /home/app\n33:44 4755 /srv/set\n0:65534 664 /etc/hosts\n')
  await two.remove({ force: true })
  await using three = await runtime.run({ ...idle, userns: 'auto' })
  t.strictSame(three.inspect().userNamespace?.uids, map(1025, 1024), 'and given back')
  await t.rejects(runtime.run({ ...idle, userns: 'auto:size=65000' }), { code: 'SUBIDS_TOO_FEW', message: /needs 65000 uids .* gives this user too few/ })
}) // prettier-ignore

t.test('maps lead to the ids of the user’s own namespace', once, async (t) => {
  const uidMap = ['0:1:1000', '1000:0:1', '1001:1001:100']
  t.equal(await said({ uidMap, gidMap: ['0:1:2000'] }, `${maps}; id -u`), ' 0 1 1000\n 1000 0 1\n 1001 1001 100\n 0 1 2000\n0')
  await t.rejects(said({ uidMap: ['0:1:65537'] }, 'true'), { code: 'INVALID_OPTION', message: /uidMap must lead to ids below 65537: 0 is this user/ })
  await t.rejects(said({ uidMap: ['0:1:10'] }, 'true'), { code: 'SUBIDS_TOO_FEW', message: /belongs to a user or group that the container doesn't have/ })
}) // prettier-ignore

t.test('copies, diff, commit and volumes speak of the ids that the container sees', async (t) => {
  const volumes = ['named:/srv', '/anonymous', `${data}:/h:U`]
  await using container = await runtime.run({ image, network: 'none', userns: 'auto', command: ['sleep', '1000'], volumes })
  t.equal((await container.exec(['sh', '-c', 'stat -c %u:%g /srv/set /anonymous /h/file'])).stdout, '33:44\n0:0\n0:0\n')
  await container.exec(['sh', '-c', 'echo mine >/new; chown 7:8 /new; rm -r /home/app; chmod 700 /tmp'])
  const changes = [
    { kind: 'C', path: '/home' },
    { kind: 'D', path: '/home/app' },
    { kind: 'A', path: '/new' },
    { kind: 'C', path: '/tmp' },
  ]
  t.strictSame(await container.diff(), changes)
  const copied = async () => {
    const owners: unknown[] = []
    const tar = (await container.copyFrom('/new')).pipe(extract())
    for await (const entry of tar) {
      owners.push(entry.header.uid, entry.header.gid)
      entry.resume()
    }
    return owners
  }
  t.strictSame(await copied(), [7, 8])
  await container.stop({ timeout: 0 })
  t.strictSame(await copied(), [7, 8], 'and when it has ended')
  t.strictSame(await container.diff(), changes)
  const committed = await container.commit({ ref: 'committed:1' })
  t.equal(await said({ image: committed }, 'stat -c %u:%g /new; ls /home'), '7:8')
  t.equal(await said({ image: committed, userns: 'keep-id', user: '0' }, 'stat -c %u:%g /new; ls /home'), '7:8')
}) // prettier-ignore

t.test('that of another container', once, async (t) => {
  await joinsAnother(t, { runtime, image })
})

t.test('nothing is left of what was copied', async (t) => {
  t.equal((await runtime.containers.list()).length, 0)
  await runtime.prune({ images: 'all', volumes: 'all' })
  rmSync(join(home, '.local'), { recursive: true })
  t.pass('all of it can be removed by the user')
})
