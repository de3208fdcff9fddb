/**
 * All containers of an ordinary user are in one user namespace, and one that is privileged has every right over it. Others,
 * the launcher and the user's own files are out of its reach all the same, as it can name none of them.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const home = process.env['HOME'] ?? ''
writeFileSync(join(home, 'secret'), 'of the user\n', { mode: 0o600 })
const attack = join(home, 'attack')
const source = fileURLToPath(new URL('../../../../spec/fixtures/attack.c', import.meta.url))
execFileSync('cc', ['-static', '-O1', '-o', attack, source])
const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const program = { name: 'bin/attack', mode: 0o755, content: readFileSync(attack) }
const image = await runtime.images.import(await busyboxRootfs({ add: [program] }), { ref: 'neighbours:test' })

const victim = await runtime.run({
  image,
  command: ['sh', '-c', 'echo of the neighbour >/secret; sleep 1000'],
  network: 'none',
})
t.teardown(() => victim.remove({ force: true }))
const pid = String(victim.pid)

async function said(script: string, options: Partial<ContainerOptions>): Promise<string> {
  await using container = await runtime.run({ image, command: ['sh', '-c', script], network: 'none', ...options })
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines.join('\n')
}

/** Its secret, by way of its process; the user's, by way of any; and its end. */
const reach = [
  `cat /proc/${pid}/root/secret`,
  `for pid in /proc/[0-9]*; do cat $pid/root${home}/secret; done`,
  `attack kill ${pid}`,
].join('; ')

t.test('with the pids of the host', async (t) => {
  const script = `cat /proc/${pid}/root/secret; kill -0 ${pid} && echo ok`
  const lines = await said(script, { privileged: true, pidns: 'host' })
  t.match(lines, 'of the neighbour')
  t.match(lines, 'ok')
})

for (const options of [
  {},
  { privileged: true },
  { capAdd: ['ALL'], seccomp: 'unconfined' },
] satisfies Partial<ContainerOptions>[]) {
  t.test(`Podling: ${JSON.stringify(options)}`, async (t) => {
    const lines = await said(`(${reach}) 2>/dev/null`, options)
    t.equal(lines, 'ESRCH')
    // A new procfs knows no more pids; what was the root before is gone; and a directory above the root is not to be had.
    const more = [
      'mkdir -p /tmp/p /tmp/jail; mount -t proc proc /tmp/p; ls /tmp/p',
      `cat /tmp/p/${pid}/root/secret`,
      `umount -l /proc; umount -l /; cat ${home}/secret`,
      `busybox unshare -m sh -c "busybox pivot_root . . ; umount -l .; cat ${home}/secret"`,
      `cd /; busybox chroot /tmp/jail 2>/dev/null; cd ../../../../..; cat ./${home}/secret`,
    ].join('; ')
    const found = await said(`(${more}) 2>/dev/null`, options)
    t.notMatch(found, /of the (user|neighbour)/)
    t.notOk(found.split('\n').includes(pid))
  })
}

t.test('the victim lives', async (t) => {
  t.equal(victim.status, 'running')
  t.equal((await victim.exec(['cat', '/secret'])).stdout, 'of the neighbour\n')
})
