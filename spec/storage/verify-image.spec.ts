/** An image that was changed on disk since it came: found before anything runs on it, and mended by the next that brings it. */
import { execFileSync } from 'node:child_process'
import { readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Runtime } from 'podling'
import t from 'tap'
import { Database } from '../../lib/storage/database.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { busyboxRootfs } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** One bit of it, by another program than ours: the size stays. */
async function flip(path: string, at = 30): Promise<void> {
  const bytes = await readFile(path)
  bytes[at]! ^= 1
  await writeFile(path, bytes)
}

const options = { image: 'app:1', command: ['true'], network: 'none' } as const

for (const storageDriver of ['overlay', 'erofs'] as const) {
  t.test(storageDriver, needs('root', 'busybox'), async (t) => {
    const root = await temporaryDirectory(t, 'podling-verify-')
    const layout = await makeLayout(join(root, 'layout'), [
      { layers: [await buffer(await busyboxRootfs()), await makeTar([{ name: 'etc/motd', content: 'hello' }])] },
    ])
    const [made] = layout.images
    const blob = (digest: string): string => join(root, 'content/sha256', digest.slice(7))
    const database = await Database.open(join(root, 'database'))
    t.teardown(() => database.close())
    const stamp = (digest: string): string | undefined => database.table<string>('blob-stamps').get(digest)
    const runtime = await Runtime.open({ root, storageDriver })
    t.teardown(() => runtime.close())
    const load = async (): Promise<string> =>
      (await runtime.images.load(layout.directory, { ref: 'app:1' })).chainId ?? ''
    const runs = async (): Promise<void> => {
      await using container = await runtime.run(options)
      t.match(await container.wait(), { exitCode: 0 })
    }
    const chainId = await load()
    const ids = { manifest: layout.digest, config: made!.config, layer: made!.layers[0]! }
    t.ok(Object.values(ids).every(stamp), 'known from the moment that they came')
    await runs()

    for (const [kind, digest] of Object.entries(ids)) {
      await t.test(`the ${kind} changes`, async (t) => {
        const old = await runtime.containers.create(options)
        await flip(blob(digest))
        const found = {
          code: 'DIGEST_MISMATCH',
          message: new RegExp(`docker.io/library/app:1.*${digest}.*check\\(\\{ repair: true \\}\\)`),
        }
        await t.rejects(runtime.run(options), found)
        await t.rejects(runtime.containers.create(options), found)
        await t.rejects(old.start(), found)
        await t.rejects(runtime.images.mount('app:1'), found)
        await t.rejects(old.start(), found, 'still')
        await load()
        await old.start()
        await old.remove({ force: true })
        t.equal((await runtime.containers.list()).length, 0, 'nothing is left of those that could not be')
        t.same((await runtime.check()).problems, [], 'loading it again mends it')
      })
    }

    await t.test('it is mounted in another', async (t) => {
      const tar = join(root, 'tiny.tar')
      await writeFile(tar, await makeTar([{ name: 'file', content: 'x' }]))
      const tiny = await runtime.images.import(tar, { ref: 'tiny' })
      const mounts = [{ type: 'image', source: 'tiny', target: '/mnt' }] as const
      const old = await runtime.containers.create({ ...options, mounts })
      await flip(blob(tiny.layers[0]!.digest))
      await t.rejects(runtime.containers.create({ ...options, mounts }), { code: 'DIGEST_MISMATCH', message: /tiny/ })
      await t.rejects(old.start(), { code: 'DIGEST_MISMATCH' })
      await old.remove()
      await runtime.images.remove('tiny')
      t.equal(stamp(tiny.layers[0]!.digest), undefined, 'what is gone is forgotten')
    })

    await t.test('only the looks change', async () => {
      const before = stamp(ids.layer)
      await utimes(blob(ids.layer), 1, 1)
      await runs()
      t.not(stamp(ids.layer), before, 'it was read once, and is not again')
      await rm(blob(ids.layer))
      await runs()
      t.match((await runtime.check()).problems, [{ kind: 'blob-missing' }])
      await load()
    })

    await t.test('a check repairs', async (t) => {
      await flip(blob(ids.layer))
      await t.rejects(runtime.run(options), { code: 'DIGEST_MISMATCH' })
      await runtime.check({ repair: true })
      await runs()
      await load()
      t.same((await runtime.check()).problems, [])
    })

    await t.test('a root that was copied', async (t) => {
      const copy = await temporaryDirectory(t, 'podling-copied-')
      await database.close()
      for (const name of ['content', 'database', 'images', 'layers']) execFileSync('cp', ['-a', join(root, name), copy])
      await using other = await Runtime.open({ root: copy, storageDriver })
      await using container = await other.run(options)
      t.match(await container.wait(), { exitCode: 0 })
    })

    if (storageDriver !== 'erofs') return
    for (const file of ['layer.tar', 'layer.erofs']) {
      await t.test(`${file} of a layer changes`, async (t) => {
        const path = join(root, 'layers', chainId.slice(7), file)
        await utimes(path, 1, 1)
        await runs()
        await flip(path, 1100)
        await t.rejects(runtime.run(options), {
          code: 'DIGEST_MISMATCH',
          message: new RegExp(`${file} of its layer ${chainId}`),
        })
        t.match((await runtime.check({ repair: true })).problems, [{ kind: 'layer-altered', repaired: true }])
        await runs()
        t.same((await runtime.check()).problems, [])
      })
    }
  })
}
