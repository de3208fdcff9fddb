/** What a process loads before it has a use for it: nothing that most can do without. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { podlingOci } from './fixtures/oci.js'
import { needs } from './peers.js'

const directory = mkdtempSync(join(tmpdir(), 'podling-late-'))
t.teardown(() => {
  rmSync(directory, { recursive: true })
})

/** The packages, and the slow parts of Node, that a process has loaded, each once, as it ends. */
const tell = `process.on('exit', () => {
  const packages = Object.keys(require.cache).flatMap((path) => /.*node_modules\\/((@[^/]+\\/)?[^/]+)/.exec(path)?.[1] ?? [])
  const parts = ['http', 'http2', 'https', 'tls'].filter((name) => process.moduleLoadList.includes('NativeModule ' + name))
  require('node:fs').writeFileSync(process.env.LOADED, [...new Set([...packages, ...parts])].join(' '))
})`
const teller = join(directory, 'tell.cjs')
writeFileSync(teller, tell)

function loadedBy(words: readonly string[]): string {
  const file = join(directory, 'loaded')
  execFileSync(process.execPath, ['--require', teller, ...words], {
    env: { ...process.env, LOADED: file },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return readFileSync(file, 'utf8')
}

t.test('importing the library loads what its classes are made of, and no more', (t) => {
  const program = 'await import("podling")'
  t.equal(loadedBy(['--input-type=module', '--eval', program]), 'eventemitter3')
  t.end()
})

t.test('the first container loads what keeps the state and calls the kernel', needs('root', 'busybox'), (t) => {
  const program = `import { Runtime } from 'podling'
    const runtime = await Runtime.open({ root: ${JSON.stringify(join(directory, 'root'))} })
    const image = await runtime.images.fromHost({ binaries: ['/usr/bin/busybox'] })
    const container = await runtime.run({ image, command: ['busybox', 'true'], network: 'none' })
    await container.wait()
    await runtime.close()`
  const loaded = loadedBy(['--input-type=module', '--eval', program]).split(' ')
  for (const name of ['koffi', 'lmdb']) t.ok(loaded.includes(name), `${name} is loaded`)
  for (const name of ['ajv', 'yaml', 'smol-toml', 'prom-client', 'http2']) t.notOk(loaded.includes(name), `no ${name}`)
  t.end()
})

t.test('commands that only look load no package', (t) => {
  for (const words of [['--version'], ['--root', directory, 'list'], ['features']]) {
    t.equal(loadedBy([podlingOci, ...words]), '', words.join(' '))
  }
  t.end()
})

t.test('a class is shown by the name that it is exported by', async (t) => {
  const exported: Record<string, unknown> = await import('podling')
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value === 'function') t.equal(value.name, name)
  }
})
