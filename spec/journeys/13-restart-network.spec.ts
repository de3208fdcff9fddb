/** A container that is started again keeps its place on its networks. */
import { execFileSync } from 'node:child_process'
import { readlink } from 'node:fs/promises'
import t from 'tap'
import type { Container } from 'podling'
import { within } from '../fixtures/leftovers.js'
import { addressOf, lookUp } from '../fixtures/names.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url)) {
  const setup = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { runtime, image } = setup
  const server = {
    image,
    command: ['sh', '-c', 'echo 1 > /tmp/page; exec httpd -f -p 80 -h /tmp'],
    restart: 'always',
  } as const

  /** Its pid 1 is killed from outside, and the next one runs. */
  async function restarted(container: Container): Promise<void> {
    const again = new Promise<void>((resolve) => container.once('start', resolve))
    process.kill(container.pid!, 'SIGKILL')
    await again
  }

  t.test('bridge', needs('root', 'busybox', 'iproute2'), async (t) => {
    await runtime.networks.create({ name: 'second' })
    await runtime.networks.create({ name: 'third' })
    await using web = await runtime.run({
      ...server,
      name: 'web',
      network: ['bridge', 'second'],
      ports: [80],
      ready: { port: 80 },
    })
    await using peer = await runtime.run({ image, command: ['sleep', '1000'], name: 'peer' })
    await runtime.networks.connect('third', 'web')
    await runtime.networks.disconnect('second', 'web')
    const { networks, ports } = web
    const namespace = await readlink(`/proc/${String(web.pid)}/ns/net`)
    const links = await addresses(web)
    for (let round = 0; round < 2; round++) {
      await restarted(web)
      t.equal(await readlink(`/proc/${String(web.pid)}/ns/net`), namespace, 'the network namespace is the same')
      t.strictSame(web.networks, networks)
      t.strictSame(web.ports, ports)
      t.equal(await addresses(web), links)
      t.equal(await lookUp(peer, 'web'), addressOf(web), 'and it is found by its name')
      t.match(await page(web), /^1/, 'its published port leads to it')
    }
    t.match((await web.exec(['ip', 'route'])).stdout, /default via 10\.88\.0\.1/)
    await web.stop({ timeout: 0 })
    t.equal(await lookUp(peer, 'web.dns.podling'), '', 'when it is stopped, its name is gone')
  })

  t.test('the network of another container, which is started again as well', needs('root', 'iproute2'), async (t) => {
    await using first = await runtime.run({ ...server, name: 'first', network: 'bridge' })
    await using second = await runtime.run({
      ...server,
      command: ['sleep', '1000'],
      name: 'second',
      network: 'container:first',
    })
    const namespace = await readlink(`/proc/${String(first.pid)}/ns/net`)
    await restarted(first)
    await restarted(second)
    for (const { pid } of [first, second]) t.equal(await readlink(`/proc/${String(pid)}/ns/net`), namespace)
  })

  t.test('pasta', needs('root', 'passt', 'iproute2'), async (t) => {
    const ip = (...args: string[]) => execFileSync('ip', args)
    ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'beyond')
    ip('addr', 'add', '192.0.2.1/24', 'dev', 'uplink')
    for (const link of ['uplink', 'beyond']) ip('link', 'set', link, 'up')
    ip('route', 'add', 'default', 'via', '192.0.2.2')
    await using web = await runtime.run({ ...server, network: 'pasta', ports: [80] })
    const links = await addresses(web)
    await restarted(web)
    t.equal(await addresses(web), links)
    t.match(await page(web), /^1/)
  })

  /** What it serves at its published port; it may have to bind its own first. */
  async function page({ ports }: Container): Promise<string> {
    const url = `http://127.0.0.1:${String(ports[0]!.host)}/page`
    const ask = () =>
      fetch(url, { headers: { connection: 'close' } })
        .then((answer) => answer.text())
        .catch(String)
    return within(10_000, ask, (text) => /^\d/.test(text))
  }

  async function addresses(container: Container): Promise<string> {
    return (await container.exec(['ip', 'addr'])).stdout
  }
}
