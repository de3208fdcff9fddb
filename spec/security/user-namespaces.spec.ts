/** Containers with ids of their own can't touch one another's files and processes, nor the host's, even where they see them. */
import { readFileSync, statSync } from 'node:fs'
import t from 'tap'
import type { Container, ContainerOptions } from 'podling'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { keepsSecret } from '../fixtures/shared-users.js'
import { subIdFiles } from '../fixtures/sub-ids.js'
import { needs } from '../peers.js'

t.test('between containers', needs('root', 'busybox'), async (t) => {
  const subIds = await subIdFiles(t, 'containers:864400000:100000\n')
  const test = await testRuntime({ subIds })
  t.teardown(() => test[Symbol.asyncDispose]())
  const { runtime, image } = test

  // It sees all processes, and has the other one's volume: what keeps them apart is who it is, and nothing else.
  const attack = async (userns: string, of: Container, capAdd: ContainerOptions['capAdd'] = []): Promise<string[]> => {
    const said: string[] = []
    const path = (await runtime.volumes.get(`of-${userns}`)).path!
    const pid = String(of.pid)
    const tries = [
      'cat /data/secret',
      'echo changed >>/data/secret',
      'chown 0:0 /data/secret',
      'rm -f /data/secret',
      `cat /proc/${pid}/root/etc/passwd >/dev/null`,
      `cat /proc/${pid}/environ >/dev/null`,
      `kill -0 ${pid}`,
    ]
    for (const script of tries) {
      await using container = await runtime.run({
        image,
        network: 'none',
        userns,
        pidns: 'host',
        capAdd,
        mounts: [{ type: 'bind', source: path, target: '/data' }],
        command: ['sh', '-c', `${script} 2>/dev/null`],
      })
      said.push((await container.wait()).exitCode === 0 ? 'done' : 'refused')
    }
    return said
  }

  t.test('in the host’s user namespace', async (t) => {
    t.strictSame(
      await attack('host', await keepsSecret(t, test, 'host'), ['SYS_PTRACE']),
      Array.from({ length: 7 }, () => 'done'),
    )
  })

  t.test('with ids of their own', async (t) => {
    const all = Array.from({ length: 7 }, () => 'refused')
    const own = await keepsSecret(t, test, 'auto')
    t.strictSame(await attack('auto', own, ['ALL']), all)
    t.equal((await own.exec(['cat', '/data/secret'])).stdout, 'secret\n', 'as it was')
    t.equal(own.status, 'running')
  })
})

/** The first loop device, as the root file system of an image may have it. */
const disk = { name: 'node', type: 'block-device', mode: 0o600, devmajor: 7, devminor: 0 } as const

t.test('nor the host', needs('root', 'busybox'), async (t) => {
  const subIds = await subIdFiles(t, 'containers:864400000:100000\n')
  const test = await testRuntime({ subIds })
  t.teardown(() => test[Symbol.asyncDispose]())
  const { runtime } = test
  const image = await runtime.images.import(await busyboxRootfs({ add: [disk] }), { ref: 'device:1' })
  const run = async (options: Partial<ContainerOptions>, script: string) => {
    await using container = await runtime.run({ image, network: 'none', userns: 'auto', ...options, command: ['sh', '-c', script] })
    return (await container.wait()).exitCode
  }
  const open = 'test -b /node && dd if=/node of=/dev/null count=0 2>/dev/null'
  t.equal(await run({ userns: 'host', privileged: true }, open), 0, 'a device of the image, where all may be opened')
  t.not(await run({ privileged: true }, open), 0)
  t.not(await run({ privileged: true }, `mount -o remount,dev / 2>/dev/null; ${open}`), 0)
  const before = readFileSync('/proc/sys/kernel/core_pattern', 'utf8')
  t.not(await run({ privileged: true }, 'echo "|/bin/evil" >/proc/sys/kernel/core_pattern 2>/dev/null'), 0)
  t.equal(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'), before)
  t.not(await run({ privileged: true, pidns: 'host' }, 'chroot /proc/1/root true 2>/dev/null'), 0)
  t.not(await run({ capAdd: ['ALL'], mounts: [{ type: 'bind', source: '/etc', target: '/host' }] }, 'cat /host/shadow 2>/dev/null'), 0)
  t.equal(statSync('/etc/shadow').uid, 0)
}) // prettier-ignore
