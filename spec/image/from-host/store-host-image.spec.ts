import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostImage, type HostImage } from '../../../lib/image/from-host/host-image.js'
import { storeHostImage, type KnownLayer } from '../../../lib/image/from-host/store-host-image.js'
import type { ImageParts } from '../../../lib/image/image-parts.js'
import { testBlobStore, type TestBlobStore } from '../../fixtures/blob-store.js'

class Place {
  readonly known = new Map<string, KnownLayer>()
  packed = 0

  private constructor(readonly store: TestBlobStore) {}

  static async make(t: Test): Promise<Place> {
    return new Place(await testBlobStore(t))
  }

  add(image: HostImage, signal?: AbortSignal): Promise<ImageParts> {
    const { known, store } = this
    const counted = {
      ...image,
      layers: image.layers.map((layer) => ({
        ...layer,
        tar: () => {
          this.packed++
          return layer.tar()
        },
      })),
    }
    const table = {
      get: (key: string) => known.get(key),
      put: async (key: string, layer: KnownLayer) => void known.set(key, layer),
    }
    return storeHostImage(counted, { store, known: table, signal })
  }
}

const search = { path: ['/usr/bin', '/bin'], execPath: process.execPath }

t.test('an image becomes blobs, once', async (t) => {
  const place = await Place.make(t)
  const options = {
    binaries: ['sh'],
    files: [{ to: '/etc/motd', content: 'hello' }],
    config: { cmd: ['sh'], user: 'nobody' },
  }
  const first = await place.add(await hostImage(options, search))
  t.equal(place.packed, 2)
  t.equal(first.document.diffIds.length, 2)
  t.match(first.document.config, { cmd: ['sh'], user: 'nobody', env: [/^PATH=/] })
  t.match(first.document.history, [{ comment: 'programs of the host: sh' }, { comment: 'files of the host' }])
  for (const digest of first.document.diffIds) t.ok(await place.store.has(digest))

  const second = await place.add(await hostImage(options, search))
  t.equal(second.digest, first.digest)
  t.equal(place.packed, 2, 'nothing is packed again')

  const other = await place.add(await hostImage({ ...options, files: [] }, search))
  t.equal(place.packed, 2)
  t.strictSame(other.document.diffIds, first.document.diffIds.slice(0, 1), 'the programs are shared')

  await rm(place.store.path(first.document.diffIds[0]!))
  const again = await place.add(await hostImage(options, search))
  t.equal(again.digest, first.digest)
  t.equal(place.packed, 3, 'a blob that went missing is made anew')
})

t.test('what fails on the way leaves nothing', async (t) => {
  const place = await Place.make(t)
  const file = join(t.testdir(), 'file')
  await writeFile(file, 'before')
  const image = await hostImage({ files: [{ from: file, to: '/file' }] }, search)
  await writeFile(file, 'after')
  await t.rejects(place.add({ ...image, layers: image.layers.slice(1) }), { code: 'HOST_FILE_CHANGED' })
  t.strictSame([...(await place.store.list()), ...(await place.store.strays())], [])
  await t.rejects(place.add(image, AbortSignal.abort()), { code: 'ABORTED' })
  const controller = new AbortController()
  const large = await hostImage({ binaries: ['node'] }, search)
  const storing = place.add(large, controller.signal)
  setImmediate(() => {
    controller.abort()
  })
  await t.rejects(storing, { code: 'ABORTED' })
  t.strictSame([...(await place.store.list()), ...(await place.store.strays())], [])
})
