/**
 * Containers of an ordinary user that have ids of their own can't touch one another's files and processes, nor their user's files, even
 * where they see them.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'
import { keepsSecret } from '../../fixtures/shared-users.js'

const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
const place = { runtime, image }
const own = join(process.env['HOME'] ?? '', 'own')
mkdirSync(own)
writeFileSync(join(own, 'secret'), 'of the user\n', { mode: 0o600 })

/** What each try comes to. It sees all processes, and has the victim's volume: what keeps them apart is who it is, and nothing else. */
async function attack(by: Partial<ContainerOptions>, victim: Container, volume: string): Promise<string> {
  const source = (await runtime.volumes.get(volume)).path!
  const pid = String(victim.pid)
  const tries = [
    'cat /data/secret',
    'echo changed >>/data/secret',
    'chown 0:0 /data/secret',
    'rm -f /data/secret',
    `cat /proc/${pid}/root/etc/passwd >/dev/null`,
    `cat /proc/${pid}/environ >/dev/null`,
    `kill -0 ${pid}`,
  ].map((one) => `(${one}) >/dev/null 2>&1 && echo done || echo refused`)
  const mounts = [{ type: 'bind', source, target: '/data' }] as const
  await using container = await runtime.run({
    image, network: 'none', pidns: 'host', mounts, command: ['sh', '-c', tries.join('\n')], ...by,
  }) // prettier-ignore
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines.join(' ')
}

const all = (word: string): string => Array.from({ length: 7 }, () => word).join(' ')

t.test('in the user namespace that all share', async (t) => {
  t.equal(await attack({ capAdd: ['SYS_PTRACE'] }, await keepsSecret(t, place, 'host'), 'of-host'), all('done'))
})

t.test('with ids of their own', async (t) => {
  const victim = await keepsSecret(t, place, 'auto')
  t.equal(await attack({ userns: 'auto', capAdd: ['ALL'], seccomp: 'unconfined' }, victim, 'of-auto'), all('refused'))
  t.equal(await attack({ userns: 'keep-id' }, victim, 'of-auto'), all('refused'), 'nor can the user in a container that keeps his id')
  t.equal((await victim.exec(['cat', '/data/secret'])).stdout, 'secret\n', 'as it was')
  t.equal(victim.status, 'running')
}) // prettier-ignore

t.test('the user’s own files', async (t) => {
  const tried = async (userns: string): Promise<number | undefined> => {
    const volumes = [`${own}:/own`]
    await using container = await runtime.run({
      image, network: 'none', userns, volumes, user: '0', capAdd: ['ALL'], command: ['sh', '-c', 'cat /own/secret && echo changed >>/own/secret'],
    }) // prettier-ignore
    return (await container.wait()).exitCode
  }
  for (const userns of ['auto', 'nomap']) t.not(await tried(userns), 0, userns)
  t.equal(readFileSync(join(own, 'secret'), 'utf8'), 'of the user\n')
  t.equal(await tried('host'), 0, 'whose root is the user')
})
