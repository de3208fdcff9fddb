/** The README's programs: all of them compile against the package's types, and the first one runs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Runtime } from 'podling'
import t from 'tap'
import ts from 'typescript'
import { hostImage, searchAlong } from '../lib/image/from-host/host-image.js'
import { compile } from './consumer.js'
import { temporaryDirectory } from './fixtures/directory.js'
import { makeLayout, pushLayout } from './fixtures/images.js'
import { inOwnNetwork } from './fixtures/own-network.js'
import { startRegistry } from './fixtures/registry.js'
import { needs } from './peers.js'

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
const blocks = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map(([, text = '']) => text)
const [first = ''] = blocks

/** What the tour takes for granted: the first program's objects, and a caller's own. */
const before = `
import { PodlingError, type Container, type Images, type Runtime } from 'podling'
declare const runtime: Runtime, images: Images, web: Container, signal: AbortSignal
declare function draw(bytes: number, total: number | undefined): void;
`

if (inOwnNetwork(import.meta.url)) {
  t.test('the programs of the README compile', async (t) => {
    t.ok(blocks.length > 1)
    const programs = Object.fromEntries(
      blocks.map((text, i) => [
        `block-${String(i + 1)}`,
        text.includes("from 'podling'") ? text : `${before}\n{\n${text}\n}\nexport {}`,
      ]),
    )
    const directory = await temporaryDirectory(t, 'podling-readme-')
    const { messages } = compile(directory, 'module', { module: ts.ModuleKind.Node16, skipLibCheck: true }, programs)
    for (const name of Object.keys(programs)) t.same(messages(name), [], name)
  })

  t.test('the first program runs', needs('root', 'iproute2', 'docker-registry', 'skopeo'), async (t) => {
    const registry = await startRegistry(t)
    await pushApp(await temporaryDirectory(t, 'podling-layout-'), `${registry.host}/app:1`)
    t.teardown(async () => {
      await using runtime = await Runtime.open()
      await runtime.images.remove(`${registry.host}/app:1`)
    })

    const directory = await temporaryDirectory(t, 'podling-readme-')
    const program = `${first.replace('localhost:5000', registry.host)}\nconsole.log(JSON.stringify({ exitCode, stdout }))`
    t.not(program, first, 'it names a registry of this machine')
    compile(directory, 'module', { module: ts.ModuleKind.Node16 }, {})
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    writeFileSync(join(directory, 'first.js'), ts.transpile(program, options))

    const child = spawn(process.execPath, ['first.js'], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
    const closed = once(child, 'close') as Promise<[number | null]>
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    const lines: string[] = []
    for await (const line of createInterface(child.stdout)) {
      lines.push(line)
      // It follows the logs by now, which end when the server does.
      if (line === 'listening') await fetch('http://127.0.0.1:8080/bye')
    }
    const [code] = await closed
    t.equal(code, 0, errors)
    t.match(lines, ['listening', /^GET \/bye$/, /^\{"exitCode":0,"stdout":".+\\n"\}$/])
    t.equal(lines.length, 3)
  })
}

/** An image with this machine's Node and a server.js to push to a registry. */
async function pushApp(directory: string, reference: string): Promise<void> {
  const server = `
    const server = require('node:http').createServer((request, response) => {
      console.log(request.method, request.url)
      response.end(() => process.exit())
    })
    server.listen(80, () => console.log('listening'))
  `
  const files = [{ to: '/app/server.js', content: server }]
  const { layers } = await hostImage({ binaries: ['node', 'cat'], files }, searchAlong(process.env.PATH))
  const tars = await Promise.all(layers.map((layer) => buffer(layer.tar())))
  const config = { WorkingDir: '/app', Env: [`PATH=${dirname(process.execPath)}:/usr/bin:/bin`] }
  await pushLayout(await makeLayout(directory, [{ layers: tars, config, compression: 'none' }]), reference)
}
