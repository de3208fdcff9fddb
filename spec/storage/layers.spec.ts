import t from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { PodlingError } from '../../lib/errors.js'
import { sha256 } from '../../lib/image/digest.js'
import { Database } from '../../lib/storage/database.js'
import { directoryFormat } from '../../lib/storage/layer-format.js'
import { Layers } from '../../lib/storage/layers.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { layerCases } from '../fixtures/layer-cases.js'
import { openStore, source } from '../fixtures/layer-store.js'
import { digestOf, tar } from '../fixtures/tar.js'
import { openUnpacker } from '../fixtures/unpacker.js'

const modules = {
  database: new URL('../../lib/storage/database.js', import.meta.url).href,
  layers: new URL('../../lib/storage/layers.js', import.meta.url).href,
  unpacker: new URL('../fixtures/unpacker.js', import.meta.url).href,
}

layerCases(directoryFormat)

t.test('the wrong diff id', async (t) => {
  const { root, layers } = await openStore(t)
  const right = source(root, tar({ name: 'x' }))
  await t.rejects(layers.apply({ ...right, diffId: sha256('other') }), { code: 'DIGEST_MISMATCH' })
  await t.rejects(layers.apply({ ...right, diffId: '../../x' }), { code: 'IMAGE_INVALID' })
  await t.rejects(layers.apply({ ...right, blob: join(root, 'none') }), {
    code: 'SYSTEM_CALL_FAILED',
    message: /ENOENT/,
  })
  await t.rejects(layers.apply({ ...right, parent: sha256('nobody') }), { code: 'STATE_INVALID' })
  t.strictSame(readdirSync(join(root, 'layers')), ['tmp'])
  t.strictSame(readdirSync(join(root, 'layers', 'tmp')), [])
})

t.test('layers stand on layers, and go when nobody holds them', async (t) => {
  const { root, layers, database } = await openStore(t)
  const base = await layers.apply(source(root, tar({ name: './', type: '5', mode: 0o711, gid: 5 })), {
    holder: 'image:a',
  })
  const middle = await layers.apply({ ...source(root, tar({ name: 'm' })), parent: base })
  const top = await layers.apply({ ...source(root, tar({ name: 't' })), parent: middle }, { holder: 'image:a' })
  const other = await layers.apply({ ...source(root, tar({ name: 'o' })), parent: middle }, { holder: 'image:b' })
  t.equal(middle, sha256(`${base} ${digestOf(tar({ name: 'm' }))}`))
  t.strictSame(
    layers.lower(top).map((path) => readdirSync(path)),
    [['t'], ['m'], []],
  )
  t.match(statSync(layers.lower(top)[0]!), { mode: 0o40711, gid: 5 }, 'a root without an entry is as below')
  await layers.release(base, 'image:a')
  t.ok(layers.has(base), 'held by the layer above')
  await database.transaction(() => {
    void layers.reference(top, 'container:1')
  })
  await layers.release(top, 'image:a')
  t.ok(layers.has(top), 'held by a container')
  await layers.release(top, 'container:1')
  t.strictSame(
    [top, middle, base].map((id) => layers.has(id)),
    [false, true, true],
  )
  t.throws(() => layers.lower(top), { code: 'STATE_INVALID' })
  await t.rejects(layers.reference(top, 'x'), { code: 'STATE_INVALID' })
  await layers.release(top, 'container:1')
  await layers.release(other, 'image:b')
  t.strictSame(readdirSync(join(root, 'layers')), ['tmp'])
  t.strictSame(readdirSync(join(root, 'layers', 'tmp')), [])
  t.strictSame([...database.table('layer-references').entries()], [])
})

t.test('a layer is applied once, however many ask for it', async (t) => {
  const { root, layers } = await openStore(t)
  const layer = source(root, tar({ name: 'x', contents: randomBytes(2_000_000) }), 'gzip')
  const script = `
    const { Database } = await import(${JSON.stringify(modules.database)})
    const { Layers } = await import(${JSON.stringify(modules.layers)})
    const { openUnpacker } = await import(${JSON.stringify(modules.unpacker)})
    let opened = 0
    const database = await Database.open(${JSON.stringify(join(root, 'db'))})
    const layers = await Layers.open(${JSON.stringify(join(root, 'layers'))}, database, (directory) => (opened++, openUnpacker(directory)))
    await layers.apply(${JSON.stringify(layer)}, { holder: 'process:' + process.pid })
    console.log(opened)
    await layers.close()
    await database.close()`
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const outputs = children.map(async (child) => Number((await child.stdout.toArray()).join('')))
  const ids = await Promise.all([1, 2, 3].map((n) => layers.apply(layer, { holder: `call:${String(n)}` })))
  t.equal(new Set(ids).size, 1)
  const elsewhere = await Promise.all(outputs)
  t.ok(
    elsewhere.every((opened) => opened <= 1),
    elsewhere.join(' '),
  )
  t.strictSame(readdirSync(layers.lower(ids[0]!)[0]!), ['x'])
})

t.test('abort', async (t) => {
  const { root, layers } = await openStore(t)
  const layer = source(
    root,
    tar(...Array.from({ length: 60 }, (_, i) => ({ name: String(i), contents: randomBytes(1_000_000) }))),
    'gzip',
  )
  await t.rejects(layers.apply(layer, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  const controller = new AbortController()
  const progress: number[] = []
  const applied = layers.apply(layer, {
    signal: controller.signal,
    onProgress({ bytes, total }) {
      progress.push(bytes)
      t.equal(total, statSync(layer.blob).size)
      controller.abort(new Error('enough'))
    },
  })
  await t.rejects(applied, { code: 'ABORTED', cause: { message: 'enough' } })
  t.ok(progress.length > 0)
  t.strictSame(readdirSync(join(root, 'layers', 'tmp')), [])
  t.ok(layers.has(await layers.apply(layer)), 'and again')
})

t.test('a process that is killed leaves halves, and open() removes them', async (t) => {
  const root = await temporaryDirectory(t)
  const layer = source(
    root,
    tar(...Array.from({ length: 40 }, (_, i) => ({ name: `dir/${String(i)}`, contents: randomBytes(1_000_000) }))),
    'gzip',
  )
  const script = `
    const { Database } = await import(${JSON.stringify(modules.database)})
    const { Layers } = await import(${JSON.stringify(modules.layers)})
    const { openUnpacker } = await import(${JSON.stringify(modules.unpacker)})
    const database = await Database.open(${JSON.stringify(join(root, 'db'))})
    const layers = await Layers.open(${JSON.stringify(join(root, 'layers'))}, database, openUnpacker)
    await layers.apply(${JSON.stringify(layer)}, { onProgress: () => process.kill(process.pid, 'SIGKILL') })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
  const [, signal] = (await once(child, 'exit')) as [number, string]
  t.equal(signal, 'SIGKILL')
  t.ok(readdirSync(join(root, 'layers', 'tmp')).length > 0, 'something is left')
  // A layer that got its name, but whose process died before it was known.
  mkdirSync(join(root, 'layers', 'f'.repeat(64), 'diff'), { recursive: true })
  const { layers } = await openStore(t, { root })
  t.strictSame(readdirSync(join(root, 'layers', 'tmp')), [])
  t.strictSame(readdirSync(join(root, 'layers')), ['tmp'])
  t.ok(layers.has(await layers.apply(layer)))
})

t.test('the event loop runs while a layer is unpacked', async (t) => {
  const { root, layers } = await openStore(t)
  const layer = source(
    root,
    tar(...Array.from({ length: 30 }, (_, i) => ({ name: String(i), contents: randomBytes(1_000_000) }))),
    'gzip',
  )
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  await layers.apply(layer)
  clearInterval(timer)
  t.ok(ticks > 10, `${String(ticks)} ticks`)
})

t.test('an unpacker that is gone', async (t) => {
  const root = await temporaryDirectory(t)
  const database = await Database.open(join(root, 'db'))
  const layers = await Layers.open(join(root, 'layers'), database, async (directory) => {
    const opened = await openUnpacker(directory)
    // As if it had been killed: nothing of a status comes.
    closeSync(opened.status)
    return { ...opened, status: openSync('/dev/null', 'r') }
  })
  const error: PodlingError = await layers.apply(source(root, tar({ name: 'x' }))).then(
    () => t.fail('applied') as never,
    (error: unknown) => error as PodlingError,
  )
  t.equal(error.code, 'SYSTEM_CALL_FAILED', error.message)
  await layers.close()
  await database.close()
})

t.test('layers stand apart on a disk that asks for it', async (t) => {
  const { root } = await openStore(t)
  const isExt4 = statfsSync(root).type === 0xef53
  const flags = isExt4 ? execFileSync('lsattr', ['-d', join(root, 'layers', 'tmp')], { encoding: 'utf8' }) : ''
  t.equal(flags.split(' ')[0]!.includes('T'), isExt4, 'the top of a hierarchy of directories')
})
