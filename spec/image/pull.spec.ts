/** Pulling from a real docker-registry what skopeo pushed there. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parsePlatform } from '../../lib/image/platform.js'
import type { ImageProgress } from '../../lib/image/progress.js'
import { pullImage, type PullContext } from '../../lib/image/pull.js'
import { parseReference } from '../../lib/image/reference.js'
import { RegistryClient, type RegistryOptions } from '../../lib/image/registry.js'
import type { ImageParts } from '../../lib/image/image-parts.js'
import { testBlobStore, wholeImage, type TestBlobStore } from '../fixtures/blob-store.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { fetchHere } from '../fixtures/fetch-here.js'
import { busyboxLayout, digestOf, makeLayout, makeTar, pushLayout, skopeoCopy } from '../fixtures/images.js'
import { freePort, startRegistry } from '../fixtures/registry.js'
import { needs } from '../peers.js'

const peers = needs('skopeo', 'docker-registry', 'busybox')

async function pull(
  text: string,
  store: TestBlobStore,
  options: RegistryOptions & Partial<Omit<PullContext, 'fetcher' | 'store'>> = {},
): Promise<ImageParts> {
  const reference = parseReference(text)
  const client = new RegistryClient(reference.registry, { retryDelay: 5, ...options })
  try {
    const { platform, onProgress, signal } = options
    return await pullImage(
      reference,
      { fetcher: fetchHere(client, store), store, platform, onProgress, signal },
      wholeImage,
    )
  } finally {
    client.close()
    t.equal(store.open, 0, 'no writer stays open')
  }
}

t.test('what skopeo pushed', peers, async (t) => {
  const registry = await startRegistry(t)
  const directory = await temporaryDirectory(t)
  const layout = await busyboxLayout(directory, { Cmd: ['/bin/sh'], Labels: { made: 'here' } })
  const [image] = layout.images
  await pushLayout(layout, `${registry.host}/app:1`)

  await t.test('by tag, with progress', async (t) => {
    const store = await testBlobStore(t)
    const events: ImageProgress[] = []
    const parts = await pull(`${registry.host}/app:1`, store, { onProgress: (event) => events.push(event) })
    t.equal(parts.digest, image!.manifest)
    t.equal(parts.manifest.config.digest, image!.config)
    t.same(parts.document.diffIds, image!.diffIds)
    t.same(parts.document.config.labels, { made: 'here' })
    t.same(parts.names, [`${registry.host}/app:1`])
    t.same((await store.list()).sort(), [image!.manifest, image!.config, ...image!.layers].sort())
    for (const layer of parts.manifest.layers) {
      const own = events.filter(({ digest }) => digest === layer.digest)
      t.match(own[0], { kind: 'layer', phase: 'download', current: 0, total: layer.size })
      t.match(own.at(-1), { phase: 'done', current: layer.size, total: layer.size })
      t.ok(
        own.every(({ current }, index) => index === 0 || current >= own[index - 1]!.current),
        'never goes back',
      )
    }
    const again: ImageProgress[] = []
    await pull(`${registry.host}/app:1`, store, { onProgress: (event) => again.push(event) })
    t.same(
      again.filter(({ phase }) => phase === 'download'),
      [],
      'what is there is not fetched again',
    )
  })

  await t.test('by digest', async (t) => {
    const parts = await pull(`${registry.host}/app@${image!.manifest}`, await testBlobStore(t))
    t.equal(parts.digest, image!.manifest)
    t.same(parts.names, [])
  })

  await t.test('two at once fetch each blob once', async (t) => {
    const store = await testBlobStore(t)
    const events: ImageProgress[] = []
    const onProgress = (event: ImageProgress): void => void events.push(event)
    await Promise.all([1, 2, 3].map(() => pull(`${registry.host}/app:1`, store, { onProgress })))
    for (const digest of [image!.config, ...image!.layers]) {
      t.equal(events.filter((event) => event.digest === digest && event.phase === 'done').length, 1, digest)
    }
  })

  await t.test('Docker schema 2', async (t) => {
    await skopeoCopy(`docker://${registry.host}/app:1`, `docker://${registry.host}/app:docker`, '--format', 'v2s2')
    const parts = await pull(`${registry.host}/app:docker`, await testBlobStore(t))
    t.equal(parts.manifest.mediaType, 'application/vnd.docker.distribution.manifest.v2+json')
    t.same(parts.document.diffIds, image!.diffIds)
  })

  await t.test('plain and zstd layers', async (t) => {
    const layers = [await makeTar([{ name: 'a', content: 'b' }])]
    const plain = await makeLayout(await temporaryDirectory(t), [{ layers, compression: 'none' }])
    await skopeoCopy(`oci:${plain.directory}:latest`, `docker://${registry.host}/plain:1`, '--preserve-digests')
    const parts = await pull(`${registry.host}/plain:1`, await testBlobStore(t))
    t.same(
      parts.manifest.layers.map(({ compression, digest }) => [compression, digest]),
      [['none', digestOf(layers[0]!)]],
    )
    // Other bytes: skopeo would take the plain layer that the registry has.
    const others = [await makeTar([{ name: 'a', content: 'c' }])]
    const source = await makeLayout(await temporaryDirectory(t), [{ layers: others, compression: 'none' }])
    await skopeoCopy(
      `oci:${source.directory}:latest`,
      `docker://${registry.host}/zstd:1`,
      '--dest-compress-format',
      'zstd',
    )
    const zstd = await pull(`${registry.host}/zstd:1`, await testBlobStore(t))
    t.same(
      zstd.manifest.layers.map(({ compression }) => compression),
      ['zstd'],
    )
    t.same(zstd.document.diffIds, [digestOf(others[0]!)])
  })

  await t.test('an index over platforms', async (t) => {
    const many = await temporaryDirectory(t)
    const layer = (text: string): Promise<Buffer> => makeTar([{ name: 'arch', content: text }])
    const index = await makeLayout(many, [
      { layers: [await layer('arm64')], architecture: 'arm64', variant: 'v8' },
      { layers: [await layer('amd64')], architecture: 'amd64' },
    ])
    await pushLayout(index, `${registry.host}/many:1`)
    for (const [position, name] of [
      [0, 'linux/arm64'],
      [1, 'linux/amd64'],
    ] as const) {
      const parts = await pull(`${registry.host}/many:1`, await testBlobStore(t), { platform: parsePlatform(name) })
      t.equal(parts.digest, index.images[position]!.manifest, name)
      t.same(parts.indexes, [index.digest])
    }
    await rejectsWith(
      t,
      async () => pull(`${registry.host}/many:1`, await testBlobStore(t), { platform: parsePlatform('linux/s390x') }),
      'PLATFORM_NOT_FOUND',
      /it has linux\/arm64, linux\/amd64/,
    )
    await rejectsWith(
      t,
      async () =>
        pull(`${registry.host}/many@${index.images[0]!.manifest}`, await testBlobStore(t), {
          platform: parsePlatform('linux/amd64'),
        }),
      'PLATFORM_NOT_FOUND',
      /pass platform: 'linux\/arm64'/,
    )
  })

  await t.test('what is not there', async (t) => {
    const store = await testBlobStore(t)
    await rejectsWith(
      t,
      () => pull(`${registry.host}/app:none`, store),
      'IMAGE_NOT_FOUND',
      /app:none: localhost:\d+ does not have it \(MANIFEST_UNKNOWN/,
    )
    await rejectsWith(t, () => pull(`${registry.host}/nothing`, store), 'IMAGE_NOT_FOUND', /nothing:latest/)
    await rejectsWith(t, () => pull(`${registry.host}/app@${digestOf(Buffer.from('x'))}`, store), 'IMAGE_NOT_FOUND')
    t.same(await store.list(), [])
  })

  await t.test('a damaged blob in the registry', async (t) => {
    const digest = image!.layers[1]!
    const hex = digest.slice(7)
    const file = join(registry.directory, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
    const good = await readFile(file)
    const bad = Buffer.from(good)
    bad[20]! ^= 1
    const store = await testBlobStore(t)
    await writeFile(file, bad)
    await rejectsWith(t, () => pull(`${registry.host}/app:1`, store), 'DIGEST_MISMATCH', new RegExp(digest))
    t.notOk(await store.has(digest))
    t.equal(await store.partial(digest), undefined, 'wrong bytes are not kept')
    await writeFile(file, good.subarray(0, 50))
    await rejectsWith(t, () => pull(`${registry.host}/app:1`, store), 'SIZE_MISMATCH')
    await writeFile(file, Buffer.concat([good, good]))
    await rejectsWith(t, () => pull(`${registry.host}/app:1`, store), 'SIZE_MISMATCH', /more came/)
    await writeFile(file, good)
    await pull(`${registry.host}/app:1`, store)
    t.ok(await store.has(digest))
  })
})

t.test('nobody listens', async (t) => {
  const port = await freePort()
  const store = await testBlobStore(t)
  await rejectsWith(
    t,
    () => pull(`localhost:${String(port)}/app`, store),
    'REGISTRY_UNREACHABLE',
    /nothing listens at localhost:\d+ .*check the host and port/,
  )
  await rejectsWith(
    t,
    () => pull('registry.invalid/app', store, { attempts: 1 }),
    'REGISTRY_UNREACHABLE',
    /registry\.invalid can't be resolved/,
  )
})

t.test('TLS with a certificate that nobody knows', peers, async (t) => {
  const registry = await startRegistry(t, { tls: true })
  const layout = await busyboxLayout(await temporaryDirectory(t))
  await pushLayout(layout, `${registry.host}/app:1`)
  const store = await testBlobStore(t)
  await rejectsWith(
    t,
    () => pull(`${registry.host}/app:1`, store, { insecure: false }),
    'REGISTRY_UNREACHABLE',
    /not signed by a known authority .*certs\.d\/localhost:\d+\/ca\.crt.*insecure: true/,
  )
  t.ok(
    await pull(`${registry.host}/app:1`, store, { insecure: false, authorities: [registry.certificate!] }),
    'its authority is trusted',
  )
  t.ok(await pull(`${registry.host}/app:1`, await testBlobStore(t)), 'on loopback nobody checks')
})

t.test('basic authentication', peers, async (t) => {
  const basic = { username: 'me', password: 'se:cret' }
  const registry = await startRegistry(t, { tls: true, basic })
  const layout = await busyboxLayout(await temporaryDirectory(t))
  await pushLayout(layout, `${registry.host}/app:1`, '--dest-creds', 'me:se:cret')
  const store = await testBlobStore(t)
  const ref = `${registry.host}/app:1`
  t.ok(await pull(ref, store, { credentials: () => Promise.resolve(basic) }))
  await rejectsWith(
    t,
    () => pull(ref, store),
    'REGISTRY_UNAUTHORIZED',
    /wants a login .*podman login localhost:\d+` or pass auth/,
  )
  const wrong = { ...basic, password: 'x' }
  await rejectsWith(
    t,
    () => pull(ref, store, { credentials: () => Promise.resolve(wrong) }),
    'REGISTRY_UNAUTHORIZED',
    /credentials were refused/,
  )
})
