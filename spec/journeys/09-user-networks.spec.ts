/** Networks by a program beside the container: pasta and slirp4netns. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

function read(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', (error) => {
      resolve(error.message)
    })
    socket.on('end', () => {
      resolve(text.trim())
    })
  })
}

/** Programs of user-mode networks in this network namespace. */
function running(): string[] {
  const own = namespaceOf(String(process.pid))
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || namespaceOf(pid) !== own) return false
    return /pasta|slirp4netns/.test(nameOf(pid))
  })
}

function namespaceOf(pid: string): string {
  try {
    return execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8')
  } catch {
    return ''
  }
}

if (inOwnNetwork(import.meta.url)) {
  t.test('user-mode networks', needs('root', 'busybox', 'iproute2', 'passt', 'slirp4netns'), async (t) => {
    const ip = (...args: string[]) => execFileSync('ip', args)
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'beyond')
    ip('addr', 'add', '192.0.2.1/24', 'dev', 'uplink')
    ip('link', 'set', 'uplink', 'up')
    ip('link', 'set', 'beyond', 'up')
    ip('route', 'add', 'default', 'via', '192.0.2.2')
    await startResolver(t, '0.0.0.0', '192.0.2.80')
    const setup = await testRuntime()
    const { runtime, image } = setup
    for (const network of ['pasta', 'slirp4netns'] as const) {
      const server = (detach: boolean) =>
        runtime.run({
          image,
          network,
          detach,
          command: ['nc', '-ll', '-p', '80', '-e', 'echo', network],
          ports: ['8080:80', 80],
          ready: { port: 80 },
        })
      const container = await server(false)
      t.match(container.ports, [
        { container: 80, host: 8080 },
        { container: 80, protocol: 'tcp' },
      ])
      for (const { host } of container.ports) t.equal(await read(host), network)
      t.match((await container.exec(['cat', '/etc/resolv.conf'])).stdout, /^nameserver (169\.254\.1\.1|10\.0\.2\.3)$/m)
      await t.rejects(server(false), { code: 'PORT_IN_USE', message: /8080/ })
      await t.rejects(runtime.run({ image, network, command: ['/no/such/program'] }), { code: 'COMMAND_NOT_FOUND' })
      await container.remove({ force: true })
      while (running().length > 0) await delay(10)
      const detached = await server(true)
      t.equal(await read(8080), network)
      await detached.stop({ timeout: 0 })
      await detached.remove()
      while (running().length > 0) await delay(10)
      t.pass('it ended with the container')
    }
    await setup[Symbol.asyncDispose]()
  })
}
