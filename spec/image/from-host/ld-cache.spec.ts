import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { compareNames, encodeLdCache, parseLdCache } from '../../../lib/image/from-host/ld-cache.js'

const entries = [
  { name: 'libz.so.1', path: '/lib/libz.so.1', flags: 0x303 },
  { name: 'liba.so.10', path: '/lib/liba.so.10', flags: 0x303 },
  { name: 'liba.so.9', path: '/opt/lib/liba.so.9', flags: 0x303 },
]

t.test('what is written can be read, in the order of ld.so', async (t) => {
  for (const littleEndian of [true, false]) {
    const read = parseLdCache(encodeLdCache(entries, littleEndian))
    t.strictSame(
      read,
      [entries[0]!, entries[1]!, entries[2]!].map((entry) => ({ ...entry, special: false })),
    )
  }
})

t.test('names are compared with numbers by value', async (t) => {
  t.ok(compareNames('liba.so.10', 'liba.so.9') > 0)
  t.ok(compareNames('liba.so', 'liba.so.1') < 0)
  t.ok(compareNames('liba1', 'libab') > 0, 'a digit comes after letters')
  t.equal(compareNames('libc.so.6', 'libc.so.6'), 0)
})

t.test("this host's cache reads as ldconfig reads it", async (t) => {
  const ours = (parseLdCache(await readFile('/etc/ld.so.cache')) ?? []).map(({ name, path }) => `${name} => ${path}`)
  t.strictSame(ours, listed('/etc/ld.so.cache'))
  t.ok(ours.length > 0)
})

t.test('ldconfig reads what we write', async (t) => {
  const file = join(t.testdir(), 'cache')
  await writeFile(file, encodeLdCache(entries, true))
  t.strictSame(listed(file), [
    'libz.so.1 => /lib/libz.so.1',
    'liba.so.10 => /lib/liba.so.10',
    'liba.so.9 => /opt/lib/liba.so.9',
  ])
})

t.test('the order of a large cache is that of ldconfig', async (t) => {
  const names = (parseLdCache(await readFile('/etc/ld.so.cache')) ?? []).map(({ name }) => name)
  t.strictSame(
    [...names].sort((a, b) => compareNames(b, a)),
    names,
  )
})

t.test('the new format behind an old one', async (t) => {
  const old = Buffer.alloc(16 + 12 + 4)
  old.write('ld.so-1.7.0')
  old.writeUInt32LE(1, 12)
  t.equal(parseLdCache(Buffer.concat([old, encodeLdCache(entries, true)]))?.length, 3)
})

t.test('a damaged cache is none', async (t) => {
  const whole = encodeLdCache(entries, true)
  for (let length = 0; length < whole.length; length++) t.equal(parseLdCache(whole.subarray(0, length)), undefined)
  const wrong = Buffer.from(whole)
  wrong.writeUInt32LE(0xffffffff, 48 + 4)
  t.equal(parseLdCache(wrong), undefined)
  wrong.writeUInt32LE(0xffffffff, 20)
  t.equal(parseLdCache(wrong), undefined)
})

function listed(cache: string): string[] {
  const text = execFileSync('/sbin/ldconfig', ['-p', '-C', cache], { encoding: 'utf8' })
  return text
    .split('\n')
    .filter((line) => line.startsWith('\t'))
    .map((line) => line.trim().replace(/ \(.*?\) /, ' '))
}
