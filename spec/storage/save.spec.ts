/** Saving images, and reading them back with skopeo, podman and our own load. */
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { imageWorld } from '../fixtures/image-world.js'
import { busyboxLayout, digestOf, makeLayout, makeTar, skopeoCopy } from '../fixtures/images.js'
import { randomSource } from '../fixtures/random.js'
import { needs } from '../peers.js'

const run = promisify(execFile)
const formats = ['oci-archive', 'docker-archive', 'oci-dir'] as const
const transports = { 'oci-archive': 'oci-archive', 'docker-archive': 'docker-archive', 'oci-dir': 'oci' } as const

t.test('each format, read by others', needs('root', 'skopeo', 'podman', 'busybox'), async (t) => {
  const { images } = await imageWorld(t)
  const layout = await busyboxLayout(await temporaryDirectory(t), { Cmd: ['/bin/sh'], Labels: { made: 'here' } })
  const image = await images.load(layout.directory, { ref: 'example.com/app:1' })
  for (const format of formats) {
    const directory = await temporaryDirectory(t)
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const path = join(directory, 'saved')
    await images.save('example.com/app:1', path, { format })

    const skopeo = `${transports[format]}:${path}:example.com/app:1`
    const copy = join(directory, 'copy')
    // To an archive of the same kind: from one to the other skopeo writes the config anew.
    const target = format === 'docker-archive' ? `docker-archive:${copy}:x:1` : `oci:${copy}:latest`
    await skopeoCopy(skopeo, target, ...(format === 'docker-archive' ? [] : ['--preserve-digests']))
    const seen = await (await imageWorld(t)).images.load(copy)
    t.equal(seen.id, image.id, `${format}: skopeo`)
    if (format !== 'docker-archive') t.equal(seen.digest, layout.digest, `${format}: the manifest as it was`)

    const storage = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs']
    const podman = (...argv: string[]): Promise<{ stdout: string }> => run('podman', [...storage, ...argv])
    if (format === 'oci-dir') await podman('pull', '-q', `oci:${path}:example.com/app:1`)
    else {
      await podman('load', '-q', '-i', path)
      t.match((await podman('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout, 'example.com/app:1')
    }
    const { stdout } = await podman('images', '-q', '--no-trunc')
    t.equal(stdout.trim(), image.id, `${format}: podman`)

    const own = await (await imageWorld(t)).images.load(path)
    t.equal(own.id, image.id)
    t.same(own.names, ['example.com/app:1'])
    if (format !== 'docker-archive') {
      t.equal(own.digest, layout.digest)
      t.same(own.layers, image.layers)
    }
    const again = join(directory, 'again')
    await images.save(image, again, { format })
    if (format !== 'oci-dir')
      t.ok((await readFile(again)).equals(await readFile(path)), 'the same image, the same bytes')
  }
})

t.test('several images, layers packed in all ways', needs('skopeo'), async (t) => {
  const { images } = await imageWorld(t)
  const shared = await makeTar([{ name: 'shared', content: randomSource(1).bytes(50_000) }])
  const own = await makeTar([{ name: 'own', content: 'x' }])
  const directory = await temporaryDirectory(t)
  const plain = await makeLayout(join(directory, 'plain'), [{ layers: [shared], compression: 'none' }])
  const gzip = await makeLayout(join(directory, 'gzip'), [{ layers: [shared, own] }])
  const one = await images.load(plain.directory, { ref: 'one' })
  const two = await images.load(gzip.directory, { ref: 'two' })
  await images.tag(two, 'two:also')
  const made = [one, two]
  await skopeoCopy(
    `oci:${gzip.directory}:latest`,
    `oci:${join(directory, 'zstd')}:latest`,
    '--dest-compress-format',
    'zstd',
    '--dest-compress',
  )
  made.push(await images.load(join(directory, 'zstd'), { ref: 'three' }))
  for (const format of formats) {
    const path = join(directory, format)
    await images.save(['one', two, 'three'], path, { format })
    const world = await imageWorld(t)
    const loaded = await world.images.loadAll(path)
    const names = loaded.flatMap((image) => image.names)
    t.same(
      names.sort(),
      ['one:latest', 'three:latest', 'two:also', 'two:latest'].map((name) => `docker.io/library/${name}`),
      format,
    )
    t.same(new Set(loaded.map(({ id }) => id)), new Set(made.map(({ id }) => id)))
  }
})

t.test('an index, whole', async (t) => {
  const { images } = await imageWorld(t)
  const own = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const layout = await makeLayout(await temporaryDirectory(t), [
    { layers: [await makeTar([{ name: 'a', content: 'a' }])], architecture: own },
    { layers: [await makeTar([{ name: 'b', content: 'b' }])], architecture: 's390x' },
  ])
  const image = await images.load(layout.directory, { allPlatforms: true, ref: 'many' })
  const path = join(await temporaryDirectory(t), 'many.tar')
  await images.save(image, path)
  const other = await imageWorld(t)
  t.equal((await other.images.load(path, { allPlatforms: true })).index, layout.digest)
  t.equal((await (await imageWorld(t)).images.load(path, { platform: 'linux/s390x' })).id, layout.images[1]!.config)
  await images.save(image, path, { allPlatforms: false })
  t.equal((await (await imageWorld(t)).images.load(path)).digest, layout.images[0]!.manifest)
  await images.save(image, path, { format: 'docker-archive' })
  t.equal((await (await imageWorld(t)).images.load(path)).id, image.id, 'a docker-archive has this platform')
  await rejectsWith(
    t,
    () => images.save(image, path, { format: 'docker-archive', allPlatforms: true }),
    'INVALID_OPTION',
    /holds one platform/,
  )
})

t.test('destinations', async (t) => {
  const { images, content } = await imageWorld(t)
  const layer = await makeTar([{ name: 'a', content: randomSource(3).bytes(600_000) }])
  const layout = await makeLayout(await temporaryDirectory(t), [{ layers: [layer], compression: 'none' }])
  const image = await images.load(layout.directory, { ref: 'app' })
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'app.tar')

  await t.test('streams', async (t) => {
    const through = new PassThrough()
    const [bytes] = await Promise.all([buffer(through), images.save(image, through)])
    await images.save(image, createWriteStream(path))
    t.ok(bytes.equals(await readFile(path)))
    const broken = new Writable({ write: (_, __, done) => { done(new Error('no more')) } }) // prettier-ignore
    await rejectsWith(t, () => images.save(image, broken), 'SYSTEM_CALL_FAILED', /save to a stream: no more/)
    await rejectsWith(
      t,
      () => images.save(image, new PassThrough(), { format: 'oci-dir' }),
      'INVALID_OPTION',
      /give its path/,
    )
  })

  await t.test('a failed save leaves what was there', async (t) => {
    const before = await readFile(path)
    const blob = content.path(digestOf(layer))
    const good = await readFile(blob)
    const bad = Buffer.from(good)
    bad[599_000]! ^= 1
    const target = join(directory, 'layout')
    for (const [change, code] of [
      [() => writeFile(blob, bad), 'DIGEST_MISMATCH'],
      [() => truncate(blob, 1000), 'SIZE_MISMATCH'],
      [() => rm(blob), 'BLOB_NOT_FOUND'],
    ] as const) {
      await change()
      for (const format of ['oci-archive', 'docker-archive'] as const)
        await rejectsWith(t, () => images.save(image, path, { format }), code)
      await rejectsWith(t, () => images.save(image, target, { format: 'oci-dir' }), code)
    }
    await writeFile(blob, good)
    t.ok((await readFile(path)).equals(before))
    t.same(await readdir(directory), ['app.tar'], 'and nothing else')
    const ending = new AbortController()
    const onProgress = (): void => { ending.abort() } // prettier-ignore
    await rejectsWith(t, () => images.save(image, path, { onProgress, signal: ending.signal }), 'ABORTED')
    t.same(await readdir(directory), ['app.tar'])
  })

  await t.test('a file is replaced, all else is not', async (t) => {
    await writeFile(path, 'old')
    await images.save(image, path)
    t.ok((await stat(path)).size > 600_000)
    await mkdir(join(directory, 'full'))
    await writeFile(join(directory, 'full', 'mine'), '')
    await rejectsWith(
      t,
      () => images.save(image, join(directory, 'full'), { format: 'oci-dir' }),
      'INVALID_OPTION',
      /not empty \(mine is in it\)/,
    )
    await rejectsWith(t, () => images.save(image, join(directory, 'full')), 'INVALID_OPTION', /is a directory/)
    await rejectsWith(t, () => images.save(image, '/dev/null'), 'INVALID_OPTION', /pass a stream/)
    await rejectsWith(t, () => images.save(image, join(directory, 'none', 'x')), 'INVALID_OPTION', /no such directory/)
    await rejectsWith(t, () => images.save([], path), 'INVALID_OPTION', /no image/)
    await rejectsWith(
      t,
      () => images.save(image, path, { format: 'zip' as 'oci-dir' }),
      'INVALID_OPTION',
      /must be oci-archive/,
    )
    await rejectsWith(t, () => images.save('none', path), 'IMAGE_NOT_FOUND')
  })
})
