import t from 'tap'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../../lib/errors.js'
import type { TarEntry } from '../../../lib/storage/tar/entry.js'
import { TarReader } from '../../../lib/storage/tar/reader.js'
import { fuzz } from '../../fixtures/fuzz.js'
import { randomSource, type RandomSource } from '../../fixtures/random.js'
import { base256, longName, paxBody, paxHeader, tar, tarEntry, type RawEntry } from '../../fixtures/tar.js'

interface Read extends TarEntry {
  contents: Buffer
}

/** Read a tar, in pieces of this many bytes. */
function read(bytes: Buffer, pieces = bytes.length): Read[] {
  const entries: Read[] = []
  const reader = new TarReader({
    entry(entry) {
      entries.push({ ...entry, contents: Buffer.alloc(0) })
    },
    data(data) {
      const last = entries.at(-1)!
      last.contents = Buffer.concat([last.contents, data])
    },
  })
  for (let at = 0; at < bytes.length; at += pieces) reader.push(bytes.subarray(at, at + pieces))
  reader.finish()
  return entries
}

const one = (entry: RawEntry): Read => read(tar(entry))[0]!

function refused(test: Tap, bytes: Buffer, message: RegExp): void {
  test.throws(() => read(bytes), { code: 'LAYER_INVALID', message }, String(message))
}
type Tap = Pick<typeof t, 'throws'>

t.test('the fields of an entry', (t) => {
  const entry = one({ name: 'a/b', mode: 0o104755, uid: 1000, gid: 2 ** 32 - 2, mtime: 1234, contents: 'hello' })
  t.match(entry, { type: 'file', name: 'a/b', mode: 0o4755, uid: 1000, gid: 2 ** 32 - 2, size: 5, offset: 0 })
  t.strictSame(entry.mtime, { seconds: 1234, nanoseconds: 0 })
  t.strictSame(entry.chunks, [{ offset: 0, length: 5 }])
  t.equal(entry.contents.toString(), 'hello')
  t.equal(entry.xattrs, undefined)
  const types = [
    ['0', 'file'],
    ['\0', 'file'],
    ['7', 'file'],
    ['1', 'hardlink'],
    ['2', 'symlink'],
    ['3', 'character'],
    ['4', 'block'],
    ['5', 'directory'],
    ['6', 'fifo'],
  ] as const
  for (const [type, expected] of types) t.equal(one({ name: 'x', type, link: 'y' }).type, expected)
  t.equal(one({ name: 'dir/' }).type, 'directory', 'a file whose name ends in a slash, as v7 had directories')
  t.match(one({ name: 'n', type: '3', major: 5, minor: 70000 }), { major: 5, minor: 70000 })
  t.equal(one({ name: 'x', type: '5', size: 100 }).size, 0, 'nothing stands behind a directory')
  t.end()
})

t.test('names and links of every length', (t) => {
  const long = 'd/'.repeat(200) + 'x'.repeat(99)
  const ustar = one({ name: 'name', change: (header) => header.write('some/prefix', 345) })
  t.equal(ustar.name, 'some/prefix/name')
  t.equal(read(tar(longName(long), { name: 'short' }))[0]!.name, long)
  t.match(read(tar(longName(long, 'K'), longName('l'), { name: 's', type: '2', link: 'k' }))[0], {
    name: 'l',
    linkName: long,
  })
  t.match(one({ name: 's', type: '2', link: 'k', pax: { path: long, linkpath: 'to' } }), { name: long, linkName: 'to' })
  t.equal(one({ name: 'bytes-\xff\xfe' }).name, 'bytes-\xff\xfe')
  const utf8 = one({ name: 'x', pax: { path: 'größe' } }).name
  t.equal(Buffer.from(utf8, 'latin1').toString(), 'größe')
  t.equal(one({ name: 'x', pax: { path: `${'x'.repeat(4094)}/` } }).name.length, 4095)
  refused(t, tar({ name: 'x', pax: { path: 'x'.repeat(4096) } }), /name of 4096 bytes/)
  refused(t, tar(longName('x'.repeat(5000)), { name: 'x' }), /name of 5000 bytes/)
  refused(t, tar({ name: 'x', type: '2', pax: { linkpath: 'x'.repeat(5000) } }), /name of 5000 bytes/)
  refused(t, tar({ name: 'x', pax: { path: 'a\0b' } }), /NUL/)
  refused(t, tar({ name: '' }), /empty name/)
  refused(t, tar({ name: 'x', type: '1' }), /empty name/)
  t.end()
})

t.test('numbers', (t) => {
  t.equal(one({ name: 'x', mtime: base256(-5n) }).mtime.seconds, -5)
  t.equal(one({ name: 'x', type: '5', mtime: base256(2n ** 40n) }).mtime.seconds, 2 ** 40)
  t.strictSame(one({ name: 'x', pax: { mtime: '12.000000345' } }).mtime, { seconds: 12, nanoseconds: 345 })
  t.strictSame(one({ name: 'x', pax: { mtime: '-1.5' } }).mtime, { seconds: -2, nanoseconds: 500000000 })
  t.strictSame(one({ name: 'x', pax: { mtime: '7.1234567899' } }).mtime, { seconds: 7, nanoseconds: 123456789 })
  t.match(one({ name: 'x', pax: { uid: '4294967294', gid: '70000' } }), { uid: 4294967294, gid: 70000 })
  refused(t, tar({ name: 'x', pax: { uid: '4294967295' } }), /uid/)
  refused(t, tar({ name: 'x', pax: { gid: '-1' } }), /gid/)
  refused(t, tar({ name: 'x', pax: { mtime: 'now' } }), /mtime/)
  refused(t, tar({ name: 'x', size: base256(-1n) }), /size/)
  refused(t, tar({ name: 'x', size: base256(2n ** 80n) }), /size/)
  refused(t, tar({ name: 'x', change: (header) => header.write('zzz', 124) }), /size/)
  refused(t, tar({ name: 'x', change: (header) => header.write('9', 100) }), /mode/)
  refused(t, tar({ name: 'x', type: '3', minor: 2 ** 20 }), /devminor/)
  t.end()
})

t.test('extended headers', (t) => {
  const value = Buffer.from([0, 1, 10, 61, 255])
  const entry = one({ name: 'x', pax: { 'SCHILY.xattr.security.capability': value, comment: 'nothing' } })
  t.strictSame([...entry.xattrs!], [['security.capability', value]])
  const [first, second, third] = read(
    tar(
      paxHeader({ uid: '5', gid: '6' }, 'g'),
      { name: 'a' },
      { name: 'b', pax: { uid: '7', gid: '' } },
      { name: 'c' },
    ),
  )
  t.match(first, { uid: 5, gid: 6 })
  t.match(second, { uid: 7, gid: 0 })
  t.match(third, { uid: 5, gid: 6 })
  const withBody = (body: Buffer): Buffer => tar(tarEntry({ name: 'p', type: 'x', contents: body }), { name: 'x' })
  t.equal(read(withBody(Buffer.concat([paxBody([['path', 'y']]), Buffer.alloc(20)])))[0]!.name, 'y', 'padded')
  for (const body of [
    '5 a=b\n',
    '99 a=b\n',
    '6 a=bc',
    'x a=b\n',
    '6  ab\n',
    '6 =ab\n',
    '0 a=b\n',
    '-6 a=b\n',
    '\0\0\0',
    '999999999 a=b\n',
  ])
    refused(t, withBody(Buffer.from(body)), /extended header/)
  refused(t, tar({ name: 'p', type: 'x', size: 2 ** 30 }), /extended header of 1073741824 bytes/)
  refused(t, tar({ name: 'p', type: 'L', size: 2 ** 21 }), /extended header of 2097152 bytes/)
  const big = paxHeader({ comment: 'x'.repeat(700_000) }, 'g')
  refused(t, tar(big, big, { name: 'x' }), /1 MiB of global/)
  refused(t, tar(paxHeader({ path: 'x' })), /extended header without an entry/)
  refused(t, tar({ name: 'x', pax: { 'SCHILY.xattr.': 'x' } }), /extended attribute/)
  refused(t, tar({ name: 'x', pax: { 'SCHILY.xattr.user.big': 'x'.repeat(70000) } }), /64 KiB/)
  t.end()
})

t.test('damage', (t) => {
  const whole = tar({ name: 'first', contents: 'x'.repeat(600) }, { name: 'second', contents: 'y' })
  refused(t, whole.subarray(0, 700), /offset 700 \(entry first\): it is cut short/)
  refused(t, whole.subarray(0, 1536 + 100), /offset 1636: it is cut short/)
  t.equal(read(whole.subarray(0, whole.length - 1024)).length, 2, 'without the blocks of zeros')
  t.equal(read(whole.subarray(0, whole.length - 512)).length, 2, 'with one of them')
  t.equal(read(Buffer.alloc(0)).length, 0)
  t.equal(read(Buffer.concat([whole, Buffer.from('anything')])).length, 2, 'behind the end')
  const damaged = Buffer.from(whole)
  damaged[1536 + 3]! ^= 1
  refused(t, damaged, /offset 1536 .*checksum/)
  refused(t, Buffer.concat([whole.subarray(0, whole.length - 512), whole]), /block of zeros/)
  refused(t, Buffer.from('this is no tar at all '.repeat(100)), /offset 0 .*checksum/)
  refused(t, tar({ name: 'x', type: 'M' }), /unknown type "M"/)
  t.throws(
    () => read(tar({ name: 'evil\u001b[31m', type: 'Z' })),
    { message: /evil\\u001b\[31m/ },
    'no control characters in messages',
  )
  t.end()
})

t.test('files beyond 8 GB, by either kind of number', (t) => {
  for (const header of [
    tarEntry({ name: 'x', size: base256(10n ** 10n) }),
    tarEntry({ name: 'x', pax: { size: '10000000000' } }),
  ]) {
    let size = 0
    let seen = 0
    const reader = new TarReader({ entry: (entry) => (size = entry.size), data: (bytes) => (seen += bytes.length) })
    reader.push(header)
    const zeros = Buffer.alloc(64 * 1024 * 1024)
    for (let left = 10 ** 10; left > 0; left -= zeros.length)
      reader.push(zeros.subarray(0, Math.min(left, zeros.length)))
    t.equal(size, 10 ** 10)
    t.equal(seen, 10 ** 10)
  }
  t.end()
})

t.test('sparse files of GNU tar, in each of its formats', (t) => {
  const directory = t.testdir()
  const file = openSync(join(directory, 'holes'), 'w')
  // More pieces than a header and one block of an old map hold.
  const random = randomSource(7)
  for (let i = 0; i < 40; i++) writeSync(file, random.bytes(3000), 0, 3000, i * 100_000 + 50_000)
  writeSync(file, 'x', 5_000_000)
  closeSync(file)
  const expected = readFileSync(join(directory, 'holes'))
  const formats = [
    ['--format=gnu'],
    ...['0.0', '0.1', '1.0'].map((version) => ['--format=posix', `--sparse-version=${version}`]),
  ]
  for (const format of formats) {
    const bytes = execFileSync('tar', ['-cS', ...format, '-C', directory, 'holes'], { maxBuffer: 2 ** 30 })
    for (const pieces of [bytes.length, 1000, 511]) {
      const [entry] = read(bytes, pieces)
      t.match(entry, { name: 'holes', size: expected.length, type: 'file' }, format.join(' '))
      t.ok(entry!.contents.length < 500_000)
      const actual = Buffer.alloc(entry!.size)
      let at = 0
      for (const { offset, length } of entry!.chunks) {
        entry!.contents.copy(actual, offset, at, at + length)
        at += length
      }
      t.ok(actual.equals(expected), `${format.join(' ')} in pieces of ${String(pieces)}`)
    }
  }
  t.end()
})

t.test('sparse maps that are wrong', (t) => {
  const map = (text: string, size = '100', contents = 'x'): Buffer =>
    tar({ name: 'x', contents, pax: { 'GNU.sparse.map': text, 'GNU.sparse.size': size } })
  t.strictSame(read(map('10,1,100,0'))[0]!.chunks, [{ offset: 10, length: 1 }])
  for (const text of ['10', '10,2', '100,1', '10,-1', 'a,b', '10,1,5,0', '', '9999999999999999,1', '10,1,'])
    refused(t, map(text || ','), /sparse/)
  refused(t, map('0,1', 'many'), /sparse/)
  refused(t, tar({ name: 'x', pax: { 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0' } }), /unknown format 2\.0/)
  const leading = (text: string): Buffer => {
    const contents = Buffer.alloc(1024)
    contents.write(text)
    contents.write('x', 512)
    const pax = {
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.realsize': '5',
      'GNU.sparse.name': 'real',
    }
    return tar({ name: 'x', contents: contents.subarray(0, 513), pax })
  }
  t.match(read(leading('1\n2\n1\n'))[0], { name: 'real', size: 5, chunks: [{ offset: 2, length: 1 }] })
  for (const text of ['', 'x', '\n', '1\n2\n', '99999999\n', '1\n2\n9\n', '2\n2\n1\n', '11111111111111111111\n'])
    refused(t, leading(text), /sparse/)
  t.end()
})

t.test('fuzz: nothing but a layer that is invalid comes of a damaged tar', async (t) => {
  const directory = t.testdir({
    tree: { a: 'x'.repeat(2000), [`long${'n'.repeat(150)}`]: 'y', d: { e: t.fixture('symlink', '../a') } },
  })
  mkdirSync(join(directory, 'tree', 'empty'))
  const sparse = openSync(join(directory, 'tree', 'holes'), 'w')
  for (let i = 0; i < 10; i++) writeSync(sparse, 'piece', i * 100_000)
  closeSync(sparse)
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'something', join(directory, 'tree', 'a')])
  execFileSync('ln', [join(directory, 'tree', 'a'), join(directory, 'tree', 'hard')])
  const seeds = [
    ['--format=gnu', '-S'],
    ['--format=posix', '-S', '--xattrs', '--sparse-version=1.0'],
    ['--format=posix', '-S', '--sparse-version=0.0'],
    ['--format=v7', '--exclude=long*', '--exclude=holes'],
  ].map((format) =>
    execFileSync('tar', ['-c', ...format, '-C', directory, 'tree'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 2 ** 30,
    }),
  )
  let sound = 0
  let damaged = 0
  await fuzz(t, 2500, (random) => {
    const bytes = Buffer.from(random.pick(seeds))
    mutate(bytes, random)
    const used = random.chance(0.1) ? bytes.subarray(0, random.below(bytes.length)) : bytes
    try {
      read(used, random.chance(0.5) ? used.length : 1 + random.below(2000))
      sound++
    } catch (error) {
      if (!(error instanceof PodlingError) || error.code !== 'LAYER_INVALID') throw error
      damaged++
    }
  })
  t.ok(sound > 0 && damaged > 0, `${String(sound)} sound, ${String(damaged)} damaged`)
})

/** Change some bytes; mostly make the checksums of headers right again, so that what lies behind is reached. */
function mutate(bytes: Buffer, random: RandomSource): void {
  for (let i = 1 + random.below(6); i > 0; i--) {
    const block = random.below(bytes.length / 512) * 512
    const header = bytes.subarray(block, block + 512)
    const isHeader = header.toString('latin1', 257, 262) === 'ustar'
    const at = random.pick([
      random.below(512),
      100 + random.below(60),
      124 + random.below(12),
      156,
      386 + random.below(126),
    ])
    switch (random.below(4)) {
      case 0:
        header[at] = random.below(256)
        break
      case 1:
        header[at]! ^= 1 << random.below(8)
        break
      case 2:
        header.write(
          random.pick([
            'xgLKSVDM01234567'.charAt(random.below(16)),
            '777777777777',
            '\x80',
            '\xff',
            '-1',
            '=',
            '\n',
            '99999',
          ]),
          at,
          'latin1',
        )
        break
      default:
        header.fill(random.pick([0, 0x20, 0x30, 0x37, 0xff]), at, Math.min(512, at + random.below(16)))
    }
    if (isHeader && random.chance(0.9)) {
      header.fill(' ', 148, 156)
      const total = header.reduce((a, b) => a + b, 0)
      header.write(`${total.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    }
  }
}
