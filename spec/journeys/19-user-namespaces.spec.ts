/** Containers with a user namespace of their own: who they are on the host, what they see, and that nothing is copied for it. */
import { chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { extract } from 'tar-stream'
import { Runtime, type Container } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { joinsAnother } from '../fixtures/shared-users.js'
import { first, output, say, setUp } from '../fixtures/user-namespaces.js'
import { needs } from '../peers.js'

/** What of an image or container takes room on the disk, and whose it is. */
function filesBelow(directory: string): { path: string; uid: number; size: number }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    const { uid, size } = statSync(path, { throwIfNoEntry: false }) ?? { uid: 0, size: 0 }
    return [{ path, uid, size }, ...(entry.isDirectory() ? filesBelow(path) : [])]
  })
}

t.test('auto: ids of its own, and nothing of the image is copied', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const { runtime, image, root } = setup
  const layers = filesBelow(join(root, 'layers'))
  await using one = await runtime.run({ image, network: 'none', userns: 'auto', command: ['sleep', '1000'] })
  await using two = await runtime.run({ image, network: 'none', userns: { mode: 'auto', size: 5000 }, command: ['sleep', '1000'] })
  const map = (hostId: number, size: number) => [{ containerId: 0, hostId, size }]
  t.strictSame(one.inspect().userNamespace, { mode: 'auto', uids: map(first, 1024), gids: map(first, 1024) })
  t.strictSame(two.inspect().userNamespace?.uids, map(first + 1024, 5000))
  const status = readFileSync(`/proc/${String(two.pid)}/status`, 'utf8')
  t.match(status, new RegExp(`^Uid:\\s+${String(first + 1024)}\\s`, 'm'), 'on the host it is none of its users')
  t.match((await one.exec(['cat', '/proc/self/uid_map'])).stdout, new RegExp(`^\\s*0\\s+${String(first)}\\s+1024\\s*$`))

  const { stdout } = await one.exec(['sh', '-c', 'id -u; id -g; stat -c %u:%g / /bin/busybox /home/app /tmp /etc/hosts'])
  t.equal(stdout, '0\n0\n0:0\n0:0\n1000:1000\n0:0\n0:0\n', 'files have the owners that the image gives them')
  t.strictSame(filesBelow(join(root, 'layers')), layers, 'the image is what it was')
  const upper = join(root, 'overlay', one.id, 'upper')
  t.strictSame(readdirSync(upper), [], 'and the container has written nothing')

  await one.exec(['sh', '-c', 'echo mine >/file; chown 1000:50 /file; rm -r /home/app; mkdir /home/new'])
  t.strictSame(filesBelow(upper).find(({ path }) => path.endsWith('/file'))?.uid, 1000, 'on the disk it is who it is inside')
  t.strictSame(await one.diff(), [
    { kind: 'A', path: '/file' },
    { kind: 'C', path: '/home' },
    { kind: 'D', path: '/home/app' },
    { kind: 'A', path: '/home/new' },
  ])
  const committed = await one.commit({ ref: 'committed:1' })
  t.equal(
    await say({ ...setup, image: committed }, { userns: 'host' }, 'stat -c %u:%g /file /home/new; ls /home'),
    '1000:50\n0:0\nnew',
    'as an image has it too',
  )
}) // prettier-ignore

t.test('ids are unique among the processes on a root, and given back', needs('root', 'busybox'), async (t) => {
  const { runtime, image, root, subIds } = await setUp(t, {}, 4096)
  const other = await Runtime.open({ root, subIds })
  t.teardown(() => other.close())
  const make = (by: Runtime) => by.containers.create({ image, network: 'none', userns: 'auto', command: ['true'] })
  const made = await Promise.all([runtime, other, runtime, other].map(make))
  const firsts = made.map((one) => one.inspect().userNamespace!.uids[0]!.hostId - first)
  t.strictSame(firsts.sort((a, b) => a - b), [0, 1024, 2048, 3072]) // prettier-ignore
  await t.rejects(make(other), { code: 'SUBIDS_TOO_FEW', message: /needs 1024 uids that no other container or pod has/, path: subIds.subuid })
  const before = readdirSync(join(root, 'overlay')).length
  await t.rejects(make(runtime), { code: 'SUBIDS_TOO_FEW' })
  t.equal(readdirSync(join(root, 'overlay')).length, before, 'nothing is made for it')
  const gone = made[1]!.inspect().userNamespace!
  await made[1]!.remove()
  t.strictSame((await make(runtime)).inspect().userNamespace, gone)
}) // prettier-ignore

t.test('maps as they are given', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const maps = 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "'
  const spread = { userns: 'auto:size=20,uidmapping=0:1000:1,gidmapping=5:77:1' }
  t.equal(
    await say(setup, spread, maps),
    [
      ' 0 1000 1',
      ` 1 ${String(first)} 19`,
      ` 0 ${String(first)} 5`,
      ' 5 77 1',
      ` 6 ${String(first + 5)} 14`,
    ].join('\n'),
  )
  const given = { userns: 'private', uidMap: ['0:5000:1', '1000:7000:10'], gidMap: [{ containerId: 0, hostId: 6000, size: 5 }] }
  t.equal(await say(setup, given, maps), ' 0 5000 1\n 1000 7000 10\n 0 6000 5')
  t.equal(await say(setup, { ...given, gidMap: ['0:6000:1001'], user: 'app' }, 'touch /home/app/x && stat -c %u:%g /home/app/x; id -u'), '1000:1000\n1000')
  t.equal(await say(setup, { userns: 'private', uidMap: ['0:0:65536'] }, 'touch /x; stat -c %u /x /home/app'), '0\n1000', 'the host’s own root')
  t.match(await say(setup, { ...given, tty: true }, 'stat -c %u:%g $(tty)'), /^0:0\r?$/, 'no group 5, so that terminals have none')
}) // prettier-ignore

t.test('root inside has the rights of a container’s root, over its own namespaces', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const everything = 'mkdir /m; mount -t tmpfs none /m && hostname inside && hostname; ip link set lo down && ip link set lo up && echo up'
  t.equal(await say(setup, { capAdd: ['ALL'], hostname: 'before' }, everything), 'inside\nup')
  t.match(await say(setup, { tty: true, stdin: true }, 'tty; stat -c %u:%g $(tty)'), /\/dev\/pts\/0\r?\n0:5/)
  t.equal(await say(setup, { sysctls: { 'net.ipv4.ip_forward': 1 } }, 'cat /proc/sys/net/ipv4/ip_forward'), '1')
  t.equal(await say(setup, { network: 'host' }, 'ls /sys/class/net | grep -c lo'), '1', 'in the host’s network, with its /sys')
  t.match(await say(setup, { pidns: 'host' }, 'ls -d /proc/1'), '/proc/1')
  t.equal(await say(setup, { oomScoreAdj: 300, init: true }, 'cat /proc/self/oom_score_adj'), '300')
  t.equal(await say(setup, { readOnly: true, user: '1000' }, 'touch /tmp/x && stat -c %u /tmp/x; touch /x 2>&1'), '1000\ntouch: /x: Read-only file system')
  t.equal(await say(setup, { user: 'app' }, 'echo again >/dev/stdout; touch ~/mine && stat -c %u:%g ~/mine'), 'again\n1000:1000')
  t.equal(await say(setup, { workdir: '/made/here', user: 'app' }, 'pwd; stat -c %u .'), '/made/here\n0')
  const image = { mounts: [{ type: 'image', source: 'busybox:test', target: '/i', subpath: 'home' }] } as const
  t.equal(await say(setup, image, 'stat -c %u /i/app'), '1000', 'images that are mounted are seen as the root is')
  t.equal(await say(setup, { tmpfs: ['/t'] }, 'stat -c %u /t'), '0')
  const privileged = 'ls /dev | wc -l; dd if=/node of=/dev/null count=1 2>&1 | head -1'
  t.match(await say(setup, { privileged: true }, privileged), /^\d\d\n/, 'a privileged one has no devices of the host')
}) // prettier-ignore

t.test('volumes, and directories of the host', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const { runtime, root } = setup
  const host = join(root, 'host')
  mkdirSync(host)
  writeFileSync(join(host, 'secret'), 'of the host\n', { mode: 0o600 })
  t.equal(
    await say(setup, { volumes: [`${host}:/h`] }, 'stat -c %u /h /h/secret; cat /h/secret 2>&1; touch /h/x 2>&1'),
    "65534\n65534\ncat: can't open '/h/secret': Permission denied\ntouch: /h/x: Permission denied",
  )
  const size = 1024
  const at = (container: Container) => container.inspect().userNamespace!.uids[0]!.hostId
  await using owner = await runtime.containers.create({
    image: setup.image, network: 'none', userns: 'auto', volumes: ['named:/v', 'filled:/home', `${host}:/h:U`, '/anonymous'], user: 'app',
    command: ['sh', '-c', 'stat -c %u /v /home/app /h /h/secret /anonymous'],
  }) // prettier-ignore
  await owner.start()
  t.equal(await output(owner), '0\n1000\n1000\n1000\n0')
  t.equal(statSync(join(host, 'secret')).uid, at(owner) + 1000, 'given to its user by `U`')
  const path = async (name: string) => (await runtime.volumes.get(name)).path!
  t.equal(statSync(await path('named')).uid, at(owner))
  t.equal(statSync(join(await path('filled'), 'app')).uid, at(owner) + 1000)
  await owner.start()
  t.match(await output(owner), /0\n1000\n1000\n1000\n0$/, 'the next start finds all of it')
  const mapped = { type: 'bind', source: host, target: '/h', idmap: { uids: [{ files: at(owner) + 1000, seen: first + 5 * size, size: 1 }], gids: [{ files: 0, seen: first + 5 * size, size: 1 }] } } as const
  chownSync(join(host, 'secret'), at(owner) + 1000, 0)
  const own = { userns: 'private', uidMap: [`0:${String(first + 5 * size)}:${String(size)}`] }
  const look = 'stat -c %u:%g /h/mine; echo more >>/h/mine; echo x >/h/new; stat -c %u:%g /h/new'
  const files = join(root, 'files')
  mkdirSync(files)
  writeFileSync(join(files, 'mine'), 'of 0\n', { mode: 0o600 })
  t.equal(await say(setup, { volumes: [`${files}:/h:idmap`] }, look), '0:0\n0:0', 'idmap alone: the ids of the container')
  t.match(statSync(join(files, 'new')), { uid: 0, gid: 0 }, 'are those on the disk')
  const relative = { uids: [{ files: 0, seen: 7, size: 1 }], gids: [{ files: 0, seen: 8, size: 1 }], relative: true }
  t.equal(await say(setup, { mounts: [{ type: 'bind', source: files, target: '/h', idmap: relative }] }, 'stat -c %u:%g /h/mine'), '7:8')
  t.equal(await say(setup, { volumes: [`${files}:/h:idmap=uids=@0-9-1;gids=@0-0-1`] }, 'stat -c %u:%g /h/mine'), '9:0')
  t.equal(await say(setup, { volumes: [`${files}:/h:idmap`], userns: 'host' }, 'stat -c %u:%g /h/mine'), '0:0', 'without one of its own there is nothing to map')
  await t.rejects(say(setup, { volumes: [`${files}:/h:idmap=uids=@0-70000-1;gids=@0-0-1`] }, ''), { code: 'INVALID_OPTION', message: /the ids 70000 to 70000 of the container/ })
  await t.rejects(say(setup, { volumes: [`${files}:/h:idmap=uids=@0-7-1;gids=0-0-1`] }, ''), { code: 'INVALID_OPTION', message: /'@' before the ranges of both or of none/ })
  t.equal(await say(setup, { ...own, mounts: [mapped] }, 'stat -c %u:%g /h/secret; cat /h/secret'), '0:0\nof the host')
}) // prettier-ignore

t.test('that of another container', needs('root', 'busybox'), async (t) => {
  await joinsAnother(t, await setUp(t))
})

t.test('exec, copies, top, pause, restarts', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const { runtime, image } = setup
  await using container = await runtime.run({
    image, network: 'none', userns: 'auto', command: ['sleep', '1000'], stopTimeout: 0,
    health: { command: ['sh', '-c', 'id -u'], interval: '1h' }, ready: { healthy: true },
  }) // prettier-ignore
  const { stdout } = await container.exec(['sh', '-c', 'id -u; echo again >/dev/stdout; touch /tmp/x; stat -c %u:%g /tmp/x'], { user: 'app' }) // prettier-ignore
  t.equal(stdout, '1000\nagain\n1000:1000\n')
  t.equal(container.inspect().health?.log.at(-1)?.output.trim(), '0')
  t.match(await container.top(['user', 'args']), [{ user: 'root', args: 'sleep 1000' }])
  const directory = await temporaryDirectory(t)
  writeFileSync(join(directory, 'given'), 'given\n')
  await container.copyTo(join(directory, 'given'), '/home/app')
  t.equal((await container.exec(['stat', '-c', '%u:%g', '/home/app/given'])).stdout, '0:0\n')
  const owners = async () => {
    const found: string[] = []
    const tar = (await container.copyFrom('/tmp')).pipe(extract())
    for await (const entry of tar) {
      const { name, uid, gid } = entry.header
      found.push(`${name} ${String(uid)}:${String(gid)}`)
      entry.resume()
    }
    return found
  }
  const seen = ['tmp/ 0:0', 'tmp/x 1000:1000']
  t.strictSame(await owners(), seen, 'while it runs')
  await container.pause()
  t.strictSame(await owners(), seen, 'while it is paused')
  await container.unpause()
  await container.stop()
  t.strictSame(await owners(), seen, 'and when it has ended')
  await container.start()
  t.equal((await container.exec(['stat', '-c', '%u', '/tmp/x'])).stdout, '1000\n')
  await t.rejects(container.checkpoint({ path: join(directory, 'dump') }), {
    code: 'CHECKPOINT_FAILED',
    message: /userns/,
  })
  await container.stop()
  const again = { restart: 'on-failure:1', detach: true } as const
  await using failing = await runtime.run({
    image, network: 'none', userns: 'auto', ...again,
    command: ['sh', '-c', 'cat /proc/self/uid_map | tr -s " "; stat -c %u /mark && exit 0; touch /mark; exit 1'],
  }) // prettier-ignore
  const line = ` 0 ${String(failing.inspect().userNamespace!.uids[0]!.hostId)} 1024`
  t.equal(await output(failing), [line, "stat: can't stat '/mark': No such file or directory", line, '0'].join('\n'))
})

t.test('networks', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const { runtime, image } = setup
  await using one = await runtime.run({ image, network: 'none', userns: 'auto', command: ['sleep', '1000'] })
  t.equal(
    await say(setup, { network: `container:${one.name}` }, 'ip link show lo | grep -c UP; ls /sys/class/net >/dev/null && echo seen'),
    '1\nseen',
    'another one’s network is no place of its own',
  )
}) // prettier-ignore

t.test('nothing is left', needs('root', 'busybox'), async (t) => {
  const { runtime, image, root } = await setUp(t)
  await runtime.run({ image, network: 'none', userns: 'auto', command: ['sleep', '86431'] })
  await runtime.close()
  t.match(await settledLeftovers(root, '86431'), nothing)
})
