/** kill -9 in the midst of saves and pushes: a file or a name is what it was or what it is to be, and nothing half is left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { imageWorld } from '../fixtures/image-world.js'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { startRegistry } from '../fixtures/registry.js'
import { needs } from '../peers.js'

const rounds = 20
const worker = fileURLToPath(new URL('../fixtures/publish-worker.js', import.meta.url))

t.test('killed at any moment', needs('docker-registry'), async (t) => {
  const registry = await startRegistry(t)
  const random = randomSource(7)
  const world = await imageWorld(t)
  const ids: string[] = []
  for (const name of ['one', 'two']) {
    const layers = [
      await makeTar([{ name: 'large', content: random.bytes(6_000_000) }]),
      await makeTar([{ name: 'small', content: random.bytes(100_000) }]),
    ]
    const layout = await makeLayout(await temporaryDirectory(t), [{ layers }])
    ids.push((await world.images.load(layout.directory, { ref: name })).id)
  }
  const destination = join(await temporaryDirectory(t), 'out')
  await mkdir(destination)
  const name = `${registry.host}/app:1`
  let pulled = 0
  for (let round = 0; round < rounds; round += 1) {
    const child = spawn(process.execPath, [worker, world.directory, destination, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    await once(child.stdout, 'data')
    // Every other time in the first steps, and in between in what comes later.
    if (round % 2 === 1) await once(child.stdout, 'data')
    await sleep(random.below(400))
    child.kill('SIGKILL')
    await closed

    // What is there under its name is whole.
    for (const file of await readdir(destination)) {
      // The one moment that a second file stands there is within a replacement: link(2), then rename(2).
      t.match(file, /^(one|two)\.(tar|docker)$|^\.podling-/)
      const other = await imageWorld(t)
      const image = await other.images.load(join(destination, file))
      t.ok(ids.includes(image.id), `${file} of round ${String(round)}`)
    }
    try {
      const other = await imageWorld(t)
      t.ok(ids.includes((await other.images.pull(name)).id), `the pushed one of round ${String(round)}`)
      pulled += 1
    } catch (error) {
      t.ok(error instanceof PodlingError && error.code === 'IMAGE_NOT_FOUND' && pulled === 0, String(error))
    }
    const images = await world.reopen()
    t.same((await images.list()).map(({ id }) => id).sort(), [...ids].sort())
    t.same([...world.database.table('image-journal').entries()], [], 'nothing is under way')
  }
  t.ok(pulled > 0, `${String(pulled)} pushes came to something`)
})
