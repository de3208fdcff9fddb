/** Archives and layouts: what skopeo and podman write, what older Docker wrote, and what nobody should. */
import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { loadImages } from '../../lib/image/archive.js'
import type { ImageParts } from '../../lib/image/image-parts.js'
import { parsePlatform } from '../../lib/image/platform.js'
import type { ImageProgress } from '../../lib/image/progress.js'
import { testBlobStore, type TestBlobStore } from '../fixtures/blob-store.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import {
  busyboxLayout,
  digestOf,
  makeLayout,
  makeTar,
  skopeoCopy,
  type MadeLayout,
  type TarFile,
} from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { PodlingError } from '../../lib/errors.js'
import { needs } from '../peers.js'

const run = promisify(execFile)

/** The layers of the parts are in the store and the parts tell of the same image. */
async function same(t: Test, parts: ImageParts, layout: MadeLayout, store: TestBlobStore): Promise<void> {
  t.same(parts.document.diffIds, layout.images[0]!.diffIds)
  t.equal(store.open, 0)
  t.same(await store.strays(), [])
  for (const { digest, size } of [parts.manifest.config, ...parts.manifest.layers])
    t.equal(await store.size(digest), size, digest)
  t.ok(await store.has(parts.digest), 'the manifest too')
}

t.test('what skopeo writes', needs('skopeo', 'busybox'), async (t) => {
  const directory = await temporaryDirectory(t)
  const layout = await busyboxLayout(join(directory, 'layout'))
  const from = `oci:${layout.directory}:latest`
  const oci = join(directory, 'oci.tar')
  const docker = join(directory, 'docker.tar')
  await skopeoCopy(from, `oci-archive:${oci}:example.com/app:1`)
  await skopeoCopy(from, `docker-archive:${docker}:example.com/app:2`)

  await t.test('an oci-archive, from a path and a stream, plain and packed', async (t) => {
    const bytes = await readFile(oci)
    await writeFile(`${oci}.gz`, gzipSync(bytes))
    await run('zstd', ['-q', oci])
    for (const source of [oci, `${oci}.gz`, `${oci}.zst`, createReadStream(oci), Readable.from([bytes])]) {
      const store = await testBlobStore(t)
      const [parts, ...others] = await loadImages(source, { store })
      t.same(others, [])
      await same(t, parts!, layout, store)
      t.equal(parts!.digest, layout.digest)
      t.same(parts!.names, ['example.com/app:1'])
    }
  })

  await t.test('a docker-archive', async (t) => {
    const store = await testBlobStore(t)
    const [parts] = await loadImages(docker, { store })
    await same(t, parts!, layout, store)
    t.equal(parts!.manifest.config.digest, layout.images[0]!.config)
    t.same(parts!.names, ['example.com/app:2'])
    t.same(
      parts!.manifest.layers.map(({ compression }) => compression),
      ['none', 'none'],
    )
  })

  await t.test('a layout directory', async (t) => {
    const store = await testBlobStore(t)
    const events: ImageProgress[] = []
    const [parts] = await loadImages(layout.directory, { store, onProgress: (event) => events.push(event) })
    await same(t, parts!, layout, store)
    t.same(parts!.names, [], 'a bare tag is no name')
    for (const layer of parts!.manifest.layers) {
      t.match(events.filter(({ digest }) => digest === layer.digest).at(-1), { phase: 'done', current: layer.size })
    }
    t.equal((await loadImages(layout.directory, { store })).length, 1, 'once more')
  })
})

t.test('what podman saves', needs('root', 'podman', 'busybox'), async (t) => {
  const directory = await temporaryDirectory(t)
  const layout = await busyboxLayout(join(directory, 'layout'))
  const storage = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs']
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const podman = (...argv: string[]): ReturnType<typeof run> => run('podman', [...storage, ...argv])
  const { stdout } = await podman('pull', '-q', `oci:${layout.directory}:latest`)
  const id = String(stdout).trim()
  await podman('tag', id, 'localhost/one:1', 'localhost/two:2')
  await podman('save', '-q', '-o', join(directory, 'one.tar'), 'localhost/one:1', 'localhost/two:2')
  await podman('save', '-q', '--format', 'oci-archive', '-o', join(directory, 'two.tar'), 'localhost/two:2')
  await podman('save', '-q', '--format', 'oci-dir', '-o', join(directory, 'dir'), 'localhost/one:1')
  for (const [source, names] of [
    ['one.tar', ['localhost/one:1', 'localhost/two:2']],
    ['two.tar', ['localhost/two:2']],
    ['dir', ['localhost/one:1']],
  ] as const) {
    const store = await testBlobStore(t)
    const [parts, ...others] = await loadImages(join(directory, source), { store })
    t.same(others, [])
    await same(t, parts!, layout, store)
    t.same([...parts!.names].sort(), names, source)
  }
})

/** The parts of a docker-archive of one image. */
async function dockerArchive(
  layers: readonly Buffer[],
  change: (files: TarFile[]) => TarFile[] = (files) => files,
): Promise<Buffer> {
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
    }),
  )
  const configName = `${digestOf(config).slice(7)}.json`
  const names = layers.map((_, index) => `layer${String(index)}/layer.tar`)
  const entries = [{ Config: configName, RepoTags: ['app:1'], Layers: names }]
  return makeTar(
    change([
      ...layers.map((content, index) => ({ name: names[index]!, content })),
      { name: configName, content: config },
      { name: 'manifest.json', content: JSON.stringify(entries) },
    ]),
  )
}

const layer = (text: string): Promise<Buffer> => makeTar([{ name: 'file', content: text }])
const load = (t: Test, bytes: Buffer): Promise<ImageParts[]> =>
  testBlobStore(t).then((store) => loadImages(Readable.from([bytes]), { store }))
const without = (files: TarFile[], name: RegExp): TarFile[] => files.filter((file) => !name.test(file.name))

t.test('docker-archives of all ages', async (t) => {
  const [a, b] = [await layer('a'), await layer('b')]
  await t.test('a layer that is a link to another', async (t) => {
    const bytes = await dockerArchive([a, b, a], (files) => [
      ...without(files, /layer2/),
      { name: 'layer2/layer.tar', type: 'symlink', linkName: '../layer0/layer.tar' },
    ])
    const [parts] = await load(t, bytes)
    t.same(
      parts!.manifest.layers.map(({ digest }) => digest),
      [digestOf(a), digestOf(b), digestOf(a)],
    )
    const hard = await dockerArchive([a, a], (files) => [
      ...without(files, /layer1/),
      { name: 'layer1/layer.tar', type: 'link', linkName: 'layer0/layer.tar' },
    ])
    t.equal((await load(t, hard))[0]!.manifest.layers.length, 2)
  })
  await t.test('packed layers', async (t) => {
    const bytes = await dockerArchive([a], ([file, ...files]) => [{ ...file!, content: gzipSync(a) }, ...files])
    const [parts] = await load(t, bytes)
    t.same(
      parts!.manifest.layers.map(({ compression }) => compression),
      ['gzip'],
    )
  })
  await t.test('one that is an OCI layout too', async (t) => {
    const directory = await temporaryDirectory(t)
    const layout = await makeLayout(directory, [{ layers: [a, b] }])
    const [image] = layout.images
    const blob = async (digest: string): Promise<TarFile> => {
      const name = `blobs/sha256/${digest.slice(7)}`
      return { name, content: await readFile(join(directory, name)) }
    }
    const missing = digestOf(Buffer.from('not saved'))
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            digest: missing,
            size: 10,
            platform: { os: 'linux', architecture: 's390x' },
          },
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            digest: image!.manifest,
            size: image!.manifestBytes.length,
            platform: { os: 'linux', architecture: 'amd64' },
          },
        ],
      }),
    )
    const top = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: digestOf(index),
      size: index.length,
      annotations: { 'io.containerd.image.name': 'docker.io/library/app:1', 'org.opencontainers.image.ref.name': '1' },
    }
    const bytes = await makeTar([
      { name: 'blobs', type: 'directory' },
      ...(await Promise.all([image!.manifest, image!.config, ...image!.layers].map(blob))),
      { name: `blobs/sha256/${digestOf(index).slice(7)}`, content: index },
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [top] }) },
      { name: 'manifest.json', content: JSON.stringify([{ Config: `blobs/sha256/${image!.config.slice(7)}`, RepoTags: ['app:1', 'app:also'], Layers: image!.layers.map((digest) => `blobs/sha256/${digest.slice(7)}`) }]) },
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    ]) // prettier-ignore
    const [parts] = await load(t, bytes)
    t.equal(parts!.digest, image!.manifest)
    t.same(parts!.indexes, [digestOf(index)])
    t.same(parts!.names, ['docker.io/library/app:1', 'docker.io/library/app:also'])
  })
  await t.test('several images', async (t) => {
    const one = await dockerArchive([a, b], (files) => {
      const config = Buffer.from(
        JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digestOf(b)] } }),
      )
      const name = `${digestOf(config).slice(7)}.json`
      const entries = JSON.parse(String(files.at(-1)!.content)) as object[]
      entries.push({ Config: name, RepoTags: null, Layers: ['layer1/layer.tar'] })
      return [
        ...files.slice(0, -1),
        { name, content: config },
        { name: 'manifest.json', content: JSON.stringify(entries) },
      ]
    })
    const images = await load(t, one)
    t.same(
      images.map(({ names }) => names),
      [['docker.io/library/app:1'], []],
    )
  })
})

t.test('platforms of a layout', async (t) => {
  const directory = await temporaryDirectory(t)
  const layout = await makeLayout(directory, [
    { layers: [await layer('arm')], architecture: 'arm64', variant: 'v8' },
    { layers: [await layer('s390x')], architecture: 's390x' },
  ])
  const store = await testBlobStore(t)
  const [parts] = await loadImages(directory, { store, platform: parsePlatform('linux/s390x') })
  t.equal(parts!.digest, layout.images[1]!.manifest)
  t.same(parts!.indexes, [layout.digest])
  await rejectsWith(
    t,
    () => loadImages(directory, { store, platform: parsePlatform('linux/riscv64') }),
    'PLATFORM_NOT_FOUND',
    /it has linux\/arm64, linux\/s390x/,
  )
})

t.test('hostile archives', async (t) => {
  const a = await layer('a')
  const cases: [string, Buffer, ConstructorParameters<typeof PodlingError>[0], RegExp][] = [
    ['no tar', Buffer.from('hello '.repeat(1000)), 'ARCHIVE_INVALID', /not a sound tar/],
    ['empty', Buffer.alloc(0), 'ARCHIVE_INVALID', /is empty/],
    ['a root file system', a, 'ARCHIVE_INVALID', /neither an oci-archive .* import\(\)/],
    ['cut off', (await dockerArchive([a])).subarray(0, 700), 'ARCHIVE_INVALID', /cut off within layer0\/layer\.tar/],
    ['packed, and cut off', gzipSync(await dockerArchive([randomSource(9).bytes(100_000)])).subarray(0, 50_000), 'ARCHIVE_INVALID', /gzip data is damaged or cut off/],
    ['dots', await dockerArchive([a], (files) => [{ name: '../../etc/x.tar', content: 'x' }, ...files]), 'ARCHIVE_INVALID', /member "\.\.\/\.\.\/etc\/x\.tar" points out/],
    ['absolute', await dockerArchive([a], (files) => [{ name: '/etc/x.tar', content: 'x' }, ...files]), 'ARCHIVE_INVALID', /points out/],
    ['a link out', await dockerArchive([a], (files) => [...without(files, /layer/), { name: 'layer0/layer.tar', type: 'symlink', linkName: '../../../etc/passwd' }]), 'ARCHIVE_INVALID', /layer "layer0\/layer\.tar" is missing, or links out/],
    ['an absolute link', await dockerArchive([a], (files) => [...without(files, /layer/), { name: 'layer0/layer.tar', type: 'symlink', linkName: '/etc/passwd' }]), 'ARCHIVE_INVALID', /links out/],
    ['links in a ring', await dockerArchive([a], (files) => [...without(files, /layer/), { name: 'layer0/layer.tar', type: 'symlink', linkName: '../b.tar' }, { name: 'b.tar', type: 'symlink', linkName: 'layer0/layer.tar' }]), 'ARCHIVE_INVALID', /is missing/],
    ['no layer', await dockerArchive([a], (files) => without(files, /layer/)), 'ARCHIVE_INVALID', /layer0\/layer\.tar" is missing/],
    ['no config', await dockerArchive([a], (files) => without(files, /[0-9a-f]{64}\.json/)), 'ARCHIVE_INVALID', /config .* is missing/],
    ['another layer', await dockerArchive([a], ([file, ...files]) => [{ ...file!, content: 'other' }, ...files]), 'DIGEST_MISMATCH', /layer0\/layer\.tar has sha256/],
    ['another config', await dockerArchive([a], (files) => files.map((file) => /^[0-9a-f]{64}/.test(file.name) ? { ...file, content: '{}' } : file)), 'DIGEST_MISMATCH', /config .* other bytes/],
    ['more layers than diff_ids', await dockerArchive([a], (files) => files.map((file) => file.name === 'manifest.json' ? { ...file, content: String(file.content).replace('["layer0/layer.tar"]', '["layer0/layer.tar","layer0/layer.tar"]') } : file)), 'IMAGE_INVALID', /2 layers, the config's rootfs\.diff_ids 1/],
    ['a huge manifest', await dockerArchive([a], (files) => [...files.slice(0, -1), { name: 'manifest.json', content: Buffer.alloc(4 * 1024 * 1024 + 1, 32) }]), 'ARCHIVE_INVALID', /manifest\.json has 4194305 bytes/],
    ['two manifests', await dockerArchive([a], (files) => [...files, files.at(-1)!]), 'ARCHIVE_INVALID', /two members manifest\.json/],
    ['no JSON', await makeTar([{ name: 'manifest.json', content: 'x' }]), 'ARCHIVE_INVALID', /manifest\.json: is not JSON/],
    ['odd JSON', await makeTar([{ name: 'manifest.json', content: '[{"Config":1}]' }]), 'ARCHIVE_INVALID', /\[0\]\.Config: must be a string/],
    ['no image', await makeTar([{ name: 'manifest.json', content: '[]' }]), 'ARCHIVE_INVALID', /holds no image/],
    ['a bad name', await makeTar([{ name: 'manifest.json', content: '[{"Config":"c.json","RepoTags":["A B"],"Layers":[]}]' }]), 'ARCHIVE_INVALID', /RepoTags: image reference "A B"/],
    ['no oci-layout', await makeTar([{ name: 'index.json', content: '{"schemaVersion":2,"manifests":[]}' }]), 'ARCHIVE_INVALID', /no oci-layout/],
    ['a wrong blob', await makeTar([{ name: `blobs/sha256/${'0'.repeat(64)}`, content: 'x' }]), 'DIGEST_MISMATCH', /member blobs\/sha256\/0{64}/],
  ] // prettier-ignore
  for (const [name, bytes, code, message] of cases) {
    const store = await testBlobStore(t)
    await rejectsWith(t, () => loadImages(Readable.from([bytes]), { store }), code, message)
    t.equal(store.open, 0, name)
    t.same(await store.strays(), [], name)
  }
})

t.test('layouts that are not whole', async (t) => {
  const make = async (): Promise<MadeLayout> =>
    makeLayout(await temporaryDirectory(t), [{ layers: [await layer('a')] }])
  const path = (layout: MadeLayout, digest: string): string => join(layout.directory, 'blobs/sha256', digest.slice(7))
  const refuses = async (
    layout: MadeLayout,
    code: ConstructorParameters<typeof PodlingError>[0],
    message: RegExp,
  ): Promise<void> => {
    const store = await testBlobStore(t)
    await rejectsWith(t, () => loadImages(layout.directory, { store }), code, message)
    t.equal(store.open, 0)
    t.same(await store.strays(), [])
  }
  let layout = await make()
  await rm(path(layout, layout.images[0]!.layers[0]!))
  await refuses(layout, 'ARCHIVE_INVALID', /the layer sha256:[0-9a-f]{64} is missing/)
  await writeFile(path(layout, layout.images[0]!.layers[0]!), 'x')
  await refuses(layout, 'SIZE_MISMATCH', /the layer .*: blob .* descriptor says/)
  layout = await make()
  await writeFile(path(layout, layout.digest), 'x'.repeat(layout.images[0]!.manifestBytes.length))
  await refuses(layout, 'DIGEST_MISMATCH', /sha256/)
  layout = await make()
  await rm(path(layout, layout.images[0]!.layers[0]!))
  await run('mkfifo', [path(layout, layout.images[0]!.layers[0]!)])
  await refuses(layout, 'ARCHIVE_INVALID', /is not a regular file/)
  layout = await make()
  await rm(join(layout.directory, 'index.json'))
  await symlink('/dev/zero', join(layout.directory, 'index.json'))
  await refuses(layout, 'ARCHIVE_INVALID', /index\.json is not a regular file/)
  await rm(join(layout.directory, 'index.json'))
  await refuses(layout, 'ARCHIVE_INVALID', /is not an OCI image layout: it has no index\.json/)
  const store = await testBlobStore(t)
  await rejectsWith(t, () => loadImages('/nowhere/at/all', { store }), 'ARCHIVE_INVALID', /no such file/)
  await rejectsWith(t, () => loadImages('/dev/zero', { store }), 'ARCHIVE_INVALID', /not a regular file/)
})

t.test('cancel', async (t) => {
  const directory = await temporaryDirectory(t)
  const layout = await makeLayout(join(directory, 'layout'), [
    { layers: [randomSource(1).bytes(1_000_000)], compression: 'none' },
  ])
  await mkdir(join(directory, 'x'))
  await run('tar', ['-C', layout.directory, '-cf', join(directory, 'x.tar'), '.'])
  for (const source of [layout.directory, join(directory, 'x.tar')]) {
    const controller = new AbortController()
    const store = await testBlobStore(t)
    const onProgress = ({ phase }: ImageProgress): void => {
      if (phase === 'copy') controller.abort()
    }
    await rejectsWith(t, () => loadImages(source, { store, signal: controller.signal, onProgress }), 'ABORTED')
    t.equal(store.open, 0)
    t.same(await store.strays(), [])
  }
})

t.test('damaged archives', async (t) => {
  const random = randomSource(11)
  const good = await dockerArchive([await layer('a'), await layer('b')])
  const until = Date.now() + 2500
  let [loaded, refused] = [0, 0]
  for (let round = 0; round < 400 && Date.now() < until; round += 1) {
    const bytes = Buffer.from(good)
    for (let count = random.below(6) + 1; count > 0; count -= 1) bytes[random.below(bytes.length)] = random.below(256)
    const store = await testBlobStore({ teardown: () => undefined })
    try {
      await loadImages(Readable.from([random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length)) : bytes]), {
        store,
      })
      loaded += 1
    } catch (error) {
      refused += 1
      if (!(error instanceof PodlingError)) t.fail(`round ${String(round)}: ${String(error)}`)
    }
    if (store.open > 0) t.fail(`round ${String(round)}: a writer is open`)
    await rm(join(store.path(digestOf(Buffer.from(''))), '../..'), { recursive: true })
  }
  t.ok(refused > 20, `${String(refused)} refused, ${String(loaded)} loaded`)
})
