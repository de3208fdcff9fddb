import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSubIds } from '../../lib/sys/read-sub-ids.js'
import { countSubIds, parseSubIds } from '../../lib/sys/sub-ids.js'

const file = '/etc/subuid'
const me = { name: 'me', uid: 1000 }

t.test('the ranges of a user, by name and by uid, in the order of the file', async (t) => {
  const text = '# ours\n\nother:100000:65536\nme:500000:10\n1000:400000:65536\nme:165536:5\n10:900000:1\n'
  const { ranges, faults } = parseSubIds(text, file, me)
  t.strictSame(ranges, [
    { first: 500000, count: 10 },
    { first: 400000, count: 65536 },
    { first: 165536, count: 5 },
  ])
  t.strictSame(faults, [])
  t.equal(countSubIds(ranges), 65551)
  t.strictSame(parseSubIds(text, file, { name: 'nobody-else' }), { ranges: [], faults: [] })
  t.strictSame(parseSubIds('undefined:100000:1', file, { name: 'me' }).ranges, [], 'no uid is no line')
})

t.test('lines of the owner that are malformed are told with file and line, those of others left alone', async (t) => {
  const wrong = ['me', 'me:100000', 'me:1:2:3', 'me:x:1', 'me:1:-1', 'me:0x10:1', 'me:1:0', 'me:4294967295:1']
  for (const line of [...wrong, 'me:4294967294:2', 'me::5', 'me:99999999999:1', '1000:1.5:1']) {
    const { ranges, faults } = parseSubIds(`root:5:5\n${line}\n`, file, me)
    t.strictSame(ranges, [], line)
    t.match(faults, [{ file, line: 2, kind: 'malformed', message: `/etc/subuid:2: '${line}' must` }], line)
    t.equal(faults.length, 1)
    t.strictSame(parseSubIds(line, file, { name: 'else', uid: 7 }).faults, [])
  }
  t.strictSame(parseSubIds('me:4294967294:1', file, me).ranges, [{ first: 4294967294, count: 1 }], 'the last id')
})

t.test('ranges that overlap: with an own one the later is told, with another one always', async (t) => {
  const own = parseSubIds('me:100000:10\nme:100009:10\n', file, me)
  t.strictSame(own.ranges, [{ first: 100000, count: 10 }])
  t.match(own.faults, [
    { line: 2, kind: 'overlapping', message: "/etc/subuid:2: 'me:100009:10' overlaps with 'me:100000:10' of line 1;" },
  ])
  const text = 'me:100000:10\nother:100000:1\n'
  t.match(parseSubIds(text, file, me).faults, [
    { line: 1, kind: 'overlapping', message: /line 2, which is of another/ },
  ])
  t.match(parseSubIds(text, file, { name: 'other' }).faults, [{ line: 2, kind: 'overlapping' }])
  t.strictSame(parseSubIds(text, file, { name: 'third' }).faults, [])
  t.strictSame(parseSubIds('me:10:10\nme:20:10\n', file, me).faults, [], 'neighbours do not overlap')
})

t.test("a range with the machine's own root is no range", async (t) => {
  t.match(parseSubIds('me:0:65536\n', file, me), { ranges: [], faults: [{ kind: 'holds-root', line: 1 }] })
})

t.test('both files of a machine', async (t) => {
  const directory = t.testdir()
  const files = { subuid: join(directory, 'subuid'), subgid: join(directory, 'subgid') }
  t.throws(() => readSubIds(me, 1, files), {
    code: 'SUBIDS_NOT_FOUND',
    path: files.subuid,
    message: /echo 'me:100000:65536' >>/,
  })
  writeFileSync(files.subuid, 'me:100000:1000\n')
  t.throws(() => readSubIds(me, 1, files), { code: 'SUBIDS_NOT_FOUND', path: files.subgid })
  writeFileSync(files.subgid, '1000:200000:2000\n')
  t.strictSame(readSubIds(me, 1, files), {
    uids: [{ first: 100000, count: 1000 }],
    gids: [{ first: 200000, count: 2000 }],
  })
  t.throws(() => readSubIds(me, 1001, files), {
    code: 'SUBIDS_TOO_FEW',
    path: files.subuid,
    message: `ids for me: ${files.subuid} gives 1000, and 1001 are needed; as root: echo 'me:100000:65536' >> ${files.subuid}`,
  })
  writeFileSync(files.subuid, 'me:1\nme:0:5\n')
  t.throws(() => readSubIds(me, 1, files), {
    code: 'SUBIDS_INVALID',
    message: new RegExp(`${files.subuid}:1: .*\n${files.subuid}:2: .*holds 0`),
  })
  t.throws(() => readSubIds(me, 1, { ...files, subuid: directory }), { code: 'PERMISSION_DENIED', path: directory })
})
