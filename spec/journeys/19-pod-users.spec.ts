/** Pods that have a user namespace. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type Container, type Pod, type PodOptions } from 'podling'
import { nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { configure, configured, outlivesItsHost, sharedNamespaces, sharesUsers } from '../fixtures/pod-users.js'
import { first, setUp } from '../fixtures/user-namespaces.js'
import { needs } from '../peers.js'

const tools = needs('root', 'busybox')

if (inOwnNetwork(import.meta.url)) {
  t.test('its containers share their users', tools, async (t) => {
    const setup = await setUp(t)
    await sharesUsers(t, setup)
    const upper = (container: Container) => readdirSync(join(setup.root, 'overlay', container.id, 'upper'))
    await using pod = await setup.runtime.pods.create({ network: 'none', userns: 'auto' })
    const { uids } = pod.inspect().userNamespace!
    t.strictSame(uids, [{ containerId: 0, hostId: first, size: 65_536 }], 'as many as an image may need')
    const container = await setup.runtime.run({ image: setup.image, pod, command: ['sleep', '1000'] })
    t.strictSame(upper(container), [], 'and nothing of an image is copied for it')
    t.match(readFileSync(`/proc/${String(container.pid)}/status`, 'utf8'), new RegExp(`^Uid:\\s+${String(first)}\\s`, 'm'))
  }) // prettier-ignore

  t.test('its ids are its own, as long as there is the pod', tools, async (t) => {
    const { runtime, image, subIds } = await setUp(t, {}, 4096)
    const make = () => runtime.pods.create({ network: 'none', userns: 'auto:size=1500' })
    const at = (one: Pod | Container) => one.inspect().userNamespace!.uids[0]!.hostId - first
    const one = await make()
    const two = await make()
    const alone = await runtime.containers.create({ image, network: 'none', userns: 'auto', command: ['true'] })
    t.strictSame([one, two, alone].map(at), [0, 1500, 3000])
    await t.rejects(make(), { code: 'SUBIDS_TOO_FEW', message: /needs 1500 uids that no other container or pod has/, path: subIds.subuid })
    t.equal((await runtime.pods.list()).length, 2, 'nothing is made then')
    const container = await runtime.run({ image, pod: one, command: ['sleep', '1000'] })
    await container.remove({ force: true })
    await t.rejects(make(), { code: 'SUBIDS_TOO_FEW' })
    await one.remove({ force: true })
    t.equal(at(await make()), 0)
  }) // prettier-ignore

  t.test('maps, and the words that mean something else as root', tools, async (t) => {
    const { runtime, image } = await setUp(t)
    const seen = async (options: PodOptions, script: string) => {
      await using pod = await runtime.pods.create({ network: 'none', ...options })
      const container = await runtime.run({ image, pod, command: ['sleep', '1000'] })
      return (await container.exec(['sh', '-c', script])).stdout
    }
    const maps = 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "'
    t.equal(await seen({ uidMap: ['0:5000:1', '1000:7000:10'], gidMap: ['0:6000:1001'] }, maps), ' 0 5000 1\n 1000 7000 10\n 0 6000 1001\n')
    t.equal(await seen({ userns: 'auto:size=9,uidmapping=0:1000:1' }, maps), ` 0 1000 1\n 1 ${String(first)} 8\n 0 ${String(first)} 9\n`)
    t.equal(await seen({ userns: { mode: 'keep-id', uid: 7, gid: 8 } }, 'id -u; id -g; wc -l </proc/self/uid_map'), '7\n8\n1\n')
    await t.rejects(runtime.pods.create({ userns: 'nomap' }), { code: 'INVALID_OPTION', message: /'nomap' is about the ids of an ordinary user/ })
    await using alone = await runtime.run({ image, network: 'none', userns: 'auto', name: 'alone', command: ['sleep', '1000'] })
    await using joining = await runtime.pods.create({ network: 'none', userns: 'container:alone' })
    const member = await runtime.run({ image, pod: joining, command: ['sleep', '1000'] })
    t.equal(sharedNamespaces(member)[0], sharedNamespaces(alone)[0])
  }) // prettier-ignore

  t.test('networks', needs('root', 'busybox', 'nftables'), async (t) => {
    const { runtime, image } = await setUp(t)
    const idle = { image, command: ['sleep', '1000'], capAdd: ['ALL'] } as const
    const userns = 'auto:size=2000'
    const site = ['sh', '-c', 'mkdir /site; echo hello >/site/index.html; exec httpd -f -p 80 -h /site']
    const server = { ...idle, command: site, ready: { http: '/', port: 80 } } as const

    await t.test('a bridge, with published ports and names', async (t) => {
      await using pod = await runtime.pods.create({ name: 'shop', userns, ports: ['127.0.0.1:8080:80'] })
      await runtime.run({ ...server, pod })
      const client = await runtime.run({ ...idle, pod })
      t.equal(await (await fetch('http://127.0.0.1:8080/')).text(), 'hello\n')
      t.equal((await client.exec(['wget', '-q', '-O', '-', 'http://shop/'])).stdout, 'hello\n')
      t.equal((await client.exec(['sh', '-c', configure])).stdout.replace('eth0\n', ''), configured)
    })

    await t.test('the host’s, which it has no rights over', async (t) => {
      await using pod = await runtime.pods.create({ network: 'host', userns, share: ['net', 'ipc'] })
      const container = await runtime.run({ ...server, pod, ports: [], command: ['sleep', '1000'], ready: [] })
      t.match(await container.exec(['sh', '-c', 'ls /sys/class/net; ip link set lo down']), { stdout: /^lo$/m, stderr: /not permitted/ })
      await container.restart({ timeout: 0 })
      t.equal((await container.exec(['id', '-u'])).stdout, '0\n')
    }) // prettier-ignore

    await t.test('another container’s', async (t) => {
      await using other = await runtime.run({ ...server, name: 'other' })
      await using pod = await runtime.pods.create({ network: 'container:other', userns })
      const command = ['sh', '-c', 'wget -q -O - http://127.0.0.1/; test -e /again && echo again && exec sleep 1000; touch /again; false']
      const member = await runtime.run({ ...idle, pod, command, restart: 'on-failure:3', ready: { log: /again/ } })
      t.equal(sharedNamespaces(member)[1], sharedNamespaces(other)[1])
      t.match(await member.exec(['sh', '-c', 'ls /sys/class/net; ip link set lo down']), { stdout: /lo/, stderr: /not permitted/ })
    }) // prettier-ignore
  })

  t.test('its holder killed, its containers are what they were until it is restarted', tools, async (t) => {
    const { runtime, image } = await setUp(t)
    await using pod = await runtime.pods.create({ network: 'none', userns: 'auto:size=2000' })
    const member = await runtime.run({ image, pod, command: ['sleep', '1000'], capAdd: ['ALL'] })
    const before = sharedNamespaces(member)
    const { pid } = pod.inspect()
    if (pid === undefined) throw new Error('it runs')
    process.kill(pid, 'SIGKILL')
    await within(10_000, async () => pod.status, (status) => status === 'degraded')
    t.equal((await member.exec(['sh', '-c', configure])).stdout, configured)
    t.strictSame(sharedNamespaces(member), before)
    await pod.restart({ timeout: 0 })
    t.equal((await member.exec(['sh', '-c', configure])).stdout, configured)
    t.strictSame(sharedNamespaces(member), sharedNamespaces(pod.inspect()), 'in the new ones')
  }) // prettier-ignore

  t.test('detached, it is found by the next host', tools, async (t) => {
    const { runtime, image, root, subIds } = await setUp(t)
    await outlivesItsHost(t, { runtime, image }, () => Runtime.open({ root, subIds }))
    await runtime.run({ image, pod: await runtime.pods.create({ network: 'none', userns: 'auto' }), command: ['sleep', '86432'], stopTimeout: 0 })
    await runtime.close()
    t.match(await settledLeftovers(root, '86432'), nothing)
  }) // prettier-ignore
}
