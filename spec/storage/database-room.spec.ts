/** A full disk is told before LMDB writes: what lmdb itself does then can end the process. */
import { execFileSync, spawnSync } from 'node:child_process'
import t from 'tap'

const moduleUrl = new URL('../../lib/storage/database.js', import.meta.url).href

/** In a process of its own, with the database's place as its argument: what lmdb says, it says to stderr. */
const program = `
import { statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { Database } from ${JSON.stringify(moduleUrl)}
const [, disk] = process.argv
const database = await Database.open(disk + '/database')
const table = database.table('things')
const value = 'x'.repeat(600)
const fill = (from, count) => database.transaction(() => {
  for (let i = from; i < from + count; i++) void table.put('key ' + i, value)
})
const failure = (error) => ({ code: error.code, errno: error.errno, message: error.message })
for (let i = 0; i < 20; i++) await fill(i * 100, 100)
for (let left = 1; left > 0; left = statfsSync(disk).bavail)
  try { writeFileSync(disk + '/ballast', Buffer.alloc(left * 4096), { flag: 'a' }) } catch {}
const failures = []
for (let round = 0; round < 200; round++) await fill(10_000 + round * 100, 100).catch((error) => failures.push(failure(error)))
const removed = await table.remove('key 7').catch(failure)
const kept = [...table.entries()].length
truncateSync(disk + '/ballast', 0)
const after = await fill(100_000, 10).then(() => 'done', failure)
await database.close()
console.log(JSON.stringify({ failures, removed, kept, after }))
`

t.test('two hundred commits on a full disk', (t) => {
  const disk = t.testdir()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'podling-full', disk])
  try {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', program, '--', disk],
      { encoding: 'utf8' },
    )
    t.strictSame({ status, signal, stderr }, { status: 0, signal: null, stderr: '' })
    const { failures, removed, kept, after } = JSON.parse(stdout) as Record<string, unknown> & { failures: unknown[] }
    t.ok(failures.length > 190, `${String(failures.length)} were refused`)
    const expected = {
      code: 'DISK_FULL',
      errno: 'ENOSPC',
      message: /state\.mdb, which needs space on its disk: ENOSPC/,
    }
    for (const one of failures) t.match(one, expected)
    t.equal(removed, true, 'what is removed needs no more room')
    t.equal(kept, 1999 + 100 * (200 - failures.length), 'nothing is lost, and nothing is half there')
    t.equal(after, 'done', 'with room again it goes on')
  } finally {
    execFileSync('umount', [disk])
  }
  t.end()
})
