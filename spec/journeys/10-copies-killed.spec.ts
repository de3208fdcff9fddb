/** kill -9 of the host in the middle of copies, commits and mounts of images: nothing is left mounted, held or half made. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Runtime } from 'podling'
import t from 'tap'
import { startHost } from '../fixtures/host.js'
import { containerFiles, nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const MARKER = '86398.25' // of no process: what counts here is the root
const steps = ['copy-stopped', 'read-stopped', 'copy', 'read', 'diff', 'commit', 'mount', 'unmount', 'remove'] as const
const ROUNDS = 2

t.test('nothing is left', needs('root', 'busybox'), async (t) => {
  const setup = await testRuntime()
  const { root } = setup
  await setup.runtime.close()
  t.teardown(() => rm(root, { recursive: true, force: true }))
  let committed = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [position, step] of steps.entries()) {
      const host = startHost(root, 'copies')
      await host.saw(step)
      // A little into the step, a different little each time.
      await sleep(((round * steps.length + position) * 7) % 31)
      await host.end('SIGKILL')
      t.strictSame(await settledLeftovers(root, MARKER), nothing, `${step}: no process, cgroup or mount`)
    }
    await using runtime = await Runtime.open({ root })
    t.strictSame(await runtime.containers.list(), [])
    t.strictSame(
      (await containerFiles(root)).filter((path) => !path.startsWith('run/owners')),
      [],
      'nor a file of a container',
    )
    for (const image of await runtime.images.list()) {
      // What is there is whole.
      const container = await runtime.run({ image, command: ['true'], network: 'none' })
      t.match(await container.wait(), { exitCode: 0 }, image.names.join(' '))
      await container.remove()
      if (image.names[0] === 'docker.io/library/busybox:test') continue
      committed += 1
      await runtime.images.remove(image)
    }
    t.equal((await readdir(join(root, 'layers'))).length, 2, 'one layer, and tmp')
    t.strictSame(await readdir(join(root, 'layers/tmp')), [])
    t.equal((await readdir(join(root, 'content/sha256'))).length, 3, 'blobs are those of the one image')
    t.strictSame(await readdir(join(root, 'content/partial')), [])
  }
  t.ok(committed > 0, `${String(committed)} commits came to something`)
})
