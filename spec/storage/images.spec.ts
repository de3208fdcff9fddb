import { execFileSync } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import type { ImageProgress } from '../../lib/image/progress.js'
import { ContentStore } from '../../lib/storage/content.js'
import { Database } from '../../lib/storage/database.js'
import { Layers } from '../../lib/storage/layers.js'
import { Images } from '../../lib/storage/images.js'
import { Image } from '../../lib/storage/image.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { busyboxLayout, digestOf, makeLayout, makeTar, pushLayout, skopeoCopy } from '../fixtures/images.js'
import { imageWorld } from '../fixtures/image-world.js'
import { startRegistry } from '../fixtures/registry.js'
import { startServer } from '../fixtures/servers.js'
import { openUnpacker } from '../fixtures/unpacker.js'
import { needs } from '../peers.js'

const tar = (text: string): Promise<Buffer> => makeTar([{ name: 'file', content: text }])
const stream = (bytes: Uint8Array): Readable => Readable.from([bytes])

t.test('an image out of programs of this host', async (t) => {
  const { images, layers, events, blobs, reopen, database } = await imageWorld(t)
  const options = { binaries: ['sh'], files: [{ to: '/motd', content: 'hi' }], config: { cmd: ['sh'] }, ref: 'shell' }
  const image = await images.fromHost(options)
  t.same(image.names, ['docker.io/library/shell:latest'])
  t.equal(image.layers.length, 2)
  t.match(image.config, { cmd: ['sh'], env: [/^PATH=/] })
  t.match(events, [{ type: 'imported', id: image.id }])
  const kept = await blobs()
  const again = await (await reopen()).fromHost(options)
  t.equal(again.id, image.id, 'another process makes the same')
  t.same(await blobs(), kept)
  t.same(
    (await images.fromHost({ ...options, ref: 'shell:2' })).names,
    ['shell:latest', 'shell:2'].map((name) => `docker.io/library/${name}`),
  )
  t.ok(layers.holders.has(image.chainId!))

  const keys = (table: string): number => [...database.table(table).entries()].length
  t.equal(keys('host-images'), 1)
  await images.remove(image)
  t.same(await blobs(), [])
  t.equal(keys('host-images'), 0)
  await images.remove(await images.fromHost({ files: [{ to: '/x', content: '' }] }))
  t.equal(keys('host-layers'), 2, 'layers whose blobs are gone are forgotten')
  t.equal((await images.fromHost(options)).id, image.id)
  t.same(await blobs(), kept, 'what was removed is made anew')
  await rejectsWith(t, () => images.fromHost({ binaries: ['no-such-program'] }), 'HOST_PROGRAM_NOT_FOUND')
  await rejectsWith(t, () => images.fromHost({ binaries: ['sh'], ref: 'Not A Name' }), 'INVALID_REFERENCE')
  await rejectsWith(t, () => images.fromHost({ ...options, signal: AbortSignal.abort() }), 'ABORTED')
})

t.test('import, get, tag, remove', async (t) => {
  const { images, layers, events, blobs } = await imageWorld(t)
  const one = await tar('one')
  const image = await images.import(stream(one), {
    ref: 'one',
    created: new Date(0),
    config: {
      cmd: ['/bin/sh'],
      env: { A: 'b' },
      workingDir: '/w',
      exposedPorts: [80, '53/udp', { port: 443, protocol: 'tcp' }],
    },
  })
  t.ok(image instanceof Image)
  t.same(image.names, ['docker.io/library/one:latest'])
  t.equal(image.chainId, digestOf(one))
  t.same(image.layers, [{ digest: digestOf(one), diffId: digestOf(one), size: one.length }])
  t.match(image.config, { cmd: ['/bin/sh'], env: ['A=b'], workingDir: '/w' })
  t.same(
    image.config.exposedPorts.map(({ port, protocol }) => `${String(port)}/${protocol}`),
    ['80/tcp', '53/udp', '443/tcp'],
  )
  t.same(image.created, new Date(0))
  t.match(await images.history('one'), [{ comment: 'imported', layer: { diffId: digestOf(one) } }])
  t.throws(() => {
    ;(image as { id: string }).id = 'x'
  }, 'it does not change')

  for (const ref of [
    'one',
    'one:latest',
    'docker.io/library/one',
    image.id,
    image.id.slice(7, 19),
    image.digest,
    `one@${image.digest}`,
  ]) {
    t.equal((await images.get(ref)).id, image.id, ref)
  }
  await rejectsWith(
    t,
    () => images.get('two'),
    'IMAGE_NOT_FOUND',
    /no docker\.io\/library\/two:latest here; get it with images\.pull\("two"\)/,
  )
  await rejectsWith(
    t,
    () => images.get('one:2'),
    'IMAGE_NOT_FOUND',
    /of the same repository there is docker\.io\/library\/one:latest/,
  )
  await rejectsWith(t, () => images.get('Bad'), 'INVALID_REFERENCE')
  await rejectsWith(t, () => images.get(`sha256:${'0'.repeat(64)}`), 'IMAGE_NOT_FOUND', /no image here has this id/)

  const tagged = await images.tag('one', 'localhost:5000/one:v1')
  t.same(tagged.names, ['docker.io/library/one:latest', 'localhost:5000/one:v1'])
  t.same(image.names, ['docker.io/library/one:latest'], 'the older handle stays as it was')
  await rejectsWith(t, () => images.tag('one', `x@${image.digest}`), 'INVALID_REFERENCE', /may not have a digest/)

  await images.remove('localhost:5000/one:v1')
  t.same((await images.get('one')).names, ['docker.io/library/one:latest'], 'by one name of two: that name alone')
  await images.remove(image)
  await rejectsWith(t, () => images.get('one'), 'IMAGE_NOT_FOUND')
  t.equal(layers.holders.size, 0)
  t.same(await blobs(), [])
  t.same(
    events.map(({ type }) => type),
    ['imported', 'tagged', 'untagged', 'removed'],
  )
})

t.test('packed tars, from a path and a stream', async (t) => {
  const { images, directory } = await imageWorld(t)
  const plain = await tar('x'.repeat(100_000))
  const packed = {
    'a.tar': plain,
    'a.tgz': gzipSync(plain),
    'a.zst': execFileSync('zstd', ['-q', '-c'], { input: plain }),
  }
  for (const [name, bytes] of Object.entries(packed)) {
    await writeFile(join(directory, name), bytes)
    const image = await images.import(join(directory, name))
    t.same(image.layers, [{ digest: digestOf(bytes), diffId: digestOf(plain), size: bytes.length }], name)
    t.equal((await images.import(stream(bytes))).chainId, image.chainId)
  }
})

t.test('bad input leaves nothing', async (t) => {
  const { images, layers, blobs, directory } = await imageWorld(t)
  const good = await tar('good')
  await rejectsWith(t, () => images.import(join(directory, 'none.tar')), 'ARCHIVE_INVALID', /none\.tar: no such file/)
  await rejectsWith(t, () => images.import(directory), 'ARCHIVE_INVALID', /not a regular file/)
  await rejectsWith(t, () => images.import(stream(Buffer.alloc(0))), 'ARCHIVE_INVALID', /is empty/)
  await rejectsWith(
    t,
    () => images.import(stream(gzipSync(good).subarray(0, 50))),
    'ARCHIVE_INVALID',
    /gzip data is damaged or cut off/,
  )
  await rejectsWith(t, () => images.import(stream(Buffer.from('BZh91AY'))), 'ARCHIVE_INVALID', /bzip2/)
  await rejectsWith(t, () => images.import(stream(good), { ref: 'BAD' }), 'INVALID_REFERENCE')
  await rejectsWith(t, () => images.import(stream(good), { platform: 'linux' }), 'INVALID_OPTION')
  const config = { Cmd: ['x'], workingDir: 'relative', env: ['x'], nonsense: 1 } as never
  await rejectsWith(
    t,
    () => images.import(stream(good), { config }),
    'INVALID_OPTION',
    /^config\.Cmd: is not known; write cmd\nconfig\.workingDir: must be an absolute path, got "relative"\nconfig\.env\[0\]: must be KEY=value, got "x"\nconfig\.nonsense: is not known/,
  )
  const broken = new Readable({ read() { this.destroy(new Error('the disk fell out')) } }) // prettier-ignore
  await rejectsWith(t, () => images.import(broken), 'ARCHIVE_INVALID', /the disk fell out/)
  layers.beforeApply = () => {
    throw new Error('no room')
  }
  await t.rejects(images.import(stream(good)), /no room/)
  t.same(await images.list(), [])
  t.same(await blobs(), [])
  t.equal(layers.holders.size, 0)
  t.same(await readdir(join(directory, 'blobs', 'partial')), [])
})

t.test('shared layers and blobs', async (t) => {
  const { images, layers, blobs } = await imageWorld(t)
  const directory = await temporaryDirectory(t)
  const base = await tar('base')
  const first = await makeLayout(join(directory, '1'), [{ layers: [base, await tar('first')] }])
  const second = await makeLayout(join(directory, '2'), [{ layers: [base, await tar('second')] }])
  const one = await images.load(first.directory, { ref: 'one' })
  const two = await images.load(second.directory, { ref: 'two' })
  t.equal(layers.unpacked.length, 3, 'the base was unpacked once')
  t.equal(layers.holders.size, 3)
  t.equal(layers.holders.get(one.chainId!)!.size, 1, 'the image alone holds its top')
  t.same(
    [...layers.holders.get(digestOf(base))!].sort(),
    [one.chainId, two.chainId].sort(),
    'the base is held by the layers over it alone',
  )
  await images.remove(one)
  t.equal(layers.holders.size, 2)
  t.same((await blobs()).sort(), [second.images[0]!.config, ...second.images[0]!.layers, second.digest].sort())
  await images.remove('two')
  t.same(await blobs(), [])
})

t.test('a name goes to the newest', async (t) => {
  const { images } = await imageWorld(t)
  const older = await images.import(stream(await tar('older')), { ref: 'app', created: new Date(1000) })
  const newer = await images.import(stream(await tar('newer')), { ref: 'app', created: new Date(2000) })
  t.equal((await images.get('app')).id, newer.id)
  t.same((await images.get(older.id)).names, [], 'the older one stays, without a name')
  t.same(
    (await images.list()).map(({ id }) => id),
    [newer.id, older.id],
    'the newest first',
  )
})

t.test('the beginning of an id', async (t) => {
  const { images } = await imageWorld(t)
  const seen = new Map<string, string>()
  for (let count = 0; ; count += 1) {
    const { id } = await images.import(stream(await tar('same')), { created: new Date(count) })
    const prefix = id.slice(7, 10)
    const other = seen.get(prefix)
    if (other !== undefined) {
      await rejectsWith(
        t,
        () => images.get(prefix),
        'INVALID_REFERENCE',
        /is ambiguous: [0-9a-f]{12} \(no name\), .*; write more of it/,
      )
      break
    }
    seen.set(prefix, id)
    t.equal((await images.get(prefix)).id, id)
  }
  await rejectsWith(t, () => images.get('0'.repeat(40)), 'IMAGE_NOT_FOUND')
})

t.test('images that containers use', async (t) => {
  const users: string[] = []
  const { images, layers } = await imageWorld(t, { users: () => users })
  const image = await images.import(stream(await tar('x')), { ref: 'x' })
  users.push('web', 'db')
  await rejectsWith(
    t,
    () => images.remove('x'),
    'IMAGE_IN_USE',
    /used by web, db; remove them first, or pass force: true/,
  )
  t.equal(layers.holders.size, 1)
  layers.holders.get(image.chainId!)!.add('container:web')
  await images.remove('x', { force: true })
  t.same([...layers.holders.get(image.chainId!)!], ['container:web'], 'the container keeps its layers')
  await rejectsWith(t, () => images.get('x'), 'IMAGE_NOT_FOUND')
})

t.test('a crash in the midst', async (t) => {
  const { images, layers, blobs, reopen } = await imageWorld(t)
  const directory = await temporaryDirectory(t)
  const layout = await makeLayout(directory, [{ layers: [await tar('a'), await tar('b'), await tar('c')] }])
  // What a killed process leaves is what stands while another waits for ever: the upper layers never end.
  let reached!: () => void
  const there = new Promise<void>((resolve) => (reached = resolve))
  const fail: ((error: Error) => void)[] = []
  layers.beforeApply = ({ parent }) =>
    parent === undefined
      ? undefined
      : new Promise((_, reject) => {
          if (fail.push(reject) === 2) reached()
        })
  const loading = images.load(directory, { ref: 'app' })
  await there
  while (layers.holders.size === 0) await setImmediate()
  t.equal(layers.holders.size, 1)
  const beside = await reopen()
  t.equal(layers.holders.size, 1, 'a sweep leaves the living alone')
  t.same(await beside.list(), [])
  for (const one of fail) one(new Error('killed'))
  await t.rejects(loading, /killed/)
  t.equal(layers.holders.size, 0)
  t.same(await blobs(), [])
  layers.beforeApply = () => undefined
  t.equal((await images.load(directory, { ref: 'app' })).id, layout.images[0]!.config)
})

t.test('pull', needs('skopeo', 'docker-registry', 'busybox'), async (t) => {
  const registry = await startRegistry(t)
  const layout = await busyboxLayout(await temporaryDirectory(t))
  await pushLayout(layout, `${registry.host}/app:1`)
  const { images, layers, events, blobs } = await imageWorld(t)
  const phases: string[] = []
  const image = await images.pull(`${registry.host}/app:1`, {
    onProgress: ({ kind, phase }) => phases.push(`${kind} ${phase}`),
  })
  t.equal(image.id, layout.images[0]!.config)
  t.equal(image.digest, layout.digest)
  for (const phase of [
    'manifest done',
    'config done',
    'layer download',
    'layer done',
    'layer unpack',
    'layer unpacked',
  ]) {
    t.ok(phases.includes(phase), phase)
  }
  t.match(events, [{ type: 'pulled', id: image.id, names: [`${registry.host}/app:1`] }])
  await skopeoCopy(`docker://${registry.host}/app:1`, `docker://${registry.host}/app:2`, '--format', 'v2s2')
  const all = await Promise.all([1, 2, 1, 2].map((tag) => images.pull(`${registry.host}/app:${String(tag)}`)))
  t.same(new Set(all.map(({ id }) => id)), new Set([image.id]), 'one config under two manifests')
  t.same((await images.get(image.id)).digests.length, 2)
  t.same((await images.get(image.id)).names, [`${registry.host}/app:1`, `${registry.host}/app:2`])
  t.equal(layers.unpacked.length, 2)
  await rejectsWith(t, () => images.pull(`${registry.host}/app:3`), 'IMAGE_NOT_FOUND')
  await rejectsWith(t, () => images.pull('app', { auth: { username: 'x' } as never }), 'INVALID_OPTION', /^auth: /)
  const controller = new AbortController()
  controller.abort()
  await rejectsWith(t, () => images.pull(`${registry.host}/app:1`, { signal: controller.signal }), 'ABORTED')
  for (const { id } of await images.list()) await images.remove(id)
  t.same(await blobs(), [])
  t.equal(layers.holders.size, 0)
})

t.test('layers are unpacked while others are on their way', async (t) => {
  const directory = await temporaryDirectory(t)
  const layout = await makeLayout(directory, [{ layers: [await tar('a'), await tar('b')] }])
  const [image] = layout.images
  const held: (() => void)[] = []
  const server = await startServer(t, (request, response) => {
    const digest = request.url?.includes('/manifests/')
      ? layout.digest
      : (/sha256:[0-9a-f]{64}$/.exec(request.url ?? '')?.[0] ?? '')
    const send = async (): Promise<void> => {
      response.end(await readFile(join(directory, 'blobs/sha256', digest.slice(7))))
    }
    if (digest === image!.layers[1]) held.push(() => void send())
    else void send()
  })
  const { images, layers, blobs } = await imageWorld(t)
  const onProgress = ({ phase }: ImageProgress): void => {
    if (phase === 'unpacked') for (const send of held.splice(0)) send()
  }
  t.equal((await images.pull(`${server.host}/app:1`, { onProgress })).id, image!.config)
  await images.remove(`${server.host}/app:1`)

  layers.beforeApply = () => {
    throw new PodlingError('LAYER_INVALID', 'a bad layer')
  }
  await rejectsWith(t, () => images.pull(`${server.host}/app:1`), 'LAYER_INVALID', /a bad layer/)
  t.same(await blobs(), [], 'the other download was ended')
  t.equal(layers.holders.size, 0)
})

t.test('many layers warn of nothing', async (t) => {
  const { images } = await imageWorld(t)
  const warnings: string[] = []
  const note = ({ name }: Error): void => void warnings.push(name)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const directory = await temporaryDirectory(t)
  const layers = await Promise.all(Array.from({ length: 30 }, (_, i) => tar(String(i))))
  await makeLayout(directory, [{ layers }])
  await images.load(directory, { ref: 'many', signal: new AbortController().signal })
  t.strictSame(warnings, [])
})

t.test('on real layers', needs('root', 'busybox'), async (t) => {
  const directory = await temporaryDirectory(t, 'podling-images-')
  const database = await Database.open(join(directory, 'db'))
  t.teardown(() => database.close())
  const content = await ContentStore.open(join(directory, 'blobs'))
  const layers = await Layers.open(join(directory, 'layers'), database, openUnpacker)
  t.teardown(() => layers.close())
  const images = await Images.open({ directory, database, content, layers, authFiles: [] })
  await busyboxLayout(join(directory, 'layout'))
  const image = await images.load(join(directory, 'layout'), { ref: 'busybox' })
  const [upper = '', lower = ''] = layers.lower(image.chainId!)
  t.equal(await readFile(join(upper, 'etc/motd'), 'utf8'), 'hello from the second layer\n')
  t.equal(execFileSync(join(lower, 'bin/busybox'), ['echo', 'hi']).toString(), 'hi\n')

  const hostile = await makeTar([{ name: '../../escaped', content: 'x' }])
  await rejectsWith(t, () => images.import(stream(hostile)), 'LAYER_INVALID')
  const bomb = gzipSync(await makeTar([{ name: 'zeros', content: Buffer.alloc(5_000_000) }]))
  const limited = await Images.open({
    directory,
    database,
    content,
    layers,
    authFiles: [],
    rules: { maxBytes: 1_000_000 },
  })
  await rejectsWith(t, () => limited.import(stream(bomb)), 'LAYER_TOO_LARGE')
  await rejectsWith(t, () => images.import(stream(Buffer.from('no tar at all'.repeat(100)))), 'LAYER_INVALID')
  t.same(
    (await images.list()).map(({ id }) => id),
    [image.id],
  )
  t.equal(layers.list().length, 2, 'nothing of what failed is left')
  await images.remove('busybox')
  t.same(layers.list(), [])
  t.same(await readdir(join(directory, 'blobs/sha256')), [])
})
