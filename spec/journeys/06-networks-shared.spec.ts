/** Networks that many use at once: containers, verbs, and host processes. */
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Container } from 'podling'
import { networkSnapshot } from '../fixtures/killed-at.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const tools = needs('root', 'busybox', 'iproute2', 'nftables')
const program = fileURLToPath(new URL('../fixtures/network-crowd.js', import.meta.url))

interface Place {
  readonly addresses: readonly string[]
  readonly port: number
}

/** A host process with that many containers; `places` resolves when all run. */
function crowd(root: string, count: number) {
  const child = spawn(process.execPath, [program, root, String(count)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const places = (async (): Promise<Place[]> => {
    const found: Place[] = []
    for await (const line of createInterface(child.stdout)) {
      if (line === 'all') return found
      found.push(JSON.parse(line) as Place)
    }
    throw new Error('it ended before all ran')
  })()
  return {
    places,
    async close() {
      child.stdin.end()
      await closed
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

if (inOwnNetwork(import.meta.url)) {
  t.test('hosts on one root never give an address or a port twice', tools, async (t) => {
    const before = networkSnapshot()
    const setup = await testRuntime()
    const { runtime, root } = setup
    await runtime.networks.create({ name: 'shared', subnets: ['10.210.0.0/24', 'fd00:210::/64'] })
    const hosts = [crowd(root, 16), crowd(root, 16), crowd(root, 16)]
    const all = (await Promise.all(hosts.map(({ places }) => places))).flat()
    t.equal(all.length, 48)
    const addresses = all.flatMap((place) => place.addresses)
    t.equal(addresses.length, 3 * 48)
    t.equal(new Set(addresses).size, 3 * 48, 'addresses')
    t.equal(new Set(all.map(({ port }) => port)).size, 48, 'ports')

    const [first, second, third] = hosts
    await first!.kill()
    const survivors = await within(
      20_000,
      () => runtime.containers.list({ status: 'running' }),
      (list) => list.length === 32,
    )
    t.equal(survivors.length, 32, 'the others’ go on')
    const kept = new Set(
      (await Promise.all(hosts.slice(1).map(({ places }) => places))).flat().flatMap((one) => one.addresses),
    )
    const next = crowd(root, 16)
    for (const { addresses: given } of await next.places)
      for (const address of given) t.notOk(kept.has(address), `${address} is nobody else's`)
    await Promise.all([next, second!, third!].map((host) => host.close()))
    await setup[Symbol.asyncDispose]()
    t.equal(
      await within(
        10_000,
        () => Promise.resolve(networkSnapshot()),
        (seen) => seen === before,
      ),
      before,
      'nothing is left',
    )
  })

  t.test('two hundred connects at once', tools, async (t) => {
    await using setup = await testRuntime()
    const { runtime, image } = setup
    const names = Array.from({ length: 8 }, (_, i) => `net-${String(i)}`)
    for (const name of names) await runtime.networks.create({ name })
    const options = { image, command: ['nc', '-ll', '-p', '80', '-e', 'echo', 'here'], ready: { port: 80 } }
    const containers = await Promise.all(Array.from({ length: 25 }, () => runtime.run(options)))
    const pairs = containers.flatMap((container) => names.map((name) => ({ container, name })))
    t.equal(pairs.length, 200)
    await Promise.all(pairs.map(({ container, name }) => runtime.networks.connect(name, container.id)))
    for (const container of containers)
      t.same(new Set(container.networks.map(({ network }) => network)), new Set(['podling', ...names]))
    const all = containers.flatMap(({ networks }) => networks.flatMap(({ addresses }) => addresses))
    t.equal(new Set(all).size, 25 * 9, 'each with addresses of its own')
    const [a, b] = containers as [Container, Container]
    for (const name of names) {
      const address = b.networks.find(({ network }) => network === name)!.addresses[0]!.split('/')[0]!
      t.equal((await a.exec(['nc', '-w', '5', address, '80'])).stdout, 'here\n', `${name} works`)
    }
    await Promise.all(pairs.map(({ container, name }) => runtime.networks.disconnect(name, container.id)))
    for (const container of containers)
      t.same(
        container.networks.map(({ network }) => network),
        ['podling'],
      )
    // At once with their end, too.
    const last = await Promise.allSettled(
      containers.flatMap((container) => [
        runtime.networks.connect(names[0]!, container.id),
        container.remove({ force: true }),
      ]),
    )
    t.same(
      last.filter((_, i) => i % 2 === 1).map(({ status }) => status),
      containers.map(() => 'fulfilled'),
    )
    for (const name of names) await runtime.networks.remove(name)
  })

  t.test('a network in use is removed by force', tools, async (t) => {
    await using setup = await testRuntime()
    const { runtime, image } = setup
    await runtime.networks.create({ name: 'doomed', subnets: ['10.210.0.0/24', 'fd00:210::/64'] })
    const idle = { image, command: ['sleep', '1000'] }
    await using both = await runtime.run({ ...idle, network: ['bridge', 'doomed'] })
    await using only = await runtime.run({ ...idle, network: 'doomed', ports: ['8080:80'] })
    await t.rejects(runtime.networks.remove('doomed'), { code: 'NETWORK_IN_USE', message: /2|use it|uses it/ })
    await runtime.networks.remove('doomed', { force: true })
    t.equal(both.status, 'running')
    t.same(
      both.networks.map(({ network }) => network),
      ['podling'],
    )
    t.notMatch((await only.exec(['ip', 'addr'])).stdout, /eth0/, 'its link is gone')
    t.equal(only.status, 'running', 'it runs on')
    await t.rejects(runtime.networks.get('doomed'), { code: 'NETWORK_NOT_FOUND' })
    await only.stop({ timeout: 0 })
    await t.rejects(only.start(), { code: 'NETWORK_NOT_FOUND', message: /doomed/ })
    await runtime.networks.create({ name: 'doomed', subnets: ['10.210.0.0/24'] })
    await only.start()
    t.match((await only.exec(['ip', 'addr'])).stdout, /10\.210\.0\.\d+\/24/, 'a new one of its name will do')
    await t.rejects(runtime.networks.remove('podling', { force: true }), { code: 'INVALID_OPTION' })
  })
}
