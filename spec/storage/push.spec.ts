/** Pushing to a real docker-registry, read back by skopeo and podman; and to registries that break off, lie and refuse. */
import { execFile } from 'node:child_process'
import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { ImageProgress } from '../../lib/image/progress.js'
import { parseReference } from '../../lib/image/reference.js'
import { pushImage } from '../../lib/image/push.js'
import { RegistryUploads } from '../../lib/image/registry-upload.js'
import { testBlobStore, type TestBlobStore } from '../fixtures/blob-store.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { imageWorld } from '../fixtures/image-world.js'
import { busyboxLayout, digestOf, makeLayout, makeTar, pushLayout, skopeoCopy } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { startRegistry } from '../fixtures/registry.js'
import { cuttingProxy, startServer } from '../fixtures/servers.js'
import { needs } from '../peers.js'

const run = promisify(execFile)

/** What the registry says that the name stands for, byte for byte, by skopeo's word. */
async function rawManifest(ref: string): Promise<Buffer> {
  const argv = ['--insecure-policy', 'inspect', '--tls-verify=false', '--raw', `docker://${ref}`]
  return (await run('skopeo', argv, { encoding: 'buffer' })).stdout
}

t.test('a real registry', needs('root', 'skopeo', 'docker-registry', 'busybox', 'podman'), async (t) => {
  const registry = await startRegistry(t)
  const { host } = registry
  const { images } = await imageWorld(t)
  const layout = await busyboxLayout(await temporaryDirectory(t), { Cmd: ['/bin/sh'], Labels: { made: 'here' } })
  const image = await images.load(layout.directory, { ref: `${host}/app:1` })

  const pushed = async (
    ref: string,
    options: Parameters<typeof images.push>[1] = {},
  ): Promise<Record<string, ImageProgress['phase']>> => {
    const last: Record<string, ImageProgress['phase']> = {}
    const onProgress = ({ digest, phase }: ImageProgress): void => void (last[digest] = phase)
    const { digest } = await images.push(ref, { ...options, onProgress })
    t.equal(digest, layout.digest)
    return last
  }

  await t.test('everything, once', async (t) => {
    const first = await pushed(`${host}/app:1`)
    t.same(new Set(Object.values(first)), new Set(['done']))
    t.equal(Object.keys(first).length, 4)
    const raw = await rawManifest(`${host}/app:1`)
    t.equal(digestOf(raw), layout.digest, 'the same bytes')
    const again = await pushed(`${host}/app:1`)
    t.equal(again[image.id], 'exists')
    for (const layer of image.layers) t.equal(again[layer.digest], 'exists', 'no blob is sent twice')
  })

  await t.test('blobs of a neighbour are mounted', async (t) => {
    const last = await pushed(`${host}/app:1`, { to: `${host}/other/app:2` })
    for (const digest of [image.id, ...image.layers.map((layer) => layer.digest)]) t.equal(last[digest], 'mounted')
    t.equal(digestOf(await rawManifest(`${host}/other/app:2`)), layout.digest)
  })

  await t.test('skopeo and podman read it', async (t) => {
    const directory = await temporaryDirectory(t)
    await skopeoCopy(`docker://${host}/other/app:2`, `oci:${join(directory, 'copy')}:latest`, '--preserve-digests')
    const copy = join(directory, 'copy')
    t.equal((await images.load(copy)).digest, layout.digest)
    const storage = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs']
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const { stdout } = await run('podman', [...storage, 'pull', '-q', '--tls-verify=false', `${host}/app:1`])
    t.equal(`sha256:${stdout.trim()}`, image.id, 'an id is an id everywhere')
  })

  await t.test('which name', async (t) => {
    await rejectsWith(t, () => images.push('app:none'), 'IMAGE_NOT_FOUND')
    await images.tag(image, `${host}/app:also`)
    await rejectsWith(t, () => images.push(image), 'INVALID_OPTION', /has several names .*say where to/)
    t.equal((await images.push(`${host}/app:also`)).name, `${host}/app:also`)
    await rejectsWith(t, () => images.push(image, { to: `x@${layout.digest}` }), 'INVALID_REFERENCE')
    await rejectsWith(t, () => images.push(image, { too: 'x' } as object), 'INVALID_OPTION', /did you mean to/)
    await rejectsWith(t, () => images.push(image, { to: `${host}/a:1`, signal: AbortSignal.abort() }), 'ABORTED')
    await rejectsWith(t, () => images.push(`${host}/app:1`, { allPlatforms: true }), 'PLATFORM_NOT_FOUND')
  })

  await t.test('a blob that was altered, cut off or removed on disk', async (t) => {
    const { images, content } = await imageWorld(t)
    const layers = [await makeTar([{ name: 'a', content: randomSource(8).bytes(10_000) }])]
    const other = await makeLayout(await temporaryDirectory(t), [{ layers }])
    const { digest } = (await images.load(other.directory, { ref: `${host}/bad:1` })).layers[0]!
    const path = content.path(digest)
    const good = await readFile(path)
    const bad = Buffer.from(good)
    bad[good.length - 9]! ^= 1
    await writeFile(path, bad)
    await rejectsWith(t, () => images.push(`${host}/bad:1`), 'DIGEST_MISMATCH', /is damaged on disk/)
    await truncate(path, 100)
    await rejectsWith(t, () => images.push(`${host}/bad:1`), 'SIZE_MISMATCH', /is damaged on disk: it has 100 bytes/)
    await writeFile(path, good)
    await appendFile(path, 'x')
    await rejectsWith(t, () => images.push(`${host}/bad:1`), 'SIZE_MISMATCH', /is damaged on disk/)
    await rm(path)
    await rejectsWith(t, () => images.push(`${host}/bad:1`), 'BLOB_NOT_FOUND', /not here any more/)
    await rejectsWith(t, () => images.pull(`${host}/bad:1`), 'IMAGE_NOT_FOUND')
    await writeFile(path, good)
    await images.push(`${host}/bad:1`)
  })
})

t.test('an index, whole', needs('skopeo', 'docker-registry'), async (t) => {
  const { host } = await startRegistry(t)
  const layer = (text: string): Promise<Buffer> => makeTar([{ name: 'arch', content: text }])
  const own = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const layout = await makeLayout(await temporaryDirectory(t), [
    { layers: [await layer('s390x')], architecture: 's390x' },
    { layers: [await layer(own)], architecture: own },
    { layers: [await layer('unknown')], architecture: 'unknown' },
  ])
  await pushLayout(layout, `${host}/many:1`)
  const { images, blobs, reopen } = await imageWorld(t)

  const one = await images.pull(`${host}/many:1`)
  t.equal(one.index, undefined)
  t.equal((await images.push(one, { to: `${host}/one:1` })).digest, layout.images[1]!.manifest)

  const image = await images.pull(`${host}/many:1`, { allPlatforms: true })
  t.equal(image.id, one.id, 'containers are made from that of this machine')
  t.equal(image.index, layout.digest)
  await reopen()
  t.equal((await blobs()).length, 1 + 3 * 3, 'all platforms are kept')
  const { digest } = await images.push(image, { to: `${host}/copy:1` })
  t.equal(digest, layout.digest)
  t.equal(digestOf(await rawManifest(`${host}/copy:1`)), layout.digest)
  const directory = join(await temporaryDirectory(t), 'copy')
  await skopeoCopy(`docker://${host}/copy:1`, `oci:${directory}:latest`, '--all', '--preserve-digests')
  const alone = await images.push(image, { to: `${host}/copy:alone`, allPlatforms: false })
  t.equal(alone.digest, layout.images[1]!.manifest)

  const other = await imageWorld(t)
  const loaded = await other.images.load(directory, { allPlatforms: true, ref: `${host}/loaded:1` })
  t.equal(loaded.index, layout.digest)
  t.equal((await other.images.push(loaded)).digest, layout.digest)
  await other.images.remove(loaded)
  t.same(await other.blobs(), [])
})

t.test('a line that breaks', needs('docker-registry', 'skopeo'), async (t) => {
  const registry = await startRegistry(t)
  for (const [size, limits] of [
    [12_000_000, [5_000_000, 1_000_000, 3_000_000, 200_000]],
    [2_000_000, [1_000_000, 20_000]],
  ] as const) {
    const bytes = randomSource(size).bytes(size)
    const { store, digest } = await storedImage(t, [bytes])
    const proxy = await cuttingProxy(t, registry.port, limits, 'there')
    const events: ImageProgress[] = []
    const context = {
      uploads: publisher(t, proxy.host),
      store,
      onProgress: (event: ImageProgress) => events.push(event),
    }
    await pushImage(digest, parseReference(`${proxy.host}/app:1`), context)
    t.equal(proxy.cuts(), limits.length)
    t.equal(digestOf(await rawManifest(`${registry.host}/app:1`)), digest)
    const own = events.filter((event) => event.digest === digestOf(bytes) && event.phase === 'upload')
    t.ok(
      own.every(({ current }, index) => index === 0 || current >= own[index - 1]!.current),
      'never goes back',
    )
  }
})

/** An image of plain layers in a store of its own. */
async function storedImage(t: Test, layers: readonly Buffer[]): Promise<{ store: TestBlobStore; digest: string }> {
  const layout = await makeLayout(await temporaryDirectory(t), [{ layers, compression: 'none' }])
  const store = await testBlobStore(t)
  const [image] = layout.images
  for (const digest of [image!.manifest, image!.config, ...image!.layers]) {
    await store.put(await readFile(join(layout.directory, 'blobs/sha256', digest.slice(7))))
  }
  return { store, digest: layout.digest }
}

function publisher(
  t: Test,
  host: string,
  options: ConstructorParameters<typeof RegistryUploads>[1] = {},
): RegistryUploads {
  const uploads = new RegistryUploads(host, { retryDelay: 1, ...options })
  t.teardown(() => {
    uploads.close()
  })
  return uploads
}

interface Received {
  readonly request: IncomingMessage
  readonly body: Buffer
  readonly answer: (status: number, headers?: Record<string, string>, text?: string) => void
}

/** A registry that stores in memory, but for what `odd` answers itself. */
async function smallRegistry(
  t: Test,
  odd: (received: Received) => boolean,
): Promise<{ host: string; requests: string[]; stored: Map<string, Buffer> }> {
  const stored = new Map<string, Buffer>()
  const uploads = new Map<string, Buffer>()
  const server = await startServer(t, (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    request.on('data', (chunk: Buffer) => parts.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      const url = new URL(request.url ?? '', 'http://localhost')
      const answer: Received['answer'] = (status, headers = {}, text = '') => {
        response.writeHead(status, headers).end(text)
      }
      if (odd({ request, body, answer })) return
      const location = `/v2/app/blobs/uploads/${String(uploads.size)}?state=a%20b`
      const upload = uploads.get(url.pathname)
      if (request.method === 'HEAD') answer(stored.has(url.pathname) ? 200 : 404)
      else if (request.method === 'POST') {
        uploads.set(location.split('?')[0]!, Buffer.alloc(0))
        answer(202, { Location: location })
      } else if (request.method === 'PATCH' && upload) {
        uploads.set(url.pathname, Buffer.concat([upload, body]))
        answer(202, { Location: url.pathname + url.search })
      } else if (request.method === 'GET' && upload) {
        answer(204, { Location: url.pathname + url.search, Range: `0-${String(Math.max(0, upload.length - 1))}` })
      } else if (request.method === 'PUT' && upload) {
        const whole = Buffer.concat([upload, body])
        if (digestOf(whole) !== url.searchParams.get('digest') || url.searchParams.get('state') !== 'a b') {
          answer(400, {}, '{"errors":[{"code":"DIGEST_INVALID"}]}')
          return
        }
        stored.set(`/v2/app/blobs/${digestOf(whole)}`, whole)
        answer(201)
      } else if (request.method === 'PUT') {
        stored.set(url.pathname, body)
        answer(201, { 'Docker-Content-Digest': digestOf(body) })
      } else answer(404)
    })
  })
  return { ...server, stored }
}

t.test('registries that fail', async (t) => {
  const large = randomSource(20).bytes(5_000_000)
  const { store, digest } = await storedImage(t, [large])
  const push = (host: string, options: Parameters<typeof publisher>[2] = {}): Promise<void> =>
    pushImage(digest, parseReference(`${host}/app:1`), { uploads: publisher(t, host, options), store })

  await t.test('that now and then answer 500', async (t) => {
    let count = 0
    const server = await smallRegistry(t, ({ answer }) => {
      count += 1
      if (count % 3 !== 0) return false
      answer(500)
      return true
    })
    await push(server.host)
    t.same(server.stored.get(`/v2/app/blobs/${digestOf(large)}`), large)
    t.ok(server.stored.has('/v2/app/manifests/1'))
  })

  await t.test('that always do', async (t) => {
    const server = await smallRegistry(t, ({ request, answer }) => {
      if (request.method !== 'PATCH' && request.method !== 'PUT') return false
      answer(503, {}, 'closed today')
      return true
    })
    await rejectsWith(t, () => push(server.host, { attempts: 3 }), 'REGISTRY_FAILED', /answered 503 \(closed today\)/)
    t.equal(server.stored.size, 0)
    t.ok(
      server.requests.some((line) => line.startsWith('DELETE /v2/app/blobs/uploads/')),
      'an upload that comes to nothing is given up',
    )
  })

  await t.test('that forget an upload', async (t) => {
    let patches = 0
    const server = await smallRegistry(t, ({ request, answer }) => {
      if (request.method !== 'PATCH' || ++patches > 1) return false
      answer(404, {}, '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
      return true
    })
    await push(server.host)
    t.equal(patches, 2)
  })

  await t.test('that store something else', async (t) => {
    const server = await smallRegistry(t, ({ request, answer }) => {
      if (!request.url!.includes('/manifests/') || request.method !== 'PUT') return false
      answer(201, { 'Docker-Content-Digest': digestOf(Buffer.from('x')) })
      return true
    })
    await rejectsWith(t, () => push(server.host), 'DIGEST_MISMATCH', /has stored sha256:/)
  })

  await t.test('that say no', async (t) => {
    const denied = await smallRegistry(t, ({ request, answer }) => {
      if (request.method !== 'POST') return false
      answer(403, {}, '{"errors":[{"code":"DENIED","message":"read only"}]}')
      return true
    })
    await rejectsWith(t, () => push(denied.host), 'REGISTRY_UNAUTHORIZED', /forbids it .*\(DENIED: read only\)/)
    const silent = await smallRegistry(t, ({ request, answer }) => {
      if (request.method !== 'POST') return false
      answer(202)
      return true
    })
    await rejectsWith(t, () => push(silent.host), 'REGISTRY_FAILED', /no Location header/)
  })

  await t.test('that send the bytes to another host', async (t) => {
    const secrets: (string | undefined)[] = []
    const storage = await startServer(t, (request, response) => {
      secrets.push(request.headers.authorization)
      request.resume().on('end', () => {
        response.writeHead(request.method === 'PATCH' ? 202 : 201, { Location: request.url ?? '' }).end()
      })
    })
    const server = await smallRegistry(t, ({ request, answer }) => {
      if (request.headers.authorization === undefined) {
        answer(401, { 'WWW-Authenticate': 'Basic realm="x"' })
        return true
      }
      if (request.method !== 'POST') return false
      answer(202, { Location: `http://${storage.host}/there` })
      return true
    })
    const credentials = (): Promise<{ username: string; password: string }> =>
      Promise.resolve({ username: 'me', password: 'secret' })
    await push(server.host, { credentials })
    t.ok(secrets.length > 0)
    t.same(
      secrets.filter((secret) => secret !== undefined),
      [],
      'the password stays with the registry',
    )
    const away = await smallRegistry(t, ({ request, answer }) => {
      if (request.method !== 'PUT') return false
      answer(307, { Location: `http://${storage.host}/there` })
      return true
    })
    const before = secrets.length
    await rejectsWith(t, () => push(away.host), 'REGISTRY_FAILED', /answered 307/)
    t.equal(secrets.length, before, 'what is sent follows no redirect')
  })

  await t.test('that refuse a mount', async (t) => {
    for (const status of [202, 403, 405]) {
      const server = await smallRegistry(t, ({ request, answer }) => {
        if (!request.url!.includes('mount=') || status === 202) return false
        answer(status)
        return true
      })
      const context = { uploads: publisher(t, server.host), store, neighbours: () => ['base', 'other'] }
      await pushImage(digest, parseReference(`${server.host}/app:1`), context)
      t.same(server.stored.get(`/v2/app/blobs/${digestOf(large)}`), large, String(status))
    }
  })

  await t.test('when the caller cancels', async (t) => {
    const ending = new AbortController()
    const server = await smallRegistry(t, ({ request }) => {
      if (request.method === 'PATCH') ending.abort()
      return request.method === 'PATCH'
    })
    const context = { uploads: publisher(t, server.host), store, signal: ending.signal }
    await rejectsWith(t, () => pushImage(digest, parseReference(`${server.host}/app:1`), context), 'ABORTED')
    t.notOk(server.stored.has('/v2/app/manifests/1'))
  })
})
