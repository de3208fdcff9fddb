/** Trees that go out as tars and come in again, beside GNU tar. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import type { OpenCopier } from '../../lib/storage/copy/copier.js'
import { PackParser } from '../../lib/storage/copy/pack-parser.js'
import { lookUp, packTree } from '../../lib/storage/copy/pack-tree.js'
import { tarOfTree, under } from '../../lib/storage/copy/tar-of-tree.js'
import { unpackInto } from '../../lib/storage/copy/tree-of-tar.js'
import { treeSize } from '../../lib/storage/copy/tree-size.js'
import { testCopier } from '../fixtures/copier.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { listing, makeTree } from '../fixtures/random-tree.js'
import { needs } from '../peers.js'

async function* tarOf(openCopier: OpenCopier, directory: string): AsyncGenerator<Buffer> {
  const handle = await open(directory, 'r')
  try {
    const tree = { kind: 'directory', descriptor: handle.fd } as const
    yield* tarOfTree(packTree(openCopier, tree, '', 0), under(''))
  } finally {
    await handle.close()
  }
}

async function unpack(
  openCopier: OpenCopier,
  directory: string,
  path: string,
  tar: AsyncIterable<Uint8Array>,
): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await unpackInto(openCopier, { kind: 'directory', descriptor: handle.fd }, path, tar)
  } finally {
    await handle.close()
  }
}

t.test('random trees', needs('root', 'attr'), async (t) => {
  const openCopier = await testCopier(t)
  for (const seed of [1, 2, 3]) {
    const directory = await temporaryDirectory(t)
    const tree = join(directory, 'tree')
    makeTree(tree, seed)
    const expected = listing(tree)
    const place = (): string => mkdtempSync(join(directory, 'copy-'))

    const theirs = place()
    const tar = spawn(
      'tar',
      ['-x', '-p', '--same-owner', '--numeric-owner', '--xattrs', '--xattrs-include=*', '-C', theirs],
      {
        stdio: ['pipe', 'inherit', 'inherit'],
      },
    )
    const closed = once(tar, 'close')
    await pipeline(Readable.from(tarOf(openCopier, tree), { objectMode: false }), tar.stdin)
    t.same(await closed, [0, null])
    t.strictSame(listing(theirs), expected, `seed ${String(seed)}: as GNU tar unpacks it`)

    const ours = place()
    await unpack(openCopier, ours, '', tarOf(openCopier, tree))
    t.strictSame(listing(ours), expected, 'and as we do')

    const words = [
      '-c',
      '--format=pax',
      '--xattrs',
      '--xattrs-include=*',
      '--sparse',
      '--numeric-owner',
      '-C',
      tree,
      '.',
    ]
    const given = execFileSync('tar', words, { maxBuffer: 2 ** 28 })
    const again = place()
    await unpack(openCopier, again, '', Readable.from([given]))
    t.strictSame(listing(again), expected, 'what GNU tar packs')
    t.ok((await treeSize(openCopier, tree)) > 8_000_000 - 1_000_000, 'holes count')
  }
})

t.test('places and links', needs('root'), async (t) => {
  const openCopier = await testCopier(t)
  const directory = await temporaryDirectory(t)
  const root = join(directory, 'root')
  mkdirSync(join(root, 'real/deep'), { recursive: true })
  writeFileSync(join(directory, 'secret'), 'of the host')
  symlinkSync('/real', join(root, 'absolute'))
  symlinkSync(directory, join(root, 'out'))
  symlinkSync('../../..', join(root, 'up'))
  const source = join(directory, 'source')
  mkdirSync(join(source, 'absolute'), { recursive: true })
  writeFileSync(join(source, 'absolute/file'), 'given')
  const given = (): AsyncGenerator<Buffer> => tarOf(openCopier, source)

  await unpack(openCopier, root, '/up/absolute/deep', given())
  t.equal(readFileSync(join(root, 'real/deep/absolute/file'), 'utf8'), 'given', 'links on the way stay inside')
  t.match(await unpack(openCopier, root, '/out', given()).catch((error: unknown) => error), {
    failure: { operation: 'start', errno: 'ENOENT' },
  })
  mkdirSync(join(root, 'links'))
  symlinkSync('/real', join(root, 'links/absolute'))
  await unpack(openCopier, root, '/links', given())
  t.equal(
    readFileSync(join(root, 'links/absolute/file'), 'utf8'),
    'given',
    'an entry of its own takes the place of a link',
  )

  const handle = await open(root, 'r')
  t.teardown(() => handle.close())
  const tree = { kind: 'directory', descriptor: handle.fd } as const
  const found = await lookUp(openCopier, tree, [
    'real',
    'absolute',
    'absolute/deep',
    'none',
    'out/secret',
    'real/../up',
    '',
  ])
  t.same(found.map((entry) => entry?.operation), ['directory', 'symlink', undefined, undefined, undefined, 'symlink', 'directory']) // prettier-ignore
  const many = await lookUp(
    openCopier,
    tree,
    Array.from({ length: 20_000 }, (_, i) => `none-${String(i)}`),
  )
  t.equal(many.length, 20_000, 'more than two pipes hold')

  const failed = async (path: string, flags = 0): Promise<unknown> =>
    buffer(Readable.from(tarOfTree(packTree(openCopier, tree, path, flags), under('')))).catch(
      (error: unknown) => error,
    )
  t.match(await failed('none'), { errno: 'ENOENT', syscall: 'openat2' })
  t.match(await failed('out/secret'), { errno: 'ENOENT' }, 'a link out leads to what has its name inside')
  t.ok(Buffer.isBuffer(await failed('out')), 'a link is copied as such')
})

t.test('a packer that is killed, and bytes in any pieces', async (t) => {
  const openCopier: OpenCopier = async () => {
    const directory = await open('/', 'r')
    const { pipe } = await import('../../lib/sys/descriptors.js')
    await directory.close()
    const [input, output] = [pipe(), pipe()]
    const { closeSync } = await import('node:fs')
    closeSync(input.read)
    closeSync(output.write)
    return { input: input.write, output: output.read }
  }
  const tree = { kind: 'directory', descriptor: 0 } as const
  await t.rejects(packTree(openCopier, tree, '', 0).next(), { code: 'LAUNCHER_DIED' })
  await t.rejects(lookUp(openCopier, tree, ['x']), { code: 'LAUNCHER_DIED' })
  const real = await testCopier(t)
  const whole: Buffer[] = []
  const directory = await temporaryDirectory(t)
  writeFileSync(join(directory, 'file'), 'x'.repeat(1000))
  const handle = await open(directory, 'r')
  const { input, output } = await real({ kind: 'directory', descriptor: handle.fd }, 'out')
  const { readEnd, startOperation, writeEnd } = await import('../../lib/storage/copy/copier.js')
  writeEnd(input).end(startOperation('', 0))
  for await (const chunk of readEnd(output) as AsyncIterable<Buffer>) whole.push(chunk)
  await handle.close()
  const bytes = Buffer.concat(whole)
  const names = (size: number): string[] => {
    const parser = new PackParser()
    const found: string[] = []
    for (let at = 0; at < bytes.length; at += size)
      for (const part of parser.push(bytes.subarray(at, at + size))) if (part.is !== 'bytes') found.push(part.is)
    return found
  }
  for (const size of [1, 7, 56, 1000, bytes.length]) t.same(names(size), ['entry', 'entry', 'file-end', 'end'])
})
