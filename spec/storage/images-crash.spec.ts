/** kill -9 in the midst of work on images, at each step and at any moment: an image is whole or not there, and nothing else is left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
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

const worker = fileURLToPath(new URL('../fixtures/image-worker.js', import.meta.url))

interface Sources {
  readonly state: string
  readonly args: readonly string[]
}

async function makeSources(t: Test): Promise<Sources> {
  const directory = await temporaryDirectory(t, 'podling-crash-')
  const layer = (seed: number): Promise<Buffer> =>
    makeTar([{ name: 'file', content: randomSource(seed).bytes(50_000) }])
  const shared = await layer(1)
  const first = await makeLayout(join(directory, 'first'), [{ layers: [shared, await layer(2)] }])
  const second = await makeLayout(join(directory, 'second'), [{ layers: [shared, await layer(3), await layer(4)] }])
  const third = join(directory, 'third.tar')
  await writeFile(third, await layer(5))
  const state = join(directory, 'state')
  return { state, args: [worker, state, first.directory, second.directory, third] }
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  return { child, closed: once(child, 'close'), steps: createInterface({ input: child.stdout }) }
}

/** Open what a killed worker left, as the next host does, and look whether all is as it should be. */
async function findWhole(t: Test, state: string, what: string): Promise<readonly string[]> {
  const database = await Database.open(join(state, 'db'))
  const content = await ContentStore.open(join(state, 'blobs'))
  const layers = await Layers.open(join(state, 'layers'), database, openUnpacker)
  const images = await Images.open({ directory: state, database, content, layers, authFiles: [] })
  const chains = new Set<string>()
  const needed = new Set<string>()
  const found: string[] = []
  for (const image of await images.list()) {
    found.push(...image.names)
    for (const name of image.names) t.equal((await images.get(name)).id, image.id, `${name} after ${what}`)
    for (const directory of layers.lower(image.chainId!)) t.same(await readdir(directory), ['file'])
    for (const chainId of chainIds(image.layers.map(({ diffId }) => diffId))) chains.add(chainId)
    for (const digest of database.table<ImageRecord>('images').get(image.id)!.blobs) {
      needed.add(digest)
      await content.read(digest)
    }
  }
  const blobs = (await readdir(join(state, 'blobs/sha256'))).map((hex) => `sha256:${hex}`)
  t.same(blobs.sort(), [...needed].sort(), `${what}: blobs are those of images`)
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
  return found
}

/** The steps of one round of work, and how often each comes. */
async function stepsOfARound(args: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { child, closed, steps } = start(args)
  const counts = new Map<string, number>()
  for await (const step of steps) {
    counts.set(step, (counts.get(step) ?? 0) + 1)
    if (step === 'round') break
  }
  child.kill('SIGKILL')
  await closed
  return counts
}

t.test('killed at each step, the first time or the last', needs('root'), async (t) => {
  const { state, args } = await makeSources(t)
  const counts = await stepsOfARound(args)
  t.ok(counts.size > 20, `${String(counts.size)} steps`)
  await findWhole(t, state, 'a whole round')
  for (const [index, [step, count]] of [...counts].entries()) {
    const time = index % 2 === 0 ? count : 1
    const { closed } = start([...args, step, String(time)])
    t.same(await closed, [null, 'SIGKILL'])
    const found = await findWhole(t, state, `${step}, time ${String(time)}`)
    if (step === 'all are there')
      t.same(found.map(shortName).sort(), ['also', 'first', 'second', 'third'], 'what was done is not lost')
  }
})

t.test('killed at any moment', needs('root'), async (t) => {
  const { state, args } = await makeSources(t)
  const random = randomSource(99)
  for (let round = 0; round < 10; round += 1) {
    const { child, closed, steps } = start(args)
    await once(steps, 'line')
    await sleep(random.below(250))
    child.kill('SIGKILL')
    await closed
    await findWhole(t, state, `round ${String(round)}`)
  }
})

/** `first` of `localhost/first:1`. */
function shortName(name: string): string {
  return /([a-z]+)(?::\w+)?$/.exec(name)?.[1] ?? name
}
