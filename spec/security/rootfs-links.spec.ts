/** An image whose mount targets are symbolic links out of it: nothing outside of its root is made, written or mounted over. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PodlingError } from 'podling'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { weakened } from '../fixtures/weak-helper.js'

const setup = await testRuntime()
const outside = await mkdtemp(join(tmpdir(), 'podling-outside-'))
t.teardown(async () => {
  await setup[Symbol.asyncDispose]()
  await rm(outside, { recursive: true })
})
await writeFile(join(outside, 'hosts'), 'of the host\n')
const up = `${'../'.repeat(20)}${outside.slice(1)}`

const cases: readonly (readonly [string, string])[] = [
  ...['proc', 'sys', 'dev', 'etc'].flatMap((name) => [outside, up].map((target) => [name, target] as const)),
  ...['etc/hosts', 'etc/resolv.conf', 'etc/hostname'].flatMap((name) =>
    [`${outside}/hosts`, `${up}/hosts`, `${outside}/made`].map((target) => [name, target] as const),
  ),
  ['proc', '/etc'],
  ['sys', '/proc'],
  ['dev', '/proc/self/fd'],
  ['proc', 'proc'],
  ['data', outside],
]

t.test('with targets that are looked up as any other path', async (t) => {
  const lab = await attackLab(t)
  const away = await temporaryDirectory(t, 'podling-outside-')
  for (const [name, linkname] of [
    ['data', away],
    ['etc', `${'../'.repeat(20)}${away.slice(1)}`],
  ] as const) {
    const image = {
      without: [name, `${name}/passwd`, `${name}/group`],
      add: [{ name, type: 'symlink', linkname }],
    } as const
    const options = {
      command: ['true'],
      tmpfs: [`/${name}/below-${name}`],
      volumes: [`${outside}/hosts:/${name}/file-${name}`],
    }
    await lab.weak(options, { image })
    t.strictSame(await readdir(away), [], 'no protection less')
    await lab.weak(options, { image, helper: weakened.lookup })
    t.strictSame((await readdir(away)).sort(), [`below-${name}`, `file-${name}`], `they are made where /${name} leads`)
    for (const made of await readdir(away)) await rm(join(away, made), { recursive: true })
  }
})

for (const [name, linkname] of cases) {
  t.test(
    `${name} is a link to ${linkname.replace(outside, 'the outside').replace(up, '../the outside')}`,
    async (t) => {
      const tar = await busyboxRootfs({ without: [name], add: [{ name, type: 'symlink', linkname }] })
      const image = await setup.runtime.images.import(tar, { ref: 'links:1' })
      const before = await readFile('/proc/self/mountinfo', 'utf8')
      try {
        await using container = await setup.runtime.run({
          image,
          network: 'none',
          command: [
            'sh',
            '-c',
            'echo x >/etc/hosts; echo x >/etc/resolv.conf; touch /data/file /dev/file; cat /proc/kcore /proc/keys | wc -c',
          ],
          tmpfs: ['/data/below'],
        })
        t.equal((await container.wait()).signal, undefined)
        for await (const { text, stream } of container.logs()) if (stream === 'stdout') t.equal(text, '0', 'masks hold')
      } catch (error) {
        t.ok(error instanceof PodlingError && error.code !== 'SYSTEM_CALL_FAILED', String(error))
      }
      t.strictSame(await readdir(outside), ['hosts'], 'nothing is made outside')
      t.equal(await readFile(join(outside, 'hosts'), 'utf8'), 'of the host\n', 'nor written')
      t.equal(
        await readFile('/proc/self/mountinfo', 'utf8').then((now) => now.includes(outside)),
        before.includes(outside),
      )
    },
  )
}
