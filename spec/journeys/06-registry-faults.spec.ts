/** Registries that are down, refuse, lie, or send layers that are attacks; a disk that is full: told, and nothing is kept. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { PodlingError, Runtime, type ErrorCode } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { digestOf, makeLayout } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { startServer, type HttpFixture } from '../fixtures/servers.js'
import { longName, tar } from '../fixtures/tar.js'
import { needs } from '../peers.js'

const peers = needs('root')

async function open(t: Test): Promise<{ runtime: Runtime; root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'podling-spec-'))
  const runtime = await Runtime.open({ root, layers: { maxBytes: '4m' } })
  t.teardown(async () => {
    await runtime.close()
    await rm(root, { recursive: true, force: true })
  })
  return { runtime, root }
}

async function fails(t: Test, work: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof PodlingError)) throw new Error(`not told: ${String(error)}`)
  t.equal(error.code, code, error.message)
  t.match(error.message, message)
}

async function nothingKept(t: Test, { runtime, root }: { runtime: Runtime; root: string }): Promise<void> {
  t.strictSame(await runtime.images.list(), [])
  for (const place of ['content/sha256', 'content/partial', 'layers', 'layers/tmp'])
    t.strictSame(
      (await readdir(join(root, place))).filter((name) => name !== 'tmp'),
      [],
      place,
    )
}

/** An image in memory, by the paths that a registry has it at. */
async function imageOf(t: Test, layer: Buffer): Promise<{ files: Map<string, Buffer>; digest: string }> {
  const layout = await makeLayout(await temporaryDirectory(t), [{ layers: [layer], compression: 'gzip' }])
  const blobs = join(layout.directory, 'blobs/sha256')
  const files = new Map<string, Buffer>()
  for (const hex of await readdir(blobs)) {
    const bytes = await readFile(join(blobs, hex))
    files.set(`/v2/app/blobs/sha256:${hex}`, bytes)
    files.set(`/v2/app/manifests/sha256:${hex}`, bytes)
  }
  files.set('/v2/app/manifests/1', files.get(`/v2/app/manifests/${layout.digest}`)!)
  return { files, digest: digestOf(gzipSync(layer, { level: 1 })) }
}

/** A registry that has it, and does what it likes with each answer. */
async function serve(
  t: Test,
  files: Map<string, Buffer>,
  answer: (path: string, bytes: Buffer, response: ServerResponse) => boolean = () => false,
): Promise<HttpFixture> {
  return startServer(t, (request, response) => {
    const path = request.url ?? ''
    const bytes = files.get(path)
    if (bytes === undefined) {
      response.writeHead(404).end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'gone' }] }))
      return
    }
    if (answer(path, bytes, response)) return
    const type = path.includes('/manifests/')
      ? 'application/vnd.oci.image.manifest.v1+json'
      : 'application/octet-stream'
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': String(bytes.length) })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  })
}

const harmless = tar({ name: 'file', contents: 'of the image' })

t.test('a registry that is down, refuses, or has it not', peers, async (t) => {
  const opened = await open(t)
  const { images } = opened.runtime
  await fails(t, images.pull('localhost:1/app:1'), 'REGISTRY_UNREACHABLE', /localhost:1/)
  const { files } = await imageOf(t, harmless)
  const { host } = await serve(t, files)
  await fails(t, images.pull(`${host}/app:2`), 'IMAGE_NOT_FOUND', /app:2/)
  for (const [status, headers, code, message] of [
    [401, { 'WWW-Authenticate': 'Basic realm="x"' }, 'REGISTRY_UNAUTHORIZED', /401|log in|password/],
    [403, {}, 'REGISTRY_UNAUTHORIZED', /forbids it/],
    [429, { 'Retry-After': '3600' }, 'REGISTRY_RATE_LIMITED', /asks to wait for 3600 s/],
    [501, {}, 'REGISTRY_FAILED', /501/],
  ] as const) {
    const refusing = await serve(t, files, (_path, _bytes, response) => {
      response.writeHead(status, headers).end()
      return true
    })
    await fails(t, images.pull(`${refusing.host}/app:1`), code, message)
    await nothingKept(t, opened)
  }
})

t.test('a registry that asks to wait is waited for', peers, async (t) => {
  const { runtime } = await open(t)
  const { files } = await imageOf(t, harmless)
  const asked = new Set<string>()
  const { host, requests } = await serve(t, files, (path, _bytes, response) => {
    if (asked.has(path)) return false
    asked.add(path)
    response.writeHead(429, { 'Retry-After': '0' }).end()
    return true
  })
  const image = await runtime.images.pull(`${host}/app:1`)
  t.ok(requests.length > asked.size, 'each was asked for again')
  await runtime.images.remove(image)
})

t.test('blobs that are not what they should be', peers, async (t) => {
  const opened = await open(t)
  const { files, digest } = await imageOf(t, harmless)
  const path = `/v2/app/blobs/${digest}`
  const cases: readonly (readonly [string, (bytes: Buffer, response: ServerResponse) => void, RegExp])[] = [
    ['another one of this size', (bytes, response) => response.end(Buffer.alloc(bytes.length, 7)), /DIGEST_MISMATCH/],
    ['more', (bytes, response) => response.end(Buffer.concat([bytes, bytes])), /SIZE_MISMATCH|DIGEST_MISMATCH/],
    [
      'less',
      (bytes, response) => response.end(bytes.subarray(1)),
      /REGISTRY_UNREACHABLE|SIZE_MISMATCH|DIGEST_MISMATCH/,
    ],
  ]
  for (const [what, answer, code] of cases) {
    const { host } = await serve(t, files, (asked, bytes, response) => {
      if (asked !== path) return false
      answer(bytes, response)
      return true
    })
    await t.rejects(opened.runtime.images.pull(`${host}/app:1`), { name: 'PodlingError', code }, what)
    t.strictSame(await opened.runtime.images.list(), [])
    t.strictSame(await readdir(join(opened.root, 'content/sha256')), [], what)
  }
})

t.test('layers that are attacks', peers, async (t) => {
  const opened = await open(t)
  for (const [what, layer, code, message] of [
    ['out by its name', tar({ name: '../evil' }), 'LAYER_INVALID', /`\.\.`/],
    ['out by a link', tar({ name: 'l', type: '2', link: '/etc' }, { name: 'l/evil' }), 'LAYER_INVALID', /leads out of/],
    ['out by a hard link', tar({ name: 'h', type: '1', link: '../../etc/shadow' }), 'LAYER_INVALID', /hard link/],
    ['a name too long', tar(longName(`${'x/'.repeat(2500)}y`), { name: 'x' }), 'LAYER_INVALID', /5001 bytes/],
    ['cut short', tar({ name: 'x', contents: 'x'.repeat(5000) }).subarray(0, 2048), 'LAYER_INVALID', /cut short/],
    ['a bomb', tar({ name: 'x', contents: Buffer.alloc(20_000_000) }), 'LAYER_TOO_LARGE', /4194304 bytes/],
  ] as const) {
    const { files } = await imageOf(t, layer)
    const { host } = await serve(t, files)
    await t.test(what, async (t) => {
      await fails(t, opened.runtime.images.pull(`${host}/app:1`), code, message)
      await nothingKept(t, opened)
    })
  }
})

t.test('a disk that is full', peers, async (t) => {
  const disk = await mkdtemp(join(tmpdir(), 'podling-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'podling-full', disk])
  t.teardown(async () => {
    execFileSync('umount', ['-l', disk])
    await rm(disk, { recursive: true })
  })
  const runtime = await Runtime.open({ root: disk })
  t.teardown(() => runtime.close())
  const opened = { runtime, root: disk }
  const random = randomSource(3)
  // Too large for the disk as a blob, and as a layer only when the blob is there as well.
  for (const [what, size] of [
    ['while it is downloaded', 8_000_000],
    ['while it is unpacked', 3_500_000],
  ] as const) {
    await t.test(what, async (t) => {
      const { files } = await imageOf(t, tar({ name: 'file', contents: random.bytes(size) }))
      const { host } = await serve(t, files)
      await fails(t, runtime.images.pull(`${host}/app:1`), 'DISK_FULL', /ENOSPC|space/)
      await nothingKept(t, opened)
    })
  }
  const { files } = await imageOf(t, harmless)
  const { host } = await serve(t, files)
  t.equal((await runtime.images.pull(`${host}/app:1`)).names.length, 1, 'there is room again')
})
