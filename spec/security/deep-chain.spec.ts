/**
 * A chain of directories whose names together are longer than a path may be (PATH_MAX): whoever walks it by its names gets
 * stuck, and can't even remove it.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Container } from 'podling'
import { attackLab } from '../fixtures/attack-lab.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'

const lab = await attackLab(t)
const command = ['sh', '-c', 'mkdir /home/deep && cd /home/deep && exec attack dig 5000']

t.test('by names', async (t) => {
  const { monitor, output, rootfs } = await lab.weakStart({ command }, {})
  await monitor.exited
  t.equal((await output).trim(), 'ok 5000')
  const upper = join(rootfs, '..', 'upper')
  await t.rejects(rm(join(upper, 'home'), { recursive: true }), { code: 'ENAMETOOLONG' })
  execFileSync('rm', ['-r', join(upper, 'home')])
})

for (const [storageDriver, verbs] of [
  ['overlay', ['diff', 'commit', 'export', 'space']],
  ['vfs', ['diff']],
] as const) {
  t.test(`Podling, ${storageDriver}`, async (t) => {
    const setup = await testRuntime({ storageDriver })
    t.teardown(() => setup[Symbol.asyncDispose]())
    const { runtime, root } = setup
    const attack = { name: 'bin/attack', mode: 0o755, content: readFileSync(lab.attack) }
    const image = await runtime.images.import(await busyboxRootfs({ add: [attack] }), { ref: 'attack:1' })
    const container = await runtime.run({ image, network: 'none', command })
    t.equal((await container.wait()).exitCode, 0)
    for (const verb of verbs) {
      const error = await walks[verb](container).then(
        () => undefined,
        (cause: unknown) => cause as NodeJS.ErrnoException,
      )
      t.match(error, { name: 'PodlingError', errno: 'ENAMETOOLONG' }, `${verb} says what it can't`)
      t.ok((error?.message.length ?? 0) < 500, 'in few words')
    }
    const files = join(root, storageDriver, container.id)
    t.ok(existsSync(files))
    await container.remove()
    t.notOk(existsSync(files))
    t.strictSame(readdirSync(join(root, storageDriver, 'removed')), [], 'and nothing is left')
  })
}

const walks = {
  diff: (container: Container) => container.diff(),
  commit: (container: Container) => container.commit(),
  async export(container: Container) {
    for await (const _ of await container.export());
  },
  space: (container: Container) => container.space(),
}
