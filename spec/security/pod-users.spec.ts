/** Root of a container of a pod that has a user namespace has no rights over other pods, over what holds its own, nor over the host. */
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { attackFromPod, attacks } from '../fixtures/pod-users.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { subIdFiles } from '../fixtures/sub-ids.js'
import { needs } from '../peers.js'

/** The first loop device, as the root file system of an image may have it. */
const disk = { name: 'node', type: 'block-device', mode: 0o600, devmajor: 7, devminor: 0 } as const

if (inOwnNetwork(import.meta.url)) {
  t.test('as root', needs('root', 'busybox'), async (t) => {
    const subIds = await subIdFiles(t, 'containers:864500000:200000\n')
    const test = await testRuntime({ subIds })
    t.teardown(() => test[Symbol.asyncDispose]())
    const { runtime } = test

    await t.test('other pods', async (t) => {
      t.strictSame(
        await attackFromPod(t, test, 'host'),
        Array.from({ length: attacks }, () => 'done'),
      )
      t.strictSame(
        await attackFromPod(t, test, 'auto'),
        Array.from({ length: attacks }, () => 'refused'),
      )
    })

    await t.test('the host', async (t) => {
      const image = await runtime.images.import(await busyboxRootfs({ add: [disk] }), { ref: 'device:1' })
      // Each changes nothing, where it is allowed.
      const tries: [Partial<ContainerOptions>, string][] = [
        [{}, 'ip link set lo mtu 65536'],
        [{ uts: 'host' }, 'hostname $(hostname)'],
        [{ pidns: 'host' }, 'kill -0 1'],
        [{ pidns: 'host' }, `ls /proc/${String(process.pid)}/root/`],
        [{ privileged: true }, 'test -b /node && dd if=/node of=/dev/null count=0'],
        [{ privileged: true }, 'mount -o remount,dev / 2>/dev/null; dd if=/node of=/dev/null count=0'],
        [{ mounts: [{ type: 'bind', source: '/etc', target: '/host' }] }, 'cat /host/shadow'],
      ]
      for (const userns of ['host', 'auto']) {
        await using pod = await runtime.pods.create({ network: 'host', userns })
        for (const [options, script] of tries) {
          await using container = await runtime.run({ image, pod, capAdd: ['ALL'], ...options, command: ['sh', '-c', script] })
          t.equal((await container.wait()).exitCode === 0, userns === 'host', `${userns}: ${script}`)
        }
      }
    }) // prettier-ignore
  })

  t.test('as an ordinary user', needs('root', 'busybox', 'uidmap'), async (t) => {
    await runAs(t, makeUser(t), 'pod-users-apart')
  })
}
