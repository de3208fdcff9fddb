import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fileChunks } from '../../lib/storage/erofs/chunks.js'
import { erofsFiles, erofsFormat } from '../../lib/storage/layer-format.js'
import { layerCases } from '../fixtures/layer-cases.js'
import { apply, openStore, source } from '../fixtures/layer-store.js'
import { checksums, listing, makeTree } from '../fixtures/random-tree.js'
import { tar, type RawEntry } from '../fixtures/tar.js'
import { needs } from '../peers.js'

layerCases(erofsFormat)

t.test('it is what mkfs.erofs and fsck.erofs make of random trees', needs('erofs-utils', 'root'), async (t) => {
  for (const seed of [1, 2, 3]) {
    const store = await openStore(t, { format: erofsFormat })
    const tree = join(store.root, 'tree')
    makeTree(tree, seed)
    const file = join(store.root, 'tree.tar')
    // Without sparse files, which erofs-utils 1.8.6 takes for plain ones.
    const flags = ['--format=posix', '--xattrs', '--xattrs-include=*', '-c', '-f', file, '-C', tree, '.']
    execFileSync('tar', flags, { stdio: 'pipe' })
    const chainId = await store.layers.apply(source(store.root, readFileSync(file)))
    const [place] = store.layers.lower(chainId)
    const index = join(place!, erofsFiles.index)
    execFileSync('fsck.erofs', [`--device=${join(place!, erofsFiles.tar)}`, index], { stdio: 'pipe' })
    const theirs = join(store.root, 'theirs')
    execFileSync('mkfs.erofs', ['--tar=i', '--aufs', `${theirs}.erofs`, file], { stdio: 'pipe' })
    mkdirSync(theirs)
    execFileSync('mount', ['-i', '-t', 'erofs', '-o', `ro,device=${file}`, `${theirs}.erofs`, theirs])
    try {
      const ours = store.show(chainId)
      t.strictSame(wholeSeconds(listing(ours)), wholeSeconds(listing(theirs)), `seed ${String(seed)}`)
      t.strictSame(checksums(ours), checksums(theirs))
      t.ok(statSync(index).size < 2 * statSync(`${theirs}.erofs`).size, 'and about as large')
    } finally {
      execFileSync('umount', [theirs])
    }
  }
})

/** erofs-utils 1.8.6 reads the decimals of a time as microseconds. */
function wholeSeconds(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/(\|\d+)\.\d+\|/, '$1|'))
}

t.test('the tar is kept as it came', async (t) => {
  const { root, layers } = await openStore(t, { format: erofsFormat })
  const bytes = tar({ name: 'a', contents: 'x'.repeat(2000) })
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const chainId = await layers.apply(source(root, bytes, compression))
    const [place] = layers.lower(chainId)
    t.strictSame(readdirSync(place!).sort(), [erofsFiles.index, erofsFiles.tar])
    t.ok(readFileSync(join(place!, erofsFiles.tar)).equals(bytes))
    await layers.prune()
  }
})

t.test('a tar without its end, and one of odd length', async (t) => {
  const store = await openStore(t, { format: erofsFormat })
  const whole = tar({ name: 'a', contents: 'contents' })
  const layer = source(store.root, whole.subarray(0, 1024))
  t.equal(readFileSync(join(store.show(await store.layers.apply(layer)), 'a'), 'utf8'), 'contents')
  const odd = source(store.root, Buffer.concat([whole, Buffer.alloc(7)]))
  t.equal(readFileSync(join(store.show(await store.layers.apply(odd)), 'a'), 'utf8'), 'contents')
})

t.test('sparse files whose pieces are anywhere', async (t) => {
  const store = await openStore(t, { format: erofsFormat })
  const sparse = (name: string, size: number, pieces: readonly (readonly [number, string])[]): RawEntry => ({
    name,
    contents: pieces.map(([, text]) => text).join(''),
    pax: {
      'GNU.sparse.map': pieces.map(([offset, text]) => `${String(offset)},${String(text.length)}`).join(','),
      'GNU.sparse.size': String(size),
    },
  })
  const odd = [
    [3, 'three'],
    [510, 'over the border'],
    [5000, 'x'.repeat(3000)],
    [300_000_000, 'far'],
  ] as const
  const even = [
    [512, 'y'.repeat(1024)],
    [4096, 'z'.repeat(512)],
  ] as const
  const diff = await apply(store, [
    sparse('odd', 400_000_000, odd),
    sparse('even', 10_000, even),
    sparse('nothing', 5_000_000_000, [[0, '']]),
    { name: 'after', contents: 'after' },
  ])
  for (const [name, pieces] of [
    ['odd', odd],
    ['even', even],
  ] as const) {
    const path = join(diff, name)
    for (const [offset, text] of pieces) {
      const found = execFileSync(
        'dd',
        [`if=${path}`, 'iflag=skip_bytes,count_bytes', `skip=${String(offset)}`, `count=${String(text.length)}`],
        { stdio: 'pipe' },
      )
      t.equal(found.toString(), text, `${name} at ${String(offset)}`)
    }
    const letters = execFileSync('sh', ['-c', `tr -d '\\0' < '${path}' | wc -c`]).toString()
    t.equal(
      Number(letters),
      pieces.reduce((sum, [, text]) => sum + text.length, 0),
      'and nothing else',
    )
  }
  t.equal(statSync(join(diff, 'nothing')).size, 5_000_000_000)
  t.equal(readFileSync(join(diff, 'after'), 'utf8'), 'after')
  const pieces = Array.from({ length: 40 }, (_, i) => `${String(1 + i * 2e14)},1`).join(',')
  const huge = {
    name: 'x',
    contents: 'x'.repeat(40),
    pax: { 'GNU.sparse.map': pieces, 'GNU.sparse.size': String(Number.MAX_SAFE_INTEGER) },
  }
  await t.rejects(apply(store, [huge]), { code: 'LAYER_TOO_LARGE', message: /2 TiB/ })
})

t.test('where contents are found', (t) => {
  const whole = { size: 1000, pieces: [{ offset: 0, length: 1000 }], contentsAt: 1536 }
  t.strictSame(fileChunks(whole), { bits: 1, places: [{ in: 'tar', offset: 1536 }] })
  const holed = { size: 2048, pieces: [{ offset: 1024, length: 512 }], contentsAt: 512 }
  t.strictSame(fileChunks(holed), {
    bits: 0,
    places: [{ in: 'hole' }, { in: 'hole' }, { in: 'tar', offset: 512 }, { in: 'hole' }],
  })
  const odd = {
    size: 600,
    pieces: [
      { offset: 10, length: 20 },
      { offset: 100, length: 500 },
    ],
    contentsAt: 512,
  }
  t.strictSame(fileChunks(odd), {
    bits: 0,
    places: [
      {
        in: 'copy',
        pieces: [
          { at: 10, offset: 512, length: 20 },
          { at: 100, offset: 532, length: 412 },
        ],
      },
      { in: 'copy', pieces: [{ at: 0, offset: 944, length: 88 }] },
    ],
  })
  t.end()
})
