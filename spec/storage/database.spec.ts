import t from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../lib/errors.js'
import { Database } from '../../lib/storage/database.js'

const moduleUrl = new URL('../../lib/storage/database.js', import.meta.url).href

/** Run JavaScript in another process, with `database` open on `directory`. */
function elsewhere(directory: string, code: string): string {
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script(directory, code)], {
    encoding: 'utf8',
  })
  if (result.status !== 0) throw new Error(result.stderr)
  return result.stdout.trim()
}

function script(directory: string, code: string): string {
  return `import { Database } from ${JSON.stringify(moduleUrl)}
    const database = await Database.open(${JSON.stringify(directory)})
    const table = database.table('things')
    ${code}`
}

await t.test('records come back, in order, and can be removed', async (t) => {
  const database = await Database.open(t.testdir())
  const things = database.table<{ n: number }>('things')
  const others = database.table<string>('things2')
  t.equal(things.get('a'), undefined)
  await Promise.all([things.put('b', { n: 2 }), things.put('a', { n: 1 }), others.put('a', 'other')])
  t.strictSame(things.get('a'), { n: 1 })
  t.strictSame(
    [...things.entries()],
    [
      ['a', { n: 1 }],
      ['b', { n: 2 }],
    ],
  )
  t.strictSame([...others.entries()], [['a', 'other']])
  await Promise.all([others.put('a b', '1'), others.put('a c', '2'), others.put('ab', '3')])
  t.strictSame(
    [...others.entries('a ')].map(([key]) => key),
    ['a b', 'a c'],
  )
  await Promise.all([others.remove('a b'), others.remove('a c'), others.remove('ab')])
  t.equal(await things.remove('a'), true)
  t.equal(await things.remove('a'), false)
  t.equal(things.get('a'), undefined)
  await database.close()
  await database.close()
  await t.rejects(things.put('a', { n: 1 }), { code: 'RUNTIME_CLOSED' })
})

await t.test('what is committed is there after opening anew, mode 0600', async (t) => {
  const directory = t.testdir()
  const first = await Database.open(directory)
  await first.table('things').put('a', [1, 'zwei', null])
  await first.close()
  const second = await Database.open(directory)
  t.strictSame(second.table('things').get('a'), [1, 'zwei', null])
  t.equal(statSync(join(directory, 'state.mdb')).mode & 0o777, 0o600)
  await second.close()
})

await t.test('a transaction is whole or nothing, and reads its own writes', async (t) => {
  const database = await Database.open(t.testdir())
  const things = database.table<number>('things')
  await things.put('old', 1)
  const result = await database.transaction(() => {
    void things.put('new', 2)
    void things.remove('old')
    t.equal(things.get('new'), 2)
    t.equal(things.get('old'), undefined)
    t.strictSame([...things.entries()], [['new', 2]])
    return 'done'
  })
  t.equal(result, 'done')
  t.strictSame([...things.entries()], [['new', 2]])
  const failing = database.transaction(() => {
    void things.put('x', 1)
    void things.remove('new')
    throw new Error('no')
  })
  const beside = things.put('y', 3)
  await t.rejects(failing, { message: 'no' })
  await beside
  t.strictSame(
    [...things.entries()],
    [
      ['new', 2],
      ['y', 3],
    ],
  )
  await database.close()
})

await t.test('transactions within one turn see those before them, and nest', async (t) => {
  const database = await Database.open(t.testdir())
  const things = database.table<number>('things')
  await Promise.all(
    Array.from({ length: 50 }, () =>
      database.transaction(() => {
        const next = (things.get('count') ?? 0) + 1
        void database.transaction(() => void things.put('count', next))
      }),
    ),
  )
  t.equal(things.get('count'), 50)
  await database.close()
})

await t.test("a record doesn't follow the object it was made from", async (t) => {
  const database = await Database.open(t.testdir())
  const things = database.table<{ list: number[] }>('things')
  const value = { list: [1] }
  const written = things.put('a', value)
  value.list.push(2)
  await database.transaction(() => {
    things.get('a')?.list.push(9)
  })
  await written
  t.strictSame(things.get('a'), { list: [1] })
  await database.close()
})

await t.test("another process's commit is seen by the next get", async (t) => {
  const directory = t.testdir()
  const database = await Database.open(directory)
  const things = database.table<number>('things')
  await things.put('a', 1)
  t.equal(things.get('a'), 1)
  elsewhere(directory, `await table.put('a', 2); await database.close()`)
  t.equal(things.get('a'), 2)
  await database.close()
})

await t.test('transactions exclude each other between processes', async (t) => {
  const directory = t.testdir()
  const database = await Database.open(directory)
  const things = database.table<number>('things')
  const rounds = 60
  const work = `for (let i = 0; i < ${String(rounds)}; i++)
    await database.transaction(() => table.put('count', (table.get('count') ?? 0) + 1))
    await database.close()`
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--input-type=module', '-e', script(directory, work)], { stdio: 'inherit' }),
  )
  const ends = children.map((child) => once(child, 'exit'))
  for (let i = 0; i < rounds; i++)
    await database.transaction(() => void things.put('count', (things.get('count') ?? 0) + 1))
  for (const end of ends) t.equal((await end)[0], 0)
  t.equal(things.get('count'), 3 * rounds)
  await database.close()
})

await t.test('a process that is killed in the middle of writing leaves a sound database', async (t) => {
  const directory = t.testdir()
  const code = `process.stdout.write('up')
    for (let i = 0; ; i++) await database.transaction(() => { table.put('left', i); table.put('right', i) })`
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script(directory, code)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await new Promise((resolve) => setTimeout(resolve, 20 + round * 7))
    child.kill('SIGKILL')
    await once(child, 'exit')
    const database = await Database.open(directory)
    const things = database.table<number>('things')
    t.equal(things.get('left'), things.get('right'))
    await things.put('left', -1)
    await things.put('right', -1)
    await database.close()
  }
})

await t.test('a damaged or newer database is refused, by name', async (t) => {
  const directory = t.testdir()
  const path = join(directory, 'state.mdb')
  const database = await Database.open(directory)
  for (let i = 0; i < 200; i++) void database.table('things').put(String(i), 'x'.repeat(300))
  await database.transaction(() => undefined)
  await database.close()
  const whole = readFileSync(path)
  const refused = async (what: string): Promise<void> => {
    rmSync(`${path}-lock`, { force: true })
    const error: unknown = await Database.open(directory).then(
      async (opened) => {
        await opened.close()
      },
      (error: unknown) => error,
    )
    t.ok(error instanceof PodlingError && error.code === 'STATE_INVALID' && error.path === path, what, { error })
  }
  writeFileSync(path, 'certainly not a database'.repeat(1000))
  await refused('garbage')
  writeFileSync(path, 'x')
  await refused('tiny')
  writeFileSync(path, whole)
  truncateSync(path, 8192)
  await refused('cut short')
  writeFileSync(path, whole)
  const again = await Database.open(directory)
  await again.table('meta').put('format', 99)
  await again.close()
  await refused('newer')
})

await t.test('keys that no table can hold are refused', async (t) => {
  const database = await Database.open(t.testdir())
  const things = database.table('things')
  t.throws(() => things.get('a\0b'), { code: 'INVALID_OPTION' })
  await t.rejects(things.put('x'.repeat(3000), 1), { code: 'INVALID_OPTION' })
  await database.close()
})
