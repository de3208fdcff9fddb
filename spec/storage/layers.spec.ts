import t, { type Test } from 'tap'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { PodlingError } from '../../lib/errors.js'
import { sha256 } from '../../lib/image/digest.js'
import { Database } from '../../lib/storage/database.js'
import type { ApplyOptions, LayerSource } from '../../lib/storage/layer-types.js'
import { Layers } from '../../lib/storage/layers.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { randomSource } from '../fixtures/random.js'
import { digestOf, longName, tar, type RawEntry } from '../fixtures/tar.js'
import { openUnpacker } from '../fixtures/unpacker.js'

const modules = {
  database: new URL('../../lib/storage/database.js', import.meta.url).href,
  layers: new URL('../../lib/storage/layers.js', import.meta.url).href,
  unpacker: new URL('../fixtures/unpacker.js', import.meta.url).href,
}

interface Store {
  readonly root: string
  readonly database: Database
  readonly layers: Layers
}

async function openStore(t: Test, root?: string): Promise<Store> {
  const directory = root ?? (await temporaryDirectory(t))
  const database = await Database.open(join(directory, 'db'))
  const layers = await Layers.open(join(directory, 'layers'), database, openUnpacker)
  t.teardown(async () => {
    await layers.close()
    await database.close()
  })
  return { root: directory, database, layers }
}

let blobs = 0
function source(root: string, bytes: Buffer, compression: LayerSource['compression'] = 'none'): LayerSource {
  const blob = join(root, `blob-${String(blobs++)}`)
  writeFileSync(blob, compression === 'gzip' ? gzipSync(bytes) : bytes)
  if (compression === 'zstd')
    writeFileSync(blob, execFileSync('zstd', ['-q', '-c'], { input: bytes, maxBuffer: 2 ** 30 }))
  return { diffId: digestOf(bytes), blob, compression }
}

/** Apply a tar of these entries. @returns the layer's directory */
async function apply({ root, layers }: Store, entries: (RawEntry | Buffer)[], options?: ApplyOptions): Promise<string> {
  return layers.lower(await layers.apply(source(root, tar(...entries)), options))[0]!
}

/** Apply a tar that must be refused with nothing left of it. */
async function refused(
  t: Test,
  store: Store,
  entries: (RawEntry | Buffer)[],
  expected: { code: string; message?: RegExp },
  options?: ApplyOptions,
): Promise<void> {
  const before = readdirSync(join(store.root, 'layers')).sort()
  const error: unknown = await apply(store, entries, options).then(
    (directory) => `applied to ${directory}`,
    (error: unknown) => error,
  )
  t.match(error, expected)
  t.strictSame(readdirSync(join(store.root, 'layers')).sort(), before)
  t.strictSame(readdirSync(join(store.root, 'layers', 'tmp')), [])
}

const isWhiteout = (path: string): boolean => lstatSync(path).isCharacterDevice() && lstatSync(path).rdev === 0
const xattr = (path: string, name: string): string =>
  spawnSync('getfattr', ['-h', '--only-values', '-n', name, path], { encoding: 'latin1' }).stdout

t.test('what is in a tar is in the layer', async (t) => {
  const store = await openStore(t)
  const capability = Buffer.from('0000000200200000000000000000000000000000', 'hex')
  const diff = await apply(store, [
    { name: './', type: '5', mode: 0o750, uid: 3, gid: 4, mtime: 1_600_000_000 },
    { name: 'dir/', type: '5', mode: 0o2775, uid: 1, gid: 50, mtime: 1_500_000_000 },
    { name: 'dir/file', contents: 'contents', mode: 0o640, pax: { mtime: '1400000000.123456789' } },
    { name: 'dir/setuid', mode: 0o4755, uid: 4294967294, gid: 4294967294, contents: 'x' },
    {
      name: 'dir/capable',
      mode: 0o755,
      contents: 'y',
      uid: 9,
      pax: { 'SCHILY.xattr.security.capability': capability, 'SCHILY.xattr.user.note': 'hi' },
    },
    { name: 'dir/hard', type: '1', link: 'dir/file' },
    { name: 'soft', type: '2', link: '/etc/passwd', uid: 7, gid: 8, mtime: 1_300_000_000 },
    { name: 'null', type: '3', major: 1, minor: 3, mode: 0o666 },
    { name: 'disk', type: '4', major: 259, minor: 70000, mode: 0o660, gid: 6 },
    { name: 'fifo', type: '6', mode: 0o600 },
    { name: 'not/announced/deep', contents: 'deep' },
  ])
  t.match(statSync(diff), { mode: 0o40750, uid: 3, gid: 4, mtimeMs: 1_600_000_000_000 })
  t.match(statSync(join(diff, 'dir')), { mode: 0o42775, uid: 1, gid: 50, mtimeMs: 1_500_000_000_000 })
  const file = statSync(join(diff, 'dir/file'), { bigint: true })
  t.match(file, { mode: 0o100640n, uid: 0n, gid: 0n, mtimeNs: 1400000000123456789n, nlink: 2n })
  t.equal(readFileSync(join(diff, 'dir/hard'), 'utf8'), 'contents')
  t.match(statSync(join(diff, 'dir/setuid')), { mode: 0o104755, uid: 4294967294, gid: 4294967294 })
  t.equal(
    Buffer.from(xattr(join(diff, 'dir/capable'), 'security.capability'), 'latin1').toString('hex'),
    capability.toString('hex'),
  )
  t.equal(xattr(join(diff, 'dir/capable'), 'user.note'), 'hi')
  t.equal(readlinkSync(join(diff, 'soft')), '/etc/passwd')
  t.match(lstatSync(join(diff, 'soft')), { uid: 7, gid: 8, mtimeMs: 1_300_000_000_000 })
  const device = (name: string): string =>
    execFileSync('stat', ['-c', '%F %a %t:%T', join(diff, name)], { encoding: 'utf8' }).trim()
  t.equal(device('null'), 'character special file 666 1:3')
  t.equal(device('disk'), 'block special file 660 103:11170')
  t.equal(device('fifo'), 'fifo 600 0:0')
  t.equal(readFileSync(join(diff, 'not/announced/deep'), 'utf8'), 'deep')
  t.equal(statSync(join(diff, 'not/announced')).mode & 0o7777, 0o755)
})

t.test('it is what GNU tar makes of a random tree', async (t) => {
  const store = await openStore(t)
  const tree = join(store.root, 'tree')
  const expected = join(store.root, 'expected')
  mkdirSync(expected)
  makeTree(tree, 42)
  execFileSync(
    'tar',
    ['--format=posix', '--xattrs', '--xattrs-include=*', '-cS', '-f', join(store.root, 'tree.tar'), '-C', tree, '.'],
    { stdio: 'pipe' },
  )
  execFileSync(
    'tar',
    ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', join(store.root, 'tree.tar'), '-C', expected],
    { stdio: 'pipe' },
  )
  const bytes = readFileSync(join(store.root, 'tree.tar'))
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const chainId = await store.layers.apply(source(store.root, bytes, compression))
    const diff = store.layers.lower(chainId)[0]!
    const found = listing(diff)
    t.ok(found.length > 300)
    t.strictSame(found, listing(expected), compression)
    t.strictSame(checksums(diff), checksums(expected))
    t.ok(statSync(join(diff, 'holes')).blocks < 200, 'holes are holes')
    await store.layers.prune()
    t.notOk(existsSync(diff))
  }
})

t.test('whiteouts and opaque directories', async (t) => {
  const store = await openStore(t)
  const diff = await apply(store, [
    { name: '.wh.gone' },
    { name: 'dir/.wh.gone.too', mode: 0 },
    { name: 'opaque/', type: '5' },
    { name: 'opaque/.wh..wh..opq' },
    { name: 'opaque/new', contents: 'n' },
    { name: 'implicit/.wh..wh..opq' },
    // What the layer itself has stays, whichever comes first.
    { name: 'before', contents: 'b' },
    { name: '.wh.before' },
    { name: '.wh.after' },
    { name: 'after', contents: 'a' },
    { name: 'dirbefore/', type: '5' },
    { name: 'dirbefore/child', contents: 'c' },
    { name: '.wh.dirbefore' },
    { name: '.wh.dirafter' },
    { name: 'dirafter/', type: '5' },
    { name: '.wh.parent' },
    { name: '.wh..wh.plnk/1.2', contents: 'aufs' },
    { name: '.wh..wh.aufs', contents: 'aufs' },
    { name: 'linked.wh.x', type: '1', link: 'before' },
    { name: '.wh.link', type: '1', link: 'before' },
  ])
  for (const name of ['gone', 'dir/gone.too', 'parent', 'link']) t.ok(isWhiteout(join(diff, name)), name)
  for (const name of ['opaque', 'implicit', 'dirbefore', 'dirafter'])
    t.equal(xattr(join(diff, name), 'trusted.overlay.opaque'), 'y', name)
  t.equal(xattr(join(diff, 'dir'), 'trusted.overlay.opaque'), '')
  t.equal(readFileSync(join(diff, 'before'), 'utf8'), 'b')
  t.equal(readFileSync(join(diff, 'after'), 'utf8'), 'a')
  t.equal(readFileSync(join(diff, 'dirbefore/child'), 'utf8'), 'c')
  t.ok(statSync(join(diff, 'dirafter')).isDirectory())
  t.notOk(readdirSync(diff).some((name) => name.startsWith('.wh.')))
  await refused(t, store, [{ name: 'a/.wh.' }], { code: 'LAYER_INVALID', message: /whiteout/ })
  await refused(t, store, [{ name: 'a/.wh..' }], { code: 'LAYER_INVALID', message: /whiteout/ })
  await refused(t, store, [{ name: '.wh...' }], { code: 'LAYER_INVALID', message: /whiteout/ })
  await refused(t, store, [{ name: 'file' }, { name: 'file/.wh..wh..opq' }], { code: 'LAYER_INVALID' })
  const user = await apply(store, [{ name: 'o/.wh..wh..opq' }, { name: 'x' }], { overlayXattrs: 'user' })
  t.equal(xattr(join(user, 'o'), 'user.overlay.opaque'), 'y')
})

t.test("overlay's attributes and security labels in a tar are left out", async (t) => {
  const store = await openStore(t)
  const diff = await apply(store, [
    {
      name: 'd/',
      type: '5',
      pax: {
        'SCHILY.xattr.trusted.overlay.redirect': '/etc',
        'SCHILY.xattr.trusted.overlay.opaque': 'y',
        'SCHILY.xattr.user.overlay.opaque': 'y',
        'SCHILY.xattr.security.selinux': 'system_u:object_r:etc_t:s0',
        'SCHILY.xattr.trusted.mine': 'kept',
      },
    },
  ])
  const names = execFileSync('getfattr', ['-d', '-m', '-', '--absolute-names', join(diff, 'd')], { encoding: 'utf8' })
  t.match(names, /trusted\.mine="kept"/)
  t.notMatch(names, /overlay|selinux/)
})

t.test('a later entry takes the place of an earlier one', async (t) => {
  const store = await openStore(t)
  const diff = await apply(store, [
    { name: 'a', contents: 'long contents' },
    { name: 'a', contents: 'short' },
    { name: 'b/', type: '5' },
    { name: 'b/c/d', contents: 'x' },
    { name: 'b', contents: 'now a file' },
    { name: 'c', contents: 'x' },
    { name: 'c/', type: '5', mode: 0o700 },
    { name: 'c/', type: '5', mode: 0o711 },
    { name: 'target', contents: 'untouched' },
    { name: 'link', type: '2', link: 'target' },
    { name: 'link', contents: 'a file, not what it led to' },
    { name: 'to', type: '2', link: 'real' },
    { name: 'real/', type: '5' },
    { name: 'to/', type: '5' },
    { name: 'to/inside', contents: 'i' },
    { name: 'self', contents: 's' },
    { name: 'self', type: '1', link: './self' },
    { name: 'e', contents: '1' },
    { name: 'f', contents: '2' },
    { name: 'f', type: '1', link: 'e' },
    { name: 'n', type: '3', major: 1, minor: 3 },
    { name: 'n', type: '6' },
    { name: 'n', type: '2', link: 'x' },
  ])
  t.equal(readFileSync(join(diff, 'a'), 'utf8'), 'short')
  t.equal(readFileSync(join(diff, 'b'), 'utf8'), 'now a file')
  t.equal(statSync(join(diff, 'c')).mode & 0o777, 0o711)
  t.equal(readFileSync(join(diff, 'target'), 'utf8'), 'untouched')
  t.ok(lstatSync(join(diff, 'link')).isFile())
  t.ok(lstatSync(join(diff, 'to')).isDirectory(), 'a directory is not the link that stood there')
  t.strictSame(readdirSync(join(diff, 'real')), [])
  t.equal(readFileSync(join(diff, 'self'), 'utf8'), 's')
  t.equal(readFileSync(join(diff, 'f'), 'utf8'), '1')
  t.ok(lstatSync(join(diff, 'n')).isSymbolicLink())
})

t.test('links inside the layer are followed to a parent, never out', async (t) => {
  const store = await openStore(t)
  const outside = join(store.root, 'outside')
  mkdirSync(outside)
  const diff = await apply(store, [
    { name: 'usr/lib/', type: '5' },
    { name: 'lib', type: '2', link: 'usr/lib' },
    { name: 'lib/file', contents: 'merged' },
    { name: 'usr/up', type: '2', link: '../usr/lib' },
    { name: 'usr/up/second', contents: 'up' },
  ])
  t.equal(readFileSync(join(diff, 'usr/lib/file'), 'utf8'), 'merged')
  t.equal(readFileSync(join(diff, 'usr/lib/second'), 'utf8'), 'up')
  const out = { code: 'LAYER_INVALID', message: /leads out/ }
  await refused(
    t,
    store,
    [
      { name: 'l', type: '2', link: outside },
      { name: 'l/x', contents: 'evil' },
    ],
    out,
  )
  await refused(
    t,
    store,
    [
      { name: 'l', type: '2', link: '/' },
      { name: 'l/x', type: '5' },
    ],
    out,
  )
  await refused(
    t,
    store,
    [
      { name: 'l', type: '2', link: '../../../outside' },
      { name: 'l/x', contents: 'evil' },
    ],
    out,
  )
  await refused(
    t,
    store,
    [
      { name: 'a/b', type: '2', link: '../..' },
      { name: 'a/b/x', type: '6' },
    ],
    out,
  )
  await refused(t, store, [{ name: 'l', type: '2', link: outside }, { name: 'l/.wh.x' }], out)
  await refused(t, store, [{ name: 'l', type: '2', link: outside }, { name: 'l/.wh..wh..opq' }], {
    code: 'LAYER_INVALID',
  })
  await refused(
    t,
    store,
    [
      { name: 'l', type: '2', link: outside },
      { name: 'h', type: '1', link: 'l/x' },
    ],
    out,
  )
  await refused(t, store, [{ name: 'a', type: '2', link: 'b' }, { name: 'b', type: '2', link: 'a' }, { name: 'a/x' }], {
    code: 'LAYER_INVALID',
    message: /loop/,
  })
  await refused(t, store, [{ name: 'a', type: '2', link: 'nowhere' }, { name: 'a/x' }], { code: 'LAYER_INVALID' })
  await refused(t, store, [{ name: 'f', contents: 'x' }, { name: 'f/x' }], {
    code: 'LAYER_INVALID',
    message: /not a directory/,
  })
  const linked = await apply(store, [
    { name: 'l', type: '2', link: outside },
    { name: 'h', type: '1', link: 'l' },
    { name: 'h', contents: 'x' },
  ])
  t.ok(lstatSync(join(linked, 'l')).isSymbolicLink())
  t.strictSame(readdirSync(outside), [])
})

t.test('malicious layers', async (t) => {
  const store = await openStore(t)
  const secret = join(store.root, 'secret')
  writeFileSync(secret, 'secret')
  const invalid = (message: RegExp): { code: string; message: RegExp } => ({ code: 'LAYER_INVALID', message })
  for (const name of ['../evil', 'a/../../evil', 'a/..', '..', './../x', 'a/../b', '.././x'])
    await refused(t, store, [{ name }], invalid(/`\.\.`/))
  for (const name of ['/evil', '//evil', join(store.root, 'evil')])
    await refused(t, store, [{ name }], invalid(/absolute/), { absoluteNames: 'refuse' })
  for (const name of ['/../evil', '/a/../../evil', '//..', '/./../x'])
    await refused(t, store, [{ name }], invalid(/`\.\.`/))
  for (const link of ['../secret', '../../../../etc/passwd', '/../secret'])
    await refused(t, store, [{ name: 'x', type: '1', link }], invalid(/hard link/))
  for (const link of ['missing', '/etc/passwd', secret]) {
    await refused(t, store, [{ name: 'x', type: '1', link }], invalid(/not in the layer/))
    if (link.startsWith('/'))
      await refused(t, store, [{ name: 'x', type: '1', link }], invalid(/absolute/), { absoluteNames: 'refuse' })
  }
  await refused(
    t,
    store,
    [
      { name: 'd/', type: '5' },
      { name: 'x', type: '1', link: 'd' },
    ],
    invalid(/hardlink x/),
  )
  await refused(t, store, [{ name: '.', contents: 'x' }], invalid(/root of a layer/))
  await refused(t, store, [{ name: './', type: '2', link: 'x' }], invalid(/root of a layer/))
  await refused(t, store, [{ name: 'tty', type: '3', major: 5 }], invalid(/device node/), { devices: 'refuse' })
  await refused(t, store, [longName('x/'.repeat(3000)), { name: 'x' }], invalid(/6000 bytes/))
  await refused(t, store, [{ name: 'x', pax: { path: 'c'.repeat(256) } }], invalid(/too long/))
  await refused(t, store, [{ name: 'x', contents: 'y', size: 10_000 }], invalid(/cut short/))
  const sound = tar({ name: 'x', contents: 'y'.repeat(5000) })
  await refusedBytes(t, store, sound.subarray(0, 3000), 'none', /cut short/)
  await refusedBytes(t, store, gzipSync(sound).subarray(0, 60), 'gzip', /not sound gzip/)
  await refusedBytes(t, store, Buffer.from('not gzip at all'), 'gzip', /not sound gzip/)
  await refusedBytes(t, store, Buffer.from('not zstd at all'), 'zstd', /not sound zstd/)
  const skipped = await apply(store, [{ name: 'tty', type: '3', major: 5 }, { name: 'y' }], { devices: 'skip' })
  t.strictSame(readdirSync(skipped), ['y'])
  t.equal(readFileSync(secret, 'utf8'), 'secret')
  t.equal(statSync(secret).nlink, 1)
})

t.test('absolute names stand in the layer’s root', async (t) => {
  const store = await openStore(t)
  const outside = join(store.root, 'outside')
  writeFileSync(outside, 'outside')
  const diff = await apply(store, [
    { name: '/app/', type: '5' },
    { name: '//app//run', contents: 'x' },
    { name: '/l', type: '1', link: '/app/run' },
    { name: outside, contents: 'evil' },
    { name: '/.wh.gone' },
  ])
  t.strictSame(readdirSync(diff).sort(), ['app', 'gone', 'l', outside.split('/')[1]].sort())
  t.equal(statSync(join(diff, 'l')).ino, statSync(join(diff, 'app/run')).ino)
  t.ok(isWhiteout(join(diff, 'gone')))
  t.equal(readFileSync(join(diff, outside), 'utf8'), 'evil')
  t.equal(readFileSync(outside, 'utf8'), 'outside')
})

t.test('what tar -P writes is what Docker and Podman make of it', async (t) => {
  const store = await openStore(t)
  const tree = join(store.root, 'tree')
  mkdirSync(tree)
  writeFileSync(join(tree, 'file'), 'x')
  linkSync(join(tree, 'file'), join(tree, 'hard'))
  symlinkSync('/etc/passwd', join(tree, 'soft'))
  const bytes = execFileSync('tar', ['-P', '-c', tree])
  t.ok(bytes.includes(`/${tree.slice(1)}/file`), 'its names are absolute')
  const diff = store.layers.lower(await store.layers.apply(source(store.root, bytes)))[0]!
  t.strictSame(readdirSync(join(diff, tree)).sort(), ['file', 'hard', 'soft'])
  t.equal(statSync(join(diff, tree, 'hard')).nlink, 2)
  t.equal(readlinkSync(join(diff, tree, 'soft')), '/etc/passwd')
})

async function refusedBytes(
  t: Test,
  store: Store,
  bytes: Buffer,
  compression: LayerSource['compression'],
  message: RegExp,
): Promise<void> {
  const blob = join(store.root, 'bad-blob')
  writeFileSync(blob, bytes)
  await t.rejects(store.layers.apply({ diffId: digestOf(bytes), blob, compression }), {
    code: 'LAYER_INVALID',
    message,
  })
  t.strictSame(readdirSync(join(store.root, 'layers', 'tmp')), [])
}

t.test('bombs', async (t) => {
  const store = await openStore(t)
  const big = tar({ name: 'zeros', contents: Buffer.alloc(50_000_000) })
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const layer = source(store.root, big, compression)
    await t.rejects(
      store.layers.apply(layer, { limits: { maxBytes: 10_000_000 } }),
      { code: 'LAYER_TOO_LARGE' },
      compression,
    )
  }
  await refused(
    t,
    store,
    Array.from({ length: 11 }, (_, i) => ({ name: String(i) })),
    { code: 'LAYER_TOO_LARGE', message: /10 entries/ },
    { limits: { maxEntries: 10 } },
  )
  const sparse = await apply(store, [
    { name: 'huge', contents: 'x', pax: { 'GNU.sparse.map': '0,1', 'GNU.sparse.size': String(2 ** 40) } },
  ])
  t.equal(statSync(join(sparse, 'huge')).size, 2 ** 40, 'a hole takes no room')
})

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

t.test('a full disk leaves nothing', async (t) => {
  const store = await openStore(t)
  const small = join(store.root, 'small')
  mkdirSync(small)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'podling-spec', small])
  try {
    const layers = await Layers.open(join(small, 'layers'), store.database, openUnpacker)
    const layer = source(
      store.root,
      tar({ name: 'a/b', contents: randomBytes(3_000_000) }, { name: 'a/c', contents: randomBytes(3_000_000) }),
    )
    await t.rejects(layers.apply(layer), { code: 'DISK_FULL', errno: 'ENOSPC' })
    t.strictSame(readdirSync(join(small, 'layers', 'tmp')), [])
    t.strictSame(readdirSync(join(small, 'layers')), ['tmp'])
    const fits = source(store.root, tar({ name: 'a', contents: randomBytes(3_000_000) }))
    await layers.apply(fits)
    await layers.prune()
    await layers.close()
  } finally {
    execFileSync('umount', [small])
  }
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
  const { layers } = await openStore(t, root)
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

/** A tree with all that a file system can hold, the same for the same seed. */
function makeTree(root: string, seed: number): void {
  const random = randomSource(seed)
  mkdirSync(root)
  const directories = [root]
  const files: string[] = []
  const name = (): string =>
    random.pick(['plain', 'größe', 'with space', 'x'.repeat(120), 'new\nline', "quo'te"]) + String(random.below(1e9))
  for (let i = 0; i < 60; i++) {
    const path = join(random.pick(directories), name())
    mkdirSync(path)
    directories.push(path)
  }
  for (let i = 0; i < 200; i++) {
    const path = join(random.pick(directories), name())
    writeFileSync(path, random.bytes(random.pick([0, 1, 511, 512, 513, 40_000])))
    files.push(path)
  }
  for (let i = 0; i < 30; i++) linkSync(random.pick(files), join(random.pick(directories), name()))
  for (let i = 0; i < 30; i++)
    symlinkSync(
      random.pick(['/etc/passwd', '../up', 'nowhere', 'y'.repeat(300)]),
      join(random.pick(directories), name()),
    )
  for (const [type, ...numbers] of [['c', '1', '3'], ['b', '259', '70000'], ['p'], ['c', '5', '0']]) {
    execFileSync('mknod', [join(random.pick(directories), name()), type!, ...numbers])
  }
  const holes = openSync(join(root, 'holes'), 'w')
  for (let i = 0; i < 8; i++) writeSync(holes, 'piece', i * 1_000_000)
  closeSync(holes)
  for (const path of [...files, ...directories]) {
    chownSync(path, random.pick([0, 1000, 65534, 4294967294]), random.pick([0, 7, 4294967294]))
    chmodSync(path, random.pick([0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o000]))
    if (random.chance(0.2))
      execFileSync('setfattr', ['-n', random.pick(['user.one', 'trusted.two']), '-v', 'value', path])
  }
  execFileSync('setcap', ['cap_net_raw=ep', files[0]!])
  for (const path of [...files, ...directories.toReversed()])
    utimesSync(path, 1e9, 1e9 + random.below(5e8) + random.below(1e9) / 1e9)
}

/** Type, mode, owner, size, time, links and attributes of all that is in a directory. Where links go by what they share. */
function listing(root: string): string[] {
  const found = execFileSync('find', ['.', '-printf', '%p|%y|%m|%U|%G|%T@|%l|%n|%D:%i|%s\\0'], {
    cwd: root,
    encoding: 'latin1',
    maxBuffer: 2 ** 26,
  })
  const inodes = new Map<string, string>()
  const lines = found
    .split('\0')
    .filter((line) => line !== '')
    .sort()
    .map((line) => {
      const parts = line.split('|')
      const inode = parts[8]!
      if (!inodes.has(inode)) inodes.set(inode, parts[0]!)
      return [...parts.slice(0, 8), inodes.get(inode), parts[1] === 'd' ? '' : parts[9]].join('|')
    })
  const attributes = execFileSync('getfattr', ['-R', '-h', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: root,
    encoding: 'latin1',
  })
  const devices = execFileSync(
    'find',
    ['.', '(', '-type', 'c', '-o', '-type', 'b', ')', '-exec', 'stat', '-c', '%n %t:%T', '{}', '+'],
    { cwd: root, encoding: 'latin1' },
  )
  return [...lines, ...attributes.split('\n\n').sort(), ...devices.split('\n').sort()]
}

function checksums(root: string): string[] {
  const sums = execFileSync('find', ['.', '-type', 'f', '-exec', 'sha256sum', '{}', '+'], {
    cwd: root,
    encoding: 'latin1',
  })
  return sums.split('\n').sort()
}
