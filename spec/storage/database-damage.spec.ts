/** A database file that is damaged in any way is refused with a word, or read: it never ends the process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Database } from '../../lib/storage/database.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { randomSource } from '../fixtures/random.js'

const reader = fileURLToPath(new URL('../fixtures/database-reader.js', import.meta.url))
const pageSize = 4096

/** A database with branches, leaves, overflow pages and a list of free pages. */
async function makeDatabase(directory: string): Promise<Buffer> {
  const random = randomSource(4)
  const database = await Database.open(directory)
  const things = database.table<string>('things')
  for (let round = 0; round < 4; round++) {
    await database.transaction(() => {
      for (let i = 0; i < 200; i++)
        void things.put(`key ${String(random.below(500))}`, 'x'.repeat(random.chance(0.05) ? 9000 : random.below(300)))
      for (let i = 0; i < 60; i++) void things.remove(`key ${String(random.below(500))}`)
    })
  }
  await database.close()
  return readFileSync(join(directory, 'state.mdb'))
}

async function read(
  args: readonly string[],
): Promise<{ lines: string[]; signal: NodeJS.Signals | null; told: string }> {
  const child = spawn(process.execPath, [reader, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const [output, told] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { lines: output.split('\n').filter(Boolean), signal: (await exit)[1], told }
}

function copies(root: string, databases: readonly Buffer[]): string[] {
  return databases.map((bytes, i) => {
    const directory = join(root, String(i))
    mkdirSync(directory)
    writeFileSync(join(directory, 'state.mdb'), bytes)
    return directory
  })
}

t.test('each page zeroed, filled with garbage, put in the place of another', async (t) => {
  const root = await temporaryDirectory(t)
  const whole = await makeDatabase(join(root, 'whole'))
  const pages = whole.length / pageSize
  const random = randomSource(11)
  const damaged = Array.from({ length: pages }, (_, page) => page).flatMap((page) =>
    [Buffer.alloc(pageSize), random.bytes(pageSize), whole.subarray(3 * pageSize, 4 * pageSize)].map((other) => {
      const bytes = Buffer.from(whole)
      other.copy(bytes, page * pageSize)
      return bytes
    }),
  )
  const directories = copies(root, damaged)
  const { lines, signal } = await read(directories)
  t.equal(signal, null, `it lives after ${String(lines.length)} of ${String(directories.length)}`)
  t.equal(lines.length, directories.length)
  t.strictSame([...new Set(lines)].sort(), ['STATE_INVALID', 'sound'], 'pages that nothing leads to may be anything')
  t.strictSame(new Set(lines.slice(0, 6)), new Set(['STATE_INVALID']), 'both meta pages count')
  t.ok(lines.filter((line) => line === 'STATE_INVALID').length > pages, 'most are in use')
})

t.test('cut short anywhere', async (t) => {
  const root = await temporaryDirectory(t)
  const whole = await makeDatabase(join(root, 'whole'))
  writeFileSync(join(root, 'half.mdb'), whole.subarray(0, whole.length / 2))
  const unchecked = await read(['--unchecked', join(root, 'half.mdb')])
  t.equal(unchecked.signal, 'SIGBUS', 'LMDB by itself does not survive that')
  const random = randomSource(12)
  const lengths = [
    1,
    100,
    4095,
    4096,
    8191,
    8192,
    whole.length - 1,
    ...Array.from({ length: 20 }, () => random.below(whole.length)),
  ]
  const directories = lengths.map((length, i) => {
    const directory = join(root, String(i))
    mkdirSync(directory)
    copyFileSync(join(root, 'whole/state.mdb'), join(directory, 'state.mdb'))
    truncateSync(join(directory, 'state.mdb'), length)
    return directory
  })
  const { lines, signal } = await read(directories)
  t.equal(signal, null)
  t.equal(lines.length, directories.length)
  t.strictSame(lines.slice(0, 6), Array(6).fill('STATE_INVALID'))
  t.strictSame(
    lines.filter((line) => line !== 'STATE_INVALID' && line !== 'sound'),
    [],
  )
})

t.test('fuzz: single bytes changed', async (t) => {
  const seed = 20_241_124
  const root = await temporaryDirectory(t)
  const whole = await makeDatabase(join(root, 'whole'))
  const random = randomSource(seed)
  const damaged = Array.from({ length: 300 }, () => {
    const bytes = Buffer.from(whole)
    for (let i = random.below(4); i >= 0; i--) {
      // Mostly where a page's header and offsets are, and the nodes of pages that are full.
      const page = random.below(bytes.length / pageSize) * pageSize
      bytes[page + random.pick([random.below(24), 24 + random.below(60), random.below(pageSize)])] = random.below(256)
    }
    return bytes
  })
  const directories = copies(root, damaged)
  const { lines, signal, told } = await read(directories)
  t.equal(signal, null, `seed ${String(seed)}, ended at round ${String(lines.length)}`)
  t.equal(lines.length, directories.length, told)
  t.strictSame(
    lines.filter((line) => line !== 'STATE_INVALID' && line !== 'sound'),
    [],
  )
  t.ok(lines.includes('STATE_INVALID'))
})

t.test('damaged while it is open: a write is refused, and the rest goes on', async (t) => {
  const directory = await temporaryDirectory(t)
  const database = await Database.open(directory)
  const things = database.table<string>('things')
  await database.transaction(() => {
    for (let i = 0; i < 300; i++) void things.put(`key ${String(i)}`, 'x'.repeat(100))
  })
  const path = join(directory, 'state.mdb')
  const file = openSync(path, 'r+')
  // Pages that seem to be in the midst of a transaction (P_KEEP).
  for (let page = 2; page < readFileSync(path).length / pageSize; page++)
    writeSync(file, Buffer.of(0x80), 0, 1, page * pageSize + 19)
  closeSync(file)
  await t.rejects(things.put('new', 'x'), { code: 'SYSTEM_CALL_FAILED', message: /commit to the state database/ })
  t.equal(things.get('key 7'), 'x'.repeat(100))
  await database.close()
  await t.rejects(Database.open(directory), { code: 'STATE_INVALID' })
})

t.test('a lock file of rubbish is made anew', async (t) => {
  const root = await temporaryDirectory(t)
  await makeDatabase(join(root, 'a'))
  for (const rubbish of [Buffer.alloc(0), Buffer.from('rubbish'), randomSource(13).bytes(10_000)]) {
    writeFileSync(join(root, 'a/state.mdb-lock'), rubbish)
    const { lines, signal } = await read([join(root, 'a')])
    t.strictSame({ lines, signal }, { lines: ['sound'], signal: null }, `${String(rubbish.length)} bytes`)
  }
})
