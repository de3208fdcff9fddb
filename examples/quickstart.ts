/**
 * The main job, from nothing: an image out of this machine's own Node, an HTTP server in a container with limits, a
 * request, a command inside, its logs, its end. Needs root, and nothing from the internet. `npm run quickstart`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PodlingError, Runtime } from 'podling'

const program = `
const server = require('node:http').createServer((request, response) => {
  console.log(request.method, request.url)
  response.end('Hello from ' + require('node:fs').readFileSync('/etc/hostname', 'utf8').trim())
})
server.listen(80, () => console.log('listening'))
// Pid 1 gets only the signals that it asks for.
process.on('SIGTERM', () => { console.log('goodbye'); process.exit() })
`

const root = await mkdtemp(join(tmpdir(), 'podling-quickstart-'))
try {
  await quickstart()
} catch (error) {
  if (!(error instanceof PodlingError)) throw error
  console.error(`\n  ${error.message}\n  (${error.code})`)
  process.exitCode = 1
} finally {
  await rm(root, { recursive: true, force: true })
}

async function quickstart(): Promise<void> {
  console.log('\n  An HTTP server in a container, out of the Node that this machine has:\n')
  const begin = performance.now()

  const runtime = await step(
    'open the runtime',
    () => Runtime.open({ root }),
    () => `in ${root}`,
  )
  try {
    const parts = { binaries: ['node', 'cat'], files: [{ to: '/app/server.js', content: program }] }
    const image = await step(
      'make the image',
      () => runtime.images.fromHost(parts),
      ({ size }) => `${(size / 1e6).toFixed(0)} MB: node and cat with the libraries that they need`,
    )
    await step(
      'make it again',
      () => runtime.images.fromHost(parts),
      ({ id }) => (id === image.id ? 'nothing has changed, so nothing is copied' : 'a program has changed meanwhile'),
    )
    const web = await step(
      'run it',
      () =>
        runtime.run({
          image,
          command: ['node', '/app/server.js'],
          memory: '256m',
          cpus: 0.5,
          ports: ['127.0.0.1::80'],
          hostname: 'quickstart',
          ready: { port: 80, timeout: '30s' },
        }),
      ({ name }) => `${name}: 256 MB, half a processor; it listens`,
    )
    const url = `http://127.0.0.1:${String(web.ports[0]?.host)}/`
    await step(
      'fetch from it',
      async () => (await fetch(url)).text(),
      (text) => `"${text}" at ${url}`,
    )
    await step(
      'exec in it',
      () => web.exec(['cat', '/etc/hostname']),
      ({ exitCode, stdout }) => `cat /etc/hostname: "${stdout.trim()}", exit code ${String(exitCode)}`,
    )
    // The logs end when the container does, so they are followed while it is stopped.
    const logs = follow()
    await step(
      'stop it',
      () => web.stop(),
      (exit) => `exit code ${String(exit?.exitCode)}`,
    )
    await step(
      'read its logs',
      () => logs,
      (lines) => lines.join(' | '),
    )
    await step('remove it', () => web.remove())

    async function follow(): Promise<string[]> {
      const lines: string[] = []
      for await (const { text } of web.logs({ follow: true })) lines.push(text)
      return lines
    }
  } finally {
    await step(
      'close the runtime',
      () => runtime.close(),
      () => 'no process, mount, link or rule is left',
    )
  }
  console.log(`\n  ${'all of it'.padEnd(18)} ${milliseconds(performance.now() - begin)}\n`)
}

/** Do a part of the work and print how long it took. */
async function step<T>(name: string, work: () => Promise<T>, tell?: (result: T) => string): Promise<T> {
  const begin = performance.now()
  const result = await work()
  const line = `  ${name.padEnd(18)} ${milliseconds(performance.now() - begin)}   ${tell?.(result) ?? ''}`
  console.log(line.trimEnd())
  return result
}

function milliseconds(time: number): string {
  return `${time.toFixed(1).padStart(8)} ms`
}
