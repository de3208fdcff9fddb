/** Registries that refuse, stall, lie and send elsewhere. */
import { createHash, createPrivateKey, sign, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import t from 'tap'
import { downloadBlob } from '../../lib/image/download.js'
import type { ImageProgress } from '../../lib/image/progress.js'
import type { Fetcher } from '../../lib/image/fetcher.js'
import { pullImage } from '../../lib/image/pull.js'
import { parseReference } from '../../lib/image/reference.js'
import { RegistryClient, type RegistryOptions } from '../../lib/image/registry.js'
import { retryAfter } from '../../lib/image/registry-errors.js'
import { testBlobStore, wholeImage, type TestBlobStore } from '../fixtures/blob-store.js'
import { temporaryDirectory, type Teardown } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { fetchHere } from '../fixtures/fetch-here.js'
import { digestOf, makeLayout, pushLayout } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { selfSigned, startRegistry } from '../fixtures/registry.js'
import { cuttingProxy, startServer } from '../fixtures/servers.js'
import { needs } from '../peers.js'

function client(t: Teardown, host: string, options: RegistryOptions = {}): RegistryClient {
  const registry = new RegistryClient(host, { retryDelay: 1, stallTimeout: 5000, ...options })
  t.teardown(() => {
    registry.close()
  })
  return registry
}

/** What a pull into a store of its own needs. */
async function pulling(
  t: Teardown,
  host: string,
  options?: RegistryOptions,
): Promise<{ fetcher: Fetcher; store: TestBlobStore }> {
  const store = await testBlobStore(t)
  return { fetcher: fetchHere(client(t, host, options), store), store }
}

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }))
const blob = randomSource(1).bytes(300_000)
const digest = digestOf(blob)

function answer(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  body: string | Buffer = '',
): void {
  response.writeHead(status, headers)
  response.end(body)
}

t.test('answers that are no success', async (t) => {
  for (const [status, code, message] of [
    [403, 'REGISTRY_UNAUTHORIZED', /forbids it/],
    [404, 'IMAGE_NOT_FOUND', /does not have it \(NAME_UNKNOWN: gone\)/],
    [418, 'REGISTRY_FAILED', /answered 418/],
    [503, 'REGISTRY_FAILED', /answered 503/],
  ] as const) {
    const body = JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message: 'gone\u001b[31m' }] })
    const server = await startServer(t, (_, response) => {
      answer(response, status, {}, body)
    })
    const error = await rejectsWith(
      t,
      () => client(t, server.host, { attempts: 3 }).manifest('app', '1'),
      code,
      status === 404 ? /gone/ : message,
    )
    t.notOk(error?.message.includes('\u001b'), 'no escape sequences')
    t.equal(
      server.requests.length,
      status === 503 ? 3 : 1,
      `${String(status)} is ${status === 503 ? '' : 'not '}tried again`,
    )
  }
})

t.test('what passes by itself', async (t) => {
  let count = 0
  const server = await startServer(t, (request, response) => {
    count += 1
    if (count === 1) answer(response, 500)
    else if (count === 2) request.socket.resetAndDestroy()
    else if (count === 3) answer(response, 429, { 'Retry-After': '0' })
    else answer(response, 200, {}, manifest)
  })
  const found = await client(t, server.host).manifest('app', '1')
  t.equal(found.digest, digestOf(manifest))
  t.equal(count, 4)
})

t.test('too many requests', async (t) => {
  const server = await startServer(t, (_, response) => {
    answer(response, 429, { 'Retry-After': '3600' })
  })
  await rejectsWith(
    t,
    () => client(t, server.host).manifest('app', '1'),
    'REGISTRY_RATE_LIMITED',
    /asks to wait for 3600 s/,
  )
  t.equal(server.requests.length, 1, 'an hour is not waited for')
  await rejectsWith(
    t,
    () =>
      client(t, server.host, { maxRetryAfter: 1e9, signal: undefined } as RegistryOptions).manifest(
        'app',
        '1',
        AbortSignal.timeout(50),
      ),
    'ABORTED',
  )
  t.equal(retryAfter('120', 0), 120_000)
  t.equal(retryAfter('Thu, 01 Jan 1970 00:02:00 GMT', 60_000), 60_000)
  t.equal(retryAfter('Thu, 01 Jan 1970 00:02:00 GMT', 600_000), 0)
  t.equal(retryAfter('soon', 0), undefined)
})

t.test('manifests that are not what was asked for', async (t) => {
  const other = digestOf(Buffer.from('x'))
  const server = await startServer(t, (_, response) => {
    answer(response, 200, { 'Docker-Content-Digest': other }, manifest)
  })
  await rejectsWith(t, () => client(t, server.host).manifest('app', '1'), 'DIGEST_MISMATCH')
  await rejectsWith(t, () => client(t, server.host).manifest('app', other), 'DIGEST_MISMATCH')
  const large = await startServer(t, (_, response) => {
    answer(response, 200, {}, Buffer.alloc(5_000_000, 32))
  })
  await rejectsWith(t, () => client(t, large.host).manifest('app', '1'), 'IMAGE_INVALID', /larger than 4194304/)
})

t.test('an index that lies about its manifests', async (t) => {
  const inner = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(manifest) }
  const index = (size: number): string => JSON.stringify({ schemaVersion: 2, manifests: [{ ...inner, size }] })
  for (const [size, code] of [
    [manifest.length + 1, 'SIZE_MISMATCH'],
    [manifest.length, 'IMAGE_INVALID'],
  ] as const) {
    const server = await startServer(t, (request, response) => {
      answer(response, 200, {}, request.url?.endsWith('/1') ? index(size) : manifest)
    })
    const context = await pulling(t, server.host)
    await rejectsWith(t, () => pullImage(parseReference(`${server.host}/app:1`), context, wholeImage), code)
  }
  const ring = await startServer(t, (_, response) => {
    answer(response, 200, {}, index(1))
  })
  const context = await pulling(t, ring.host)
  await rejectsWith(t, () => pullImage(parseReference(`${ring.host}/app:1`), context, wholeImage), 'DIGEST_MISMATCH')
})

t.test('silence', async (t) => {
  const mute = await startServer(t, () => undefined)
  await rejectsWith(
    t,
    () => client(t, mute.host, { stallTimeout: 400, attempts: 2 }).manifest('app', '1'),
    'REGISTRY_UNREACHABLE',
    /does not answer: no answer within 400 ms/,
  )
  t.equal(mute.requests.length, 2)
  const stalled = await startServer(t, (_, response) => {
    response.writeHead(200, { 'Content-Length': '1000' })
    response.write('{')
  })
  await rejectsWith(
    t,
    () => client(t, stalled.host, { stallTimeout: 400, attempts: 1 }).manifest('app', '1'),
    'REGISTRY_UNREACHABLE',
    /no byte within 400 ms/,
  )
  const controller = new AbortController()
  const waiting = client(t, mute.host).manifest('app', '1', controller.signal)
  setTimeout(() => {
    controller.abort(new Error('enough'))
  }, 20)
  const error = await rejectsWith(t, () => waiting, 'ABORTED')
  t.match(error?.cause, { message: 'enough' })
})

t.test('redirects', async (t) => {
  const seen: (string | undefined)[] = []
  const storage = await startServer(t, (request, response) => {
    seen.push(request.headers.authorization)
    answer(response, 200, {}, blob)
  })
  const server = await startServer(t, (request, response) => {
    if (request.headers.authorization === undefined) answer(response, 401, { 'WWW-Authenticate': 'Basic realm="x"' })
    else if (request.url === '/v2/app/blobs/' + digest)
      answer(response, 307, { Location: `http://${storage.host}/there` })
    else if (request.url?.includes('loop')) answer(response, 302, { Location: '/loop' })
    else answer(response, 302, { Location: 'file:///etc/passwd' })
  })
  const credentials = { username: 'me', password: 'secret' }
  const registry = client(t, server.host, { credentials: () => Promise.resolve(credentials) })
  const { chunks } = await registry.blob('app', digest)
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  t.equal(digestOf(Buffer.concat(parts)), digest)
  t.same(seen, [undefined], 'the password stays with the registry')
  await rejectsWith(t, () => registry.manifest('app', 'loop'), 'REGISTRY_UNREACHABLE', /more than 5 redirects/)
  await rejectsWith(t, () => registry.manifest('app', 'file'), 'REGISTRY_UNREACHABLE', /a redirect to file:/)
})

t.test('blobs of liars', async (t) => {
  const cases: [string, (request: IncomingMessage, response: ServerResponse) => void, 'DIGEST_MISMATCH' | 'SIZE_MISMATCH' | 'REGISTRY_UNREACHABLE' | 'REGISTRY_FAILED'][] = [
    ['other bytes', (_, r) => { answer(r, 200, {}, Buffer.from(blob).fill(1, 7, 8)) }, 'DIGEST_MISMATCH'],
    ['too few', (_, r) => void r.writeHead(200, { 'Transfer-Encoding': 'chunked' }).end(blob.subarray(0, 0)), 'SIZE_MISMATCH'],
    ['too many', (_, r) => void r.writeHead(200).end(Buffer.concat([blob, blob])), 'SIZE_MISMATCH'],
    ['fewer than Content-Length', (_, r) => void r.writeHead(200, { 'Content-Length': String(blob.length) }).write('x', () => r.destroy()), 'REGISTRY_UNREACHABLE'],
    ['a range that nobody asked for', (request, r) => {
      if (request.headers.range === undefined) r.writeHead(200, { 'Content-Length': String(blob.length) }).write(blob.subarray(0, 1000), () => r.destroy())
      else answer(r, 206, { 'Content-Range': `bytes 5-${String(blob.length - 1)}/${String(blob.length)}` }, blob.subarray(5))
    }, 'REGISTRY_FAILED'],
  ] // prettier-ignore
  for (const [name, handle, code] of cases) {
    const server = await startServer(t, handle)
    const store = await testBlobStore(t)
    const context = { fetcher: fetchHere(client(t, server.host, { attempts: 2 }), store), repository: 'app', store }
    await rejectsWith(
      t,
      () => downloadBlob(context, { mediaType: 'x', digest, size: blob.length }, 'layer', undefined),
      code,
    )
    t.notOk(await store.has(digest), name)
    t.equal(store.open, 0)
    if (code.endsWith('MISMATCH') && name !== 'too few') t.same(await store.strays(), [], `${name}: nothing is kept`)
  }
})

t.test('resuming', async (t) => {
  for (const ranges of [true, false]) {
    const sent: number[] = []
    let cut = { at: Infinity, now: (): void => undefined }
    const server = await startServer(t, (request, response) => {
      const start = ranges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0
      sent.push(start)
      const headers = {
        'Content-Length': String(blob.length - start),
        ...(start > 0
          ? { 'Content-Range': `bytes ${String(start)}-${String(blob.length - 1)}/${String(blob.length)}` }
          : {}),
      }
      response.writeHead(start > 0 ? 206 : 200, headers)
      const end = ranges ? start + 100_000 : sent.length * 100_000
      if (end >= blob.length) response.end(blob.subarray(start))
      else {
        // When all of it has arrived: what is still under way would be lost.
        cut = { at: end, now: () => response.destroy() }
        response.write(blob.subarray(start, end))
      }
    })
    const store = await testBlobStore(t)
    const events: ImageProgress[] = []
    const context = {
      fetcher: fetchHere(client(t, server.host), store),
      repository: 'app',
      store,
      onProgress: (event: ImageProgress) => {
        events.push(event)
        if (event.current >= cut.at) cut.now()
      },
    }
    await downloadBlob(context, { mediaType: 'x', digest, size: blob.length }, 'layer', undefined)
    t.same(
      sent,
      ranges ? [0, 100_000, 200_000] : [0, 0, 0],
      ranges ? 'goes on where it broke off' : 'a server without ranges',
    )
    t.ok(
      events.every(({ current }, index) => index === 0 || current >= events[index - 1]!.current),
      'progress never goes back',
    )
    t.equal((await store.read(digest)).length, blob.length)
  }
})

t.test('an aborted download goes on later', async (t) => {
  const controller = new AbortController()
  const starts: (string | undefined)[] = []
  const server = await startServer(t, (request, response) => {
    starts.push(request.headers.range)
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const headers = {
      'Content-Length': String(blob.length - start),
      'Content-Range': `bytes ${String(start)}-${String(blob.length - 1)}/${String(blob.length)}`,
    }
    response.writeHead(start > 0 ? 206 : 200, headers)
    if (start > 0) response.end(blob.subarray(start))
    else response.write(blob.subarray(0, 50_000))
  })
  const store = await testBlobStore(t)
  const descriptor = { mediaType: 'x', digest, size: blob.length }
  const context = {
    fetcher: fetchHere(client(t, server.host), store),
    repository: 'app',
    store,
    onProgress: ({ current }: ImageProgress): void => {
      if (current === 50_000) controller.abort()
    },
  }
  await rejectsWith(t, () => downloadBlob(context, descriptor, 'layer', controller.signal), 'ABORTED')
  t.equal(await store.partial(digest), 50_000)
  t.equal(store.open, 0)
  await downloadBlob(context, descriptor, 'layer', undefined)
  t.same(starts, [undefined, 'bytes=50000-'])
  t.ok(await store.has(digest))
})

t.test('what an earlier try left may be bad', async (t) => {
  const server = await startServer(t, (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    answer(
      response,
      start > 0 ? 206 : 200,
      start > 0 ? { 'Content-Range': `bytes ${String(start)}-/*` } : {},
      blob.subarray(start),
    )
  })
  const store = await testBlobStore(t)
  const writer = await store.writer({ digest, size: blob.length })
  await writer.write(Buffer.alloc(1000))
  await writer.keep()
  const context = { fetcher: fetchHere(client(t, server.host), store), repository: 'app', store }
  await downloadBlob(context, { mediaType: 'x', digest, size: blob.length }, 'layer', undefined)
  t.ok(await store.has(digest))
  t.same(server.requests.length, 2, 'one clean try more')
})

t.test('a real registry behind a line that breaks', needs('skopeo', 'docker-registry'), async (t) => {
  const registry = await startRegistry(t)
  const random = randomSource(3)
  const layers = [random.bytes(3_000_000), random.bytes(2_000_000)]
  const layout = await makeLayout(await temporaryDirectory(t), [{ layers, compression: 'none' }])
  await pushLayout(layout, `${registry.host}/app:1`, '--preserve-digests')
  const proxy = await cuttingProxy(t, registry.port, [1_000_000, 500_000, 700_000, 100_000])
  const store = await testBlobStore(t)
  const parts = await pullImage(
    parseReference(`${proxy.host}/app:1`),
    { fetcher: fetchHere(client(t, proxy.host), store), store },
    wholeImage,
  )
  t.equal(proxy.cuts(), 4)
  t.same(parts.document.diffIds, layers.map(digestOf))
  for (const { digest } of parts.manifest.layers) t.ok(await store.has(digest))
})

t.test('tokens', needs('skopeo', 'docker-registry'), async (t) => {
  const directory = await temporaryDirectory(t)
  const pair = await selfSigned(directory, 'token')
  const certificate = await readFile(pair.certificate, 'utf8')
  const key = createPrivateKey(await readFile(pair.key))
  const asked: string[] = []
  const tokens = await startServer(t, (request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost')
    const scopes = url.searchParams.getAll('scope')
    asked.push(scopes.join(' '))
    const basic = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString()
    if (basic !== 'me:secret' && !scopes.every((scope) => scope.startsWith('repository:public'))) {
      answer(response, 401, {}, JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'who are you' }] }))
      return
    }
    const access = scopes.map((scope) => {
      const [type, name, actions = ''] = scope.split(':')
      return { type, name, actions: actions.split(',') }
    })
    const token = jwt({ iss: 'issuer', sub: 'me', aud: 'registry', access }, key, certificate)
    answer(response, 200, { 'Content-Type': 'application/json' }, JSON.stringify({ token, expires_in: 300 }))
  })
  const realm = `http://${tokens.host}/token`
  const registry = await startRegistry(t, { token: { realm, service: 'registry', issuer: 'issuer', certificate } })
  const layout = await makeLayout(await temporaryDirectory(t), [
    { layers: [randomSource(4).bytes(1000), randomSource(5).bytes(1000)], compression: 'none' },
  ])
  for (const name of ['public', 'private'])
    await pushLayout(layout, `${registry.host}/${name}:1`, '--dest-creds', 'me:secret', '--preserve-digests')
  const pull = async (name: string, options: RegistryOptions = {}): Promise<unknown> => {
    asked.length = 0
    return pullImage(parseReference(`${registry.host}/${name}:1`), await pulling(t, registry.host, options), wholeImage)
  }
  t.ok(await pull('public'), 'nobody in particular')
  t.same(asked, ['repository:public:pull'], 'one token for all of one pull, and only to pull')
  const credentials = { username: 'me', password: 'secret' }
  t.ok(await pull('private', { credentials: () => Promise.resolve(credentials) }))
  t.same(asked, ['repository:private:pull'])
  await rejectsWith(
    t,
    () => pull('private'),
    'REGISTRY_UNAUTHORIZED',
    /refused with 401 \(UNAUTHORIZED: who are you\); check the user name/,
  )
})

t.test('token flows', async (t) => {
  const seen: string[] = []
  let issued = 0
  const tokens = await startServer(t, (request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''} ${body}`)
      issued += 1
      answer(response, 200, {}, JSON.stringify({ access_token: `t${String(issued)}` }))
    }) // prettier-ignore
  })
  let valid = 't1'
  const server = await startServer(t, (request, response) => {
    const challenge = `Bearer realm="http://${tokens.host}/token",service="registry",scope="repository:other:push,pull aws registry:catalog:*"`
    if (request.headers.authorization === `Bearer ${valid}`) answer(response, 200, {}, manifest)
    else answer(response, 401, { 'WWW-Authenticate': challenge })
  })
  const registry = client(t, server.host, { credentials: () => Promise.resolve({ identityToken: 'refresh me' }) })
  await Promise.all([1, 2, 3].map(() => registry.manifest('app', '1')))
  t.equal(issued, 1, 'three requests at once ask for one token')
  t.match(
    seen[0],
    /^POST \/token grant_type=refresh_token&service=registry&client_id=podling&scope=repository%3Aapp%3Apull\+aws&refresh_token=refresh\+me$/,
  )
  valid = 't2'
  await registry.manifest('app', '1')
  t.equal(issued, 2, 'a token that is refused is replaced')
  valid = 'never'
  await rejectsWith(t, () => registry.manifest('app', '1'), 'REGISTRY_UNAUTHORIZED', /credentials were refused/)
  t.ok(issued <= 4, 'and not for ever')
  valid = 'given'
  await client(t, server.host, { credentials: () => Promise.resolve({ token: 'given' }) }).manifest('app', '1')
})

t.test('a password is not sent in clear', async (t) => {
  const server = await startServer(t, (_, response) => {
    answer(response, 401, { 'WWW-Authenticate': 'Bearer realm="http://tokens.example.com/token",service="x"' })
  })
  const credentials = { username: 'me', password: 'secret' }
  await rejectsWith(
    t,
    () => client(t, server.host, { credentials: () => Promise.resolve(credentials) }).manifest('app', '1'),
    'REGISTRY_UNAUTHORIZED',
    /http:\/\/tokens\.example\.com is plain http, and passwords are not sent in clear/,
  )
  const odd = await startServer(t, (_, response) => {
    answer(response, 401, { 'WWW-Authenticate': 'Bearer realm="ftp://x"' })
  })
  await rejectsWith(t, () => client(t, odd.host).manifest('app', '1'), 'REGISTRY_FAILED', /names no token server/)
})

/** A token as docker-registry checks it: signed by the key of a certificate that it trusts, which the header carries. */
function jwt(claims: object, key: ReturnType<typeof createPrivateKey>, certificate: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const x5c = [new X509Certificate(certificate).raw.toString('base64')]
  const jti = createHash('sha256').update(String(Math.random())).digest('hex')
  const body = `${encode({ typ: 'JWT', alg: 'ES256', x5c })}.${encode({ ...claims, nbf: now - 10, iat: now, exp: now + 300, jti })}`
  return `${body}.${sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
