/** What a registry may send that is not as it should be: refused with words that help, and nothing of it stays. */
import { readFile, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { ErrorCode } from '../../lib/errors.js'
import { gzipSync } from 'node:zlib'
import { rejectsWith } from '../fixtures/errors.js'
import { imageWorld, type ImageWorld } from '../fixtures/image-world.js'
import { digestOf, makeTar } from '../fixtures/images.js'
import { startServer } from '../fixtures/servers.js'

const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
}
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

interface Parts {
  /** By what follows `/v2/app/`: `blobs/<digest>`, `manifests/<tag or digest>`. */
  readonly served: Map<
    string,
    { readonly bytes: Buffer; readonly type?: string; readonly length?: number; readonly status?: number }
  >
  readonly layer: Buffer
  /** Serve an image with these changes, under the tag `1`. */
  readonly image: (change?: {
    manifest?: object
    config?: Buffer
    layer?: Buffer
    type?: string
    describe?: object
  }) => Buffer
}

async function makeParts(): Promise<Parts> {
  const served: Parts['served'] = new Map()
  const tar = await makeTar([{ name: 'file', content: 'x'.repeat(5000) }])
  const layer = gzipSync(tar)
  const put = (bytes: Buffer): { digest: string; size: number } => {
    served.set(`blobs/${digestOf(bytes)}`, { bytes })
    return { digest: digestOf(bytes), size: bytes.length }
  }
  return {
    served,
    layer,
    image(change = {}) {
      const sent = change.layer ?? layer
      const config =
        change.config ?? json({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } })
      const bytes = json({
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { mediaType: types.config, ...put(config) },
        layers: [{ mediaType: types.layer, ...put(sent), ...change.describe }],
        ...change.manifest,
      })
      served.set('manifests/1', { bytes, type: change.type ?? types.manifest })
      served.set(`manifests/${digestOf(bytes)}`, { bytes, type: types.manifest })
      return bytes
    },
  }
}

async function registry(t: Test, { served }: Parts): Promise<string> {
  const { host } = await startServer(t, (request, response) => {
    const found = served.get((request.url ?? '').replace('/v2/app/', ''))
    if (found === undefined) {
      response.writeHead(404).end()
      return
    }
    const { bytes, type = 'application/octet-stream', length = bytes.length, status = 200 } = found
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': length })
    // One that promises more cuts the connection, or the client would wait for it.
    if (length > bytes.length) response.write(bytes, () => response.destroy())
    else response.end(bytes.subarray(0, length))
  })
  return `${host}/app:1`
}

t.test('each is refused, and leaves nothing', async (t) => {
  const entry = (bytes: Buffer, more: object = {}): object => {
    return { mediaType: types.manifest, digest: digestOf(bytes), size: bytes.length, platform: { os: 'linux', architecture }, ...more } // prettier-ignore
  }
  const index = (parts: Parts, ...manifests: object[]): void => {
    parts.served.set('manifests/1', {
      bytes: json({ schemaVersion: 2, mediaType: types.index, manifests }),
      type: types.index,
    })
  }
  const cases: Record<string, [(parts: Parts) => unknown, ErrorCode, RegExp]> = {
    'a manifest of another size than its index says': [(p) => { index(p, entry(p.image(), { size: 7 })) }, 'SIZE_MISMATCH', /index says 7 bytes/],
    'a manifest of other bytes than its index says': [(p) => { p.served.set(`manifests/${digestOf(Buffer.from('x'))}`, { bytes: p.image() }); index(p, entry(Buffer.from('x'))) }, 'DIGEST_MISMATCH', /expected sha256/],
    'an index without this platform': [(p) => { index(p, entry(p.image(), { platform: { os: 'linux', architecture: 's390x' } })) }, 'PLATFORM_NOT_FOUND', /it has linux\/s390x/],
    'an empty index': [(p) => { index(p) }, 'PLATFORM_NOT_FOUND', /it has none at all/],
    'a media type that is no image': [(p) => p.image({ manifest: { mediaType: 'application/vnd.example+json' } }), 'MEDIA_TYPE_UNSUPPORTED', /not an image manifest/],
    'a layer of no known type': [(p) => p.image({ describe: { mediaType: 'application/x-rar' } }), 'MEDIA_TYPE_UNSUPPORTED', /application\/x-rar/],
    'a config of no known type': [(p) => p.image({ manifest: { config: { mediaType: 'application/vnd.in-toto+json', digest: digestOf(Buffer.from('')), size: 0 } } }), 'MEDIA_TYPE_UNSUPPORTED', /artifact/],
    'schema 1': [(p) => p.served.set('manifests/1', { bytes: json({ schemaVersion: 1, name: 'app', tag: '1', fsLayers: [] }), type: 'application/vnd.docker.distribution.manifest.v1+prettyjws' }), 'MEDIA_TYPE_UNSUPPORTED', /schema 1 manifest.*push the image again/],
    'a manifest that is not JSON': [(p) => p.served.set('manifests/1', { bytes: Buffer.from('<html>'), type: types.manifest }), 'IMAGE_INVALID', /is not JSON/],
    'a config that is not JSON': [(p) => p.image({ config: Buffer.from('{"os":') }), 'IMAGE_INVALID', /config of .*is not JSON/],
    'a config with fewer layers': [(p) => p.image({ config: json({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [] } }) }), 'IMAGE_INVALID', /manifest has 1 layers/],
    'a config for another platform': [(p) => p.image({ config: json({ os: 'linux', architecture: 's390x', rootfs: { type: 'layers', diff_ids: [digestOf(Buffer.from(''))] } }) }), 'PLATFORM_NOT_FOUND', /pass platform: 'linux\/s390x'/],
    'a layer of another size than the manifest says': [(p) => p.image({ describe: { size: 9 } }), 'SIZE_MISMATCH', /says 9 bytes/],
    'a layer that was cut off before it was packed': [(p) => p.image({ layer: gzipSync(Buffer.alloc(700, 'x')) }), 'DIGEST_MISMATCH', /./],
    'a layer whose packing was cut off': [(p) => p.image({ layer: p.layer.subarray(0, p.layer.length - 12) }), 'LAYER_INVALID', /not sound gzip/],
    'a layer that ends early on the way': [(p) => { p.image(); p.served.set(`blobs/${digestOf(p.layer)}`, { bytes: p.layer.subarray(0, 20) }) }, 'SIZE_MISMATCH', /but it has 20/],
    'a layer shorter than its Content-Length': [(p) => { p.image(); p.served.set(`blobs/${digestOf(p.layer)}`, { bytes: p.layer.subarray(0, 20), length: p.layer.length }) }, 'REGISTRY_UNREACHABLE', /cut the connection|aborted|hang up/],
    'a layer that is longer': [(p) => { p.image(); p.served.set(`blobs/${digestOf(p.layer)}`, { bytes: Buffer.concat([p.layer, p.layer]) }) }, 'SIZE_MISMATCH', /more came/],
    'a layer that is not there': [(p) => { p.image(); p.served.delete(`blobs/${digestOf(p.layer)}`) }, 'IMAGE_NOT_FOUND', /does not have it/],
    'nothing but 500': [(p) => p.served.set('manifests/1', { bytes: Buffer.from('sorry'), status: 500 }), 'REGISTRY_FAILED', /answered 500 \(sorry\)/],
  } // prettier-ignore
  for (const [name, [prepare, code, message]] of Object.entries(cases)) {
    t.test(name, async (t) => {
      const parts = await makeParts()
      prepare(parts)
      const world = await imageWorld(t)
      const ref = await registry(t, parts)
      await rejectsWith(t, () => world.images.pull(ref), code, message)
      await nothingLeft(t, world)
      // The same registry, once it is good.
      parts.served.clear()
      parts.image()
      t.same((await world.images.pull(ref)).names, [ref])
    })
  }
})

async function nothingLeft(t: Test, { images, blobs, layers, database }: ImageWorld): Promise<void> {
  t.same(await images.list(), [])
  t.same(await blobs(), [])
  t.equal(layers.holders.size, 0)
  t.same([...database.table('image-journal').entries()], [])
}

t.test('a blob that changed on disk after the pull is found before it is unpacked', async (t) => {
  const parts = await makeParts()
  const own = parts.image()
  const tar = await makeTar([{ name: 'other', content: 'y'.repeat(5000) }])
  const layer = gzipSync(tar)
  const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] }
  const theirs = parts.image({ layer, config: json({ os: 'linux', architecture: 's390x', rootfs }) })
  const manifests = [own, theirs].map((bytes, position) => ({
    mediaType: types.manifest,
    digest: digestOf(bytes),
    size: bytes.length,
    platform: { os: 'linux', architecture: position === 0 ? architecture : 's390x' },
  }))
  parts.served.set('manifests/1', { bytes: json({ schemaVersion: 2, mediaType: types.index, manifests }) })
  const { images, content } = await imageWorld(t)
  const ref = await registry(t, parts)
  // All blobs are here; those of the other platform are not unpacked yet.
  await images.pull(ref, { allPlatforms: true })
  const path = content.path(digestOf(layer))
  const bad = await readFile(path)
  bad[bad.length - 5]! ^= 1
  await writeFile(path, bad)
  const pull = (): Promise<unknown> => images.pull(ref, { platform: 'linux/s390x' })
  await rejectsWith(t, pull, 'DIGEST_MISMATCH', /was damaged on disk, and is removed now; pull or load the image again/)
  t.equal((await images.list()).length, 1)
  t.ok(await pull(), 'the next try gets it anew')
})
