/** User namespaces with each storage driver, and what can't be had of them. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { output, say, setUp } from '../fixtures/user-namespaces.js'
import { needs } from '../peers.js'

for (const storageDriver of ['vfs', 'erofs'] as const) {
  t.test(storageDriver, needs('root', 'busybox'), async (t) => {
    const setup = await setUp(t, { storageDriver })
    const { runtime, image } = setup
    const size = storageDriver === 'erofs' ? 65_536 : 1024
    await using container = await runtime.containers.create({ image, network: 'none', userns: 'auto', user: 'app', command: ['sh', '-c', 'stat -c %u /home/app /bin/busybox; touch ~/x; stat -c %u ~/x'] }) // prettier-ignore
    t.equal(container.inspect().userNamespace?.uids[0]?.size, size)
    await container.start()
    t.equal(await output(container), '1000\n0\n1000')
    const committed = await container.commit()
    t.equal(await say({ ...setup, image: committed }, { userns: 'host' }, 'stat -c %u /home/app/x'), '1000')
  })
}

t.test('keep-id of root is the host’s user namespace, as with Podman', needs('root', 'busybox'), async (t) => {
  const setup = await setUp(t)
  const script = 'cat /proc/self/uid_map | tr -s " "; id -u; id -g'
  t.equal(await say(setup, { userns: 'keep-id' }, script), ' 0 0 4294967295\n0\n0')
  t.equal(await say(setup, { userns: 'keep-id:uid=500,gid=600' }, script), ' 0 0 4294967295\n500\n600')
})

t.test('what can’t be is told', needs('root', 'busybox', 'fuse-overlayfs'), async (t) => {
  const setup = await setUp(t)
  const { runtime, image, root, subIds } = setup
  const create = (options: Partial<ContainerOptions>) => runtime.containers.create({ image, network: 'none', command: ['true'], ...options })
  await t.rejects(create({ userns: 'nomap' }), { code: 'INVALID_OPTION', message: /is about the ids of an ordinary user/ })
  await t.rejects(create({ userns: 'auto:size=500000' }), { code: 'SUBIDS_TOO_FEW' })
  await t.rejects(create({ userns: 'auto:size=5,uidmapping=9:9:1,uidmapping=9:10:1' }), { code: 'INVALID_OPTION', message: /the uids of 'auto' must not overlap/ })
  writeFileSync(subIds.subuid, 'containers:1\nother:5:9\ncontainers:5:5\n')
  await t.rejects(create({ userns: 'auto' }), { code: 'SUBIDS_INVALID', message: /subuid:1: .*\n.*subuid:3: .*overlaps/ })
  writeFileSync(subIds.subuid, 'somebody:100000:65536\n')
  await t.rejects(create({ userns: 'auto' }), { code: 'SUBIDS_NOT_FOUND', path: subIds.subuid })
  t.strictSame(await runtime.containers.list(), [])
  await t.rejects(Runtime.open({ root, subIds: { owner: 'a:b', subid: '/x' } as never }), { code: 'INVALID_OPTION', message: /subIds\.owner.*subIds\.subid/ })
  const fuse = await setUp(t, { storageDriver: 'fuse-overlayfs' })
  await t.rejects(say(fuse, {}, 'true'), { code: 'DRIVER_UNSUPPORTED', message: /fuse-overlayfs can't show/ })
  t.strictSame(await fuse.runtime.containers.list(), [])
}) // prettier-ignore
