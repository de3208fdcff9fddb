/** The package runs with what V8 made of its code beforehand, and as well without. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { temporaryDirectory } from './fixtures/directory.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const version = `${process.versions.v8}-${process.arch}`

/** Whether V8 refused, asked in a process that hasn't compiled the same before. */
const ask = `
  const { readFileSync } = require('node:fs')
  const [, code, compiled] = process.argv
  const source = require('node:module').wrap(readFileSync(code, 'utf8'))
  console.log(new (require('node:vm').Script)(source, { cachedData: readFileSync(compiled) }).cachedDataRejected)`

for (const name of ['library', 'oci']) {
  t.test(`V8 takes what was made of ${name}.cjs`, (t) => {
    const files = [join(root, `dist/${name}.cjs`), join(root, `dist/compiled/${version}/${name}.bin`)]
    const refused = (...flags: string[]): string =>
      execFileSync(process.execPath, [...flags, '--eval', ask, ...files], { encoding: 'utf8' }).trim()
    t.equal(refused(), 'false')
    t.equal(refused('--no-opt'), 'true', 'under other flags it refuses')
    t.end()
  })
}

t.test('what does not fit is as good as none', async (t) => {
  const place = await temporaryDirectory(t)
  for (const file of ['package.json', 'dist/podling-oci.cjs', 'dist/precompiled.cjs', 'dist/oci.cjs']) {
    cpSync(join(root, file), join(place, file))
  }
  const run = (...flags: string[]): string =>
    execFileSync(process.execPath, [...flags, join(place, 'dist/podling-oci.cjs'), 'features'], { encoding: 'utf8' })
  const without = run()
  t.ok(Array.isArray((JSON.parse(without) as { hooks?: unknown }).hooks))

  const compiled = join(root, `dist/compiled/${version}/oci.bin`)
  const copy = join(place, `dist/compiled/${version}/oci.bin`)
  mkdirSync(join(place, `dist/compiled/${version}`), { recursive: true })
  cpSync(compiled, copy)
  t.equal(run(), without, 'with it')
  t.equal(run('--no-opt'), without, 'under flags that it was not made for')
  const bytes = readFileSync(compiled)
  for (const [what, other] of [
    ['cut off', bytes.subarray(0, bytes.length / 2)],
    ['empty', Buffer.alloc(0)],
    ['of another version', Buffer.concat([bytes.subarray(0, 4).fill(0), bytes.subarray(4)])],
  ] as const) {
    writeFileSync(copy, other)
    t.equal(run(), without, what)
  }
  rmSync(copy)
  mkdirSync(copy)
  t.equal(run(), without, 'unreadable')
})
