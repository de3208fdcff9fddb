/** kill -9 of the host at each step of prune and of a check that repairs: the next open finds a root that fits together. */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buffer } from 'node:stream/consumers'
import { Runtime, type Container } from 'podling'
import t, { type Test } from 'tap'
import { Database } from '../../lib/storage/database.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { busyboxRootfs } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const killer = fileURLToPath(new URL('../fixtures/step-killer.js', import.meta.url))

/** A root with two of each: one that stays, one that goes. Put in place anew for each round. */
class World {
  readonly root: string
  readonly #saved: string
  readonly #layouts: Record<'stays' | 'goes', string>

  private constructor(directory: string) {
    this.root = join(directory, 'root')
    this.#saved = join(directory, 'saved')
    this.#layouts = { stays: join(directory, 'stays'), goes: join(directory, 'goes') }
  }

  static async make(t: Test, withContainers: boolean, damage?: (world: World) => Promise<void>): Promise<World> {
    const world = new World(await temporaryDirectory(t, 'podling-killed-'))
    const base = await buffer(await busyboxRootfs())
    await makeLayout(world.#layouts.stays, [{ layers: [base] }])
    const layers = [base, await makeTar([{ name: 'more', content: 'x'.repeat(9000) }])]
    await makeLayout(world.#layouts.goes, [{ layers, config: { Labels: { goes: '' } } }])
    await using runtime = await Runtime.open({
      root: world.root,
      ...(withContainers ? {} : { storageDriver: 'erofs' }),
    })
    for (const name of ['stays', 'goes'] as const) {
      const labels = name === 'goes' ? { goes: '' } : {}
      await world.load(runtime, name)
      await runtime.volumes.create({ name, labels })
      const container = await runtime.run({
        image: name, name, labels, network: 'none', detach: true, volumes: [`${name}:/data`, '/anonymous'],
        command: ['sh', '-c', 'echo kept >/data/file; echo kept >/written'],
      }) // prettier-ignore
      await container.wait()
      if (!withContainers) await container.remove({ volumes: true })
    }
    await runtime.close()
    await damage?.(world)
    execFileSync('mv', [world.root, world.#saved])
    return world
  }

  load(runtime: Runtime, name: 'stays' | 'goes') {
    return runtime.images.load(this.#layouts[name], { ref: name })
  }

  /** Do something to a fresh copy of the root. @param step at which it is killed. @default none @returns how many steps there were */
  act(verb: 'prune' | 'check', step = 0): number {
    execFileSync('rm', ['-rf', this.root])
    execFileSync('cp', ['-a', this.#saved, this.root])
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [killer, this.root, verb, String(step)])
    if (step === 0 ? status !== 0 : signal !== 'SIGKILL')
      throw new Error(`${verb} ${String(step)}: ${stderr.toString()}`)
    return Number(stdout.toString())
  }

  names(place: string): Promise<string[]> {
    return readdir(join(this.root, place))
  }
}

/** At most so many: the steps of a root are alike. */
const ROUNDS = 12

/** The first, the last, and some between. */
function chosen(steps: number): number[] {
  const rounds = Math.min(ROUNDS, steps)
  return Array.from({ length: rounds }, (_, index) => 1 + Math.round((index * (steps - 1)) / (rounds - 1)))
}

const runs = async (t: Test, runtime: Runtime, image: string, what: string): Promise<void> => {
  await using container = await runtime.run({ image, command: ['true'], network: 'none' })
  t.match(await container.wait(), { exitCode: 0 }, `${what}: ${image} runs`)
}

const kept = async (t: Test, runtime: Runtime, what: string): Promise<void> => {
  const { path = '' } = await runtime.volumes.get('stays')
  t.equal(await readFile(join(path, 'file'), 'utf8'), 'kept\n', `${what}: a volume that stays`)
  await runs(t, runtime, 'stays', what)
}

t.test('prune', needs('root', 'busybox'), async (t) => {
  const world = await World.make(t, true)
  const steps = world.act('prune')
  t.ok(steps > 20, `${String(steps)} steps`)
  for (const step of chosen(steps)) {
    const what = `step ${String(step)} of ${String(steps)}`
    world.act('prune', step)
    await using runtime = await Runtime.open({ root: world.root })
    t.same((await runtime.check()).problems, [], `${what}: all fits together`)
    await kept(t, runtime, what)
    const goes = (list: readonly { readonly labels: Readonly<Record<string, string>> }[]): number =>
      list.filter(({ labels }) => 'goes' in labels).length
    for (const image of await runtime.images.list()) await runs(t, runtime, image.id, what)
    const stays: Container = await runtime.containers.get('stays')
    t.ok(
      (await stays.diff()).some(({ path }) => path === '/written'),
      `${what}: what a container wrote`,
    )
    await runtime.prune({ images: 'all', volumes: 'all', filters: { label: 'goes' } })
    t.equal(goes(await runtime.containers.list()) + goes(await runtime.volumes.list()), 0)
    t.same((await runtime.images.list()).flatMap(({ names }) => names), ['docker.io/library/stays:latest']) // prettier-ignore
    t.equal((await world.names('content/sha256')).length, 3, `${what}: blobs are those of one image`)
    t.equal((await world.names('layers')).length, 2, 'one layer, and tmp')
    t.same(await world.names('layers/tmp'), [])
    t.equal((await world.names('containers')).length, 1)
    t.same((await runtime.check()).problems, [])
  }
})

t.test('check({ repair: true })', needs('root', 'busybox'), async (t) => {
  const damaged = { blob: '' }
  const world = await World.make(t, false, async ({ root }) => {
    const database = await Database.open(join(root, 'database'))
    const records = database.table<{ readonly parent?: string }>('layers')
    const top = [...records.entries()].find(([, { parent }]) => parent !== undefined)![0]
    const nothing = `sha256:${'f'.repeat(64)}`
    await database.table('image-names').put('docker.io/library/ghost:1', nothing)
    await database.table('layer-references').put(`${top} image:nobody`, true)
    await records.put(nothing, { diffId: nothing, size: 1, entries: 1, created: 0 } as object)
    const images = database.table<{ names: string[]; layers: { digest: string }[] }>('images')
    const [, stays] = [...images.entries()].find(([, { names }]) => names.some((name) => name.includes('stays')))!
    const goes = [...images.entries()].find(([, { names }]) => names.some((name) => name.includes('goes')))!
    damaged.blob = goes[0]
    await database.close()
    t.ok(stays.layers.length)
    // Its config's blob, a layer's file, and a blob that nobody needs.
    await appendFile(join(root, 'content/sha256', damaged.blob.slice(7)), ' ')
    await appendFile(join(root, 'layers', top.slice(7), 'layer.erofs'), 'x')
    await writeFile(join(root, 'content/sha256', '0'.repeat(64)), 'nobody')
  })
  const steps = world.act('check')
  t.ok(steps > 10, `${String(steps)} steps`)
  for (const step of chosen(steps)) {
    const what = `step ${String(step)} of ${String(steps)}`
    world.act('check', step)
    await using runtime = await Runtime.open({ root: world.root })
    t.equal((await runtime.images.list()).length, 2, `${what}: no image is lost`)
    await runtime.check({ repair: true })
    t.match(
      (await runtime.check()).problems,
      [{ kind: 'blob-missing', subject: damaged.blob }],
      `${what}: repaired, but for a blob that must come anew`,
    )
    t.same(await world.names('layers/tmp'), [])
    await kept(t, runtime, what)
    await runs(t, runtime, 'goes', what)
    await world.load(runtime, 'goes')
    t.same((await runtime.check()).problems, [], `${what}: brought again`)
  }
})
