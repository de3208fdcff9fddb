/** kill -9 in the midst of work on images: an image is whole or not there, and nothing else is left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { chainIds } from '../../lib/image/digest.js'
import { ContentStore } from '../../lib/storage/content.js'
import { Database } from '../../lib/storage/database.js'
import type { ImageRecord } from '../../lib/storage/image.js'
import { Images } from '../../lib/storage/images.js'
import { Layers } from '../../lib/storage/layers.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { openUnpacker } from '../fixtures/unpacker.js'
import { needs } from '../peers.js'

const rounds = 40
const worker = fileURLToPath(new URL('../fixtures/image-worker.js', import.meta.url))

t.test('killed at any moment', needs('root'), async (t) => {
  const directory = await temporaryDirectory(t, 'podling-crash-')
  const random = randomSource(99)
  const layer = (seed: number): Promise<Buffer> =>
    makeTar([{ name: 'file', content: randomSource(seed).bytes(50_000) }])
  const shared = await layer(1)
  const first = await makeLayout(join(directory, 'first'), [{ layers: [shared, await layer(2)] }])
  const second = await makeLayout(join(directory, 'second'), [{ layers: [shared, await layer(3), await layer(4)] }])
  const third = join(directory, 'third.tar')
  await writeFile(third, await layer(5))
  const state = join(directory, 'state')
  let found = 0
  for (let round = 0; round < rounds; round += 1) {
    const child = spawn(process.execPath, [worker, state, first.directory, second.directory, third], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    await once(child.stdout, 'data')
    await sleep(random.below(250))
    child.kill('SIGKILL')
    await closed

    const database = await Database.open(join(state, 'db'))
    const content = await ContentStore.open(join(state, 'blobs'))
    const layers = await Layers.open(join(state, 'layers'), database, openUnpacker)
    const images = await Images.open({ directory: state, database, content, layers, authFiles: [] })
    const chains = new Set<string>()
    const needed = new Set<string>()
    for (const image of await images.list()) {
      found += 1
      for (const name of image.names)
        t.equal((await images.get(name)).id, image.id, `${name} of round ${String(round)}`)
      for (const directory of layers.lower(image.chainId!)) t.same(await readdir(directory), ['file'])
      for (const chainId of chainIds(image.layers.map(({ diffId }) => diffId))) chains.add(chainId)
      for (const digest of database.table<ImageRecord>('images').get(image.id)!.blobs) {
        needed.add(digest)
        await content.read(digest)
      }
    }
    const blobs = (await readdir(join(state, 'blobs/sha256'))).map((hex) => `sha256:${hex}`)
    t.same(blobs.sort(), [...needed].sort(), `round ${String(round)}: blobs are those of images`)
    t.same(layers.list().sort(), [...chains].sort(), 'layers are those of images')
    const directories = (await readdir(join(state, 'layers'))).filter((name) => name !== 'tmp')
    t.same(directories.map((hex) => `sha256:${hex}`).sort(), [...chains].sort(), 'on disk too')
    t.same(await readdir(join(state, 'layers/tmp')), [])
    t.same([...database.table('image-journal').entries()], [], 'nothing is under way')
    const names = [...database.table<string>('image-names').entries()]
    for (const [name, id] of names)
      t.ok((await images.get(id)).names.includes(name), `${name} leads to an image that has it`)
    await layers.close()
    await database.close()
  }
  t.ok(found > rounds / 4, `${String(found)} images were found whole`)
})
