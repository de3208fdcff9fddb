/** A root that was damaged in each way there is: found, and put right where that can be. */
import { appendFile, chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Runtime, type CheckReport } from 'podling'
import t from 'tap'
import { Database } from '../../lib/storage/database.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeLayout, makeTar, type MadeLayout } from '../fixtures/images.js'
import { busyboxRootfs } from '../fixtures/runtime.js'
import { buffer } from 'node:stream/consumers'
import { needs } from '../peers.js'

interface World {
  readonly root: string
  readonly layout: MadeLayout
  readonly blob: (digest: string) => string
  readonly layer: (chainId: string) => string
  /** Something in the database. */
  readonly change: (work: (database: Database) => Promise<unknown>) => Promise<void>
}

const kinds = ({ problems }: CheckReport): string[] =>
  problems.map(({ kind, repaired }) => `${kind}${repaired ? ' repaired' : ''}`).sort()

for (const storageDriver of ['overlay', 'erofs'] as const) {
  t.test(storageDriver, needs('root', 'busybox'), async (t) => {
    const root = await temporaryDirectory(t, 'podling-check-')
    const layers = [
      await buffer(await busyboxRootfs()),
      await makeTar([
        { name: 'etc/motd', content: 'hello' },
        { name: 'deep/er/file', content: 'x'.repeat(9000) },
      ]),
    ]
    const layout = await makeLayout(join(root, 'layout'), [{ layers }])
    const [made] = layout.images
    const world: World = {
      root,
      layout,
      blob: (digest) => join(root, 'content/sha256', digest.slice(7)),
      layer: (chainId) => join(root, 'layers', chainId.slice(7)),
      change: async (work) => {
        const database = await Database.open(join(root, 'database'))
        await work(database)
        await database.close()
      },
    }
    const { blob, layer, change } = world
    let chainId = ''
    const withRuntime = async <T>(work: (runtime: Runtime) => Promise<T>): Promise<T> => {
      await using runtime = await Runtime.open({ root, storageDriver })
      return await work(runtime)
    }
    const check = (repair = false): Promise<CheckReport> => withRuntime((runtime) => runtime.check({ repair }))
    const load = (): Promise<unknown> =>
      withRuntime(async (runtime) => {
        chainId = (await runtime.images.load(layout.directory, { ref: 'app:1' })).chainId!
      })
    const runs = (): Promise<void> =>
      withRuntime(async (runtime) => {
        await using container = await runtime.run({ image: 'app:1', command: ['cat', '/etc/motd'], network: 'none' })
        t.match(await container.wait(), { exitCode: 0 })
        const lines: string[] = []
        for await (const { text } of container.logs()) lines.push(text)
        t.same(lines, ['hello'])
      })
    await load()

    await t.test('sound', async (t) => {
      const report = await check()
      t.same(report.problems, [])
      t.match(report.checked, { blobs: 4, layers: 2, images: 1 })
      t.ok(report.checked.bytes > 100_000)
      t.same((await check(true)).problems, [])
      await withRuntime(async (runtime) => {
        await t.rejects(runtime.check({ repairs: true } as object), {
          code: 'INVALID_OPTION',
          message: /did you mean repair/,
        })
        await t.rejects(runtime.check({ signal: AbortSignal.abort() }), { code: 'ABORTED' })
      })
    })

    await t.test('blobs', async (t) => {
      const good = await readFile(blob(made!.layers[1]!))
      const bad = Buffer.from(good)
      bad[30]! ^= 1
      await writeFile(blob(made!.layers[1]!), bad)
      await writeFile(blob(`sha256:${'0'.repeat(64)}`), 'nobody needs it')
      t.same(kinds(await check()), ['blob-altered', 'blob-orphaned'])
      t.same(kinds(await check()), ['blob-altered', 'blob-orphaned'], 'nothing is touched unless asked for')
      t.same(kinds(await check(true)), ['blob-altered repaired', 'blob-orphaned repaired'])
      const after = await check(true)
      t.same(kinds(after), ['blob-missing'])
      t.match(after.problems[0], { subject: made!.layers[1], detail: /load docker\.io\/library\/app:1 again/ })
      await runs()
      await load()
      t.same((await check()).problems, [], 'loaded again')
    })

    await t.test('layers', async (t) => {
      const target = join(layer(chainId), ...(storageDriver === 'overlay' ? ['diff/etc/motd'] : ['layer.tar']))
      await appendFile(target, 'x')
      t.same(kinds(await check()), ['layer-altered'])
      t.same(kinds(await check(true)), ['layer-altered repaired'])
      t.same((await check()).problems, [])
      await runs()
      await chmod(target, 0o777)
      const mode = kinds(await check(true))
      if (storageDriver === 'overlay') t.same(mode, ['layer-altered repaired'], 'a mode counts, too')
      await rm(layer(chainId), { recursive: true })
      t.same(kinds(await check()), ['layer-missing'])
      t.same(kinds(await check(true)), ['layer-missing repaired'])
      t.same((await check()).problems, [])
      await runs()
      t.same(await readdir(join(root, 'layers/tmp')), [])
    })

    await t.test('a layer that a container stands on', async (t) => {
      const target = join(layer(chainId), ...(storageDriver === 'overlay' ? ['diff/etc/motd'] : ['layer.tar']))
      await withRuntime(async (runtime) => {
        await using container = await runtime.containers.create({ image: 'app:1', command: ['true'], network: 'none' })
        await appendFile(target, 'x')
        const { problems } = await runtime.check({ repair: true })
        t.match(problems, [{ kind: 'layer-altered', repaired: false, detail: new RegExp(container.id.slice(0, 12)) }])
      })
      t.same(kinds(await check(true)), ['layer-altered repaired'])
    })

    await t.test('what leads nowhere', async (t) => {
      const nothing = `sha256:${'f'.repeat(64)}`
      await change(async (database) => {
        await database.table('image-names').put('docker.io/library/ghost:1', nothing)
        await database.table('container-names').put('ghost', 'f'.repeat(64))
        await database.table('layer-references').put(`${chainId} image:nobody`, true)
        await database.table('layer-references').put(`${nothing} layer:sha256:${'e'.repeat(64)}`, true)
        await database.table('layers').put(nothing, { diffId: nothing, size: 1, entries: 1, created: 0 })
      })
      t.same(kinds(await check()), ['layer-missing', 'name-orphaned', 'name-orphaned', 'reference-orphaned', 'reference-orphaned']) // prettier-ignore
      await check(true)
      t.same((await check()).problems, [])
      t.same((await readdir(join(root, 'layers'))).length, 3)
      await runs()
    })

    await t.test('an image without its layers', async (t) => {
      await change((database) => database.table('layers').remove(chainId))
      const found = kinds(await check())
      t.ok(found.includes('image-broken'), found.join())
      await check(true)
      t.same((await check()).problems, [])
      await withRuntime(async (runtime) => {
        t.same(await runtime.images.list(), [])
      })
      await load()
      await runs()
    })
  })
}
