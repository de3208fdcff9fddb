/** Pods of an ordinary user that have a user namespace. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type Container, type PodOptions } from 'podling'
import { outlivesItsHost, sharesUsers } from '../../fixtures/pod-users.js'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()]
const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
const passwd = { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' }
const withoutHim = await runtime.images.import(await busyboxRootfs({ add: [passwd] }), { ref: 'busybox:nobody' })
const data = join(process.env['HOME'] ?? '', 'data')
mkdirSync(data)
writeFileSync(join(data, 'file'), 'of the user\n', { mode: 0o600 })

async function inPod(options: PodOptions, work: (container: Container) => Promise<void>): Promise<void> {
  await using pod = await runtime.pods.create({ network: 'none', ...options })
  const idle = { image: withoutHim, pod, command: ['sleep', '1000'], volumes: [`${data}:/data`] } as const
  for (let i = 0; i < 2; i++) await work(await runtime.run(idle))
}

t.test('its containers share their users', async (t) => {
  await sharesUsers(t, { runtime, image }, '65534')
})

t.test('keep-id: the user is himself in all of them', async (t) => {
  await inPod({ userns: 'keep-id' }, async (container) => {
    const { stdout } = await container.exec(['sh', '-c', 'id -u; id -g; cat /data/file; stat -c %u:%g /data/file; echo x >/data/new; id -un'])
    t.equal(stdout, `${String(uid)}\n${String(gid)}\nof the user\n${String(uid)}:${String(gid)}\n${process.env['NAME'] ?? ''}\n`)
    t.match(statSync(join(data, 'new')), { uid, gid })
    t.equal((await container.exec(['stat', '-c', '%u:%g', '/bin/busybox', '/home/app', '/etc/hosts'])).stdout, `0:0\n1000:1000\n0:${String(gid)}\n`)
    t.match(container.inspect().userNamespace, { mode: 'pod' })
  })
  await inPod({ userns: 'keep-id:uid=500,gid=600,size=2000' }, async (container) => {
    t.equal((await container.exec(['sh', '-c', 'id -u; id -g; stat -c %u:%g /data/file'])).stdout, '500\n600\n500:600\n')
  })
}) // prettier-ignore

t.test('nomap, and maps of his own', async (t) => {
  await inPod({ userns: 'nomap' }, async (container) => {
    t.match(await container.exec(['sh', '-c', 'id -u; stat -c %u /data/file; cat /data/file']), { stdout: '0\n65534\n', stderr: /denied/ })
  })
  await inPod({ uidMap: ['0:1:1000', '1000:0:1'], gidMap: ['0:1:2000'] }, async (container) => {
    t.equal((await container.exec(['sh', '-c', 'id -u; stat -c %u /data/file'])).stdout, '0\n1000\n')
  })
  await t.rejects(runtime.pods.create({ uidMap: ['0:1:65537'] }), { code: 'INVALID_OPTION', message: /uidMap must lead to ids below 65537/ })
}) // prettier-ignore

t.test('detached, it is found by the next host', async (t) => {
  await outlivesItsHost(t, { runtime, image }, () => Runtime.open())
})
