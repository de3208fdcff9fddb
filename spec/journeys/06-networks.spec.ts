import t from 'tap'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Container, ContainerOptions } from 'podling'
import { askHost, startHostServices } from '../fixtures/host-service.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** What a server says to whoever connects; `'error: CODE'` where nobody listens. */
function read(port: number, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    let text = ''
    socket.setTimeout(3000, () => socket.destroy(new Error('timeout')))
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      resolve(`error: ${error.code ?? error.message}`)
    })
    socket.on('end', () => {
      resolve(text.trim())
    })
  })
}

const tools = needs('root', 'iproute2', 'nftables')

if (inOwnNetwork(import.meta.url)) {
  const snapshot = () =>
    execFileSync('sh', ['-c', 'ip -o link | cut -d: -f2; ip -o addr; nft list ruleset'], { encoding: 'utf8' })

  t.test('networks', tools, async (t) => {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    const before = snapshot()
    const setup = await testRuntime()
    const { runtime, image } = setup
    const server = (name: string, options: Partial<ContainerOptions> = {}): Promise<Container> =>
      runtime.run({
        // On the default network, as it names none.
        image,
        command: ['nc', '-ll', '-p', '80', '-e', 'echo', name],
        ready: { port: 80 },
        ...options,
      })

    await t.test('a published port is one of the host, found free or chosen', async (t) => {
      await using web = await server('web', {
        ports: [80, '8080:80', '127.0.0.1:9090:80', { container: 80, host: 7000 }],
      })
      t.match(web.ports, [
        { container: 80, protocol: 'tcp', ip: '0.0.0.0' },
        { host: 8080 },
        { ip: '127.0.0.1', host: 9090 },
        { host: 7000 },
      ])
      for (const { host } of web.ports) t.equal(await read(host), 'web', `port ${String(host)}`)
      t.equal(web.networks[0]?.network, 'podling')
      t.equal(web.networks[0]?.addresses[0], '10.88.0.2/16')
      const { stdout } = await web.exec(['sh', '-c', 'ip addr show eth0; ip route; cat /etc/hosts'])
      t.match(stdout, /inet 10\.88\.0\.2\/16/)
      t.match(stdout, /default via 10\.88\.0\.1/)
      t.match(stdout, /10\.88\.0\.2\t/)
      t.notMatch(stdout, /inet6/)
      t.same(web.inspect().ports, web.ports)
    })

    await t.test('services of the host', async (t) => {
      await using services = await startHostServices()
      await using one = await server('one', { extraHosts: ['gate:host-gateway'] })
      await using beside = await runtime.run({ image, network: `container:${one.name}`, command: ['sleep', '100'] })
      for (const container of [one, beside])
        t.equal(await askHost(container, 'host.docker.internal', services.open), 'open')
      t.equal(await askHost(one, 'gate', services.open), 'open')
      t.equal(await askHost(one, 'gate', services.local), '', 'not what listens on loopback alone')
      await using pod = await runtime.pods.create({ extraHosts: ['gate:host-gateway'] })
      await using inside = await runtime.run({ image, pod: pod.name, command: ['sleep', '100'] })
      t.equal(await askHost(inside, 'gate', services.open), 'open', 'of a pod')
      await using unnamed = await server('unnamed', { hostGateway: false })
      t.notMatch((await unnamed.exec(['cat', '/etc/hosts'])).stdout, /internal/)
    })

    await t.test('a port that is taken', async (t) => {
      await using first = await server('first', { ports: ['8080:80'] })
      await t.rejects(server('second', { ports: ['8080:80'] }), { code: 'PORT_IN_USE', message: /8080/ })
      const program = createServer()
      await new Promise<void>((resolve) => program.listen(6000, resolve))
      await t.rejects(server('third', { ports: ['6000:80'] }), { code: 'PORT_IN_USE', message: /6000/ })
      program.close()
      const late = createServer()
      const code = await new Promise((resolve) => {
        late.on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code)
        })
        late.listen(8080, () => {
          resolve('listens')
        })
      })
      t.equal(code, 'EADDRINUSE', 'no program can take it while it is published')
      await first.stop({ timeout: 0 })
      t.same(first.ports, [])
      t.equal(await read(8080), 'error: ECONNREFUSED')
      await using again = await server('again', { ports: ['8080:80'] })
      t.equal(await read(again.ports[0]!.host), 'again')
    })

    await t.test('a port is free as soon as its container has ended', async (t) => {
      const short = { image, network: 'bridge', ports: ['8082:80'], command: ['true'] }
      for (let i = 0; i < 20; i++) {
        const container = await runtime.run(short)
        t.equal((await container.wait()).exitCode, 0)
        const next = createServer()
        await new Promise<void>((resolve, reject) => next.on('error', reject).listen(8082, resolve))
        next.close()
        await container.remove()
      }
    })

    await t.test('the next start does not wait until the namespace of the last run is gone', async (t) => {
      await using web = await server('again', { ports: ['8080:80'] })
      // Whoever is in there keeps its links, as the kernel does until it comes to take it down.
      const inside = openSync(`/proc/${String(web.pid)}/ns/net`, 'r')
      try {
        await web.restart({ timeout: 0 })
        t.equal(await read(8080), 'again')
      } finally {
        closeSync(inside)
      }
    })

    await t.test('containers reach each other at once', async (t) => {
      await using one = await server('one')
      const address = one.networks[0]!.addresses[0]!.split('/')[0]!
      for (let i = 0; i < 5; i++) {
        await using client = await runtime.run({ image, network: 'bridge', command: ['nc', '-w', '20', address, '80'] })
        t.equal((await client.wait()).exitCode, 0)
        const lines = []
        for await (const { text } of client.logs()) lines.push(text)
        t.same(lines, ['one'])
      }
      await using beside = await runtime.run({
        image,
        network: `container:${one.name}`,
        command: ['nc', '127.0.0.1', '80'],
      })
      t.equal((await beside.wait()).exitCode, 0)
      await t.rejects(runtime.run({ image, network: 'container:nobody', command: ['true'] }), {
        code: 'CONTAINER_NOT_FOUND',
      })
    })

    await t.test('networks of one’s own', async (t) => {
      const inner = await runtime.networks.create({
        name: 'inner',
        internal: true,
        subnets: ['10.201.0.0/24', 'fd00:7::/64'],
      })
      t.match(inner, { name: 'inner', subnets: [{ gateway: '10.201.0.1' }, { gateway: 'fd00:7::1' }] })
      await runtime.networks.create({ name: 'outer' })
      await t.rejects(runtime.networks.create({ name: 'other', subnets: ['10.201.0.128/25'] }), {
        code: 'SUBNET_OVERLAPS',
      })
      await t.rejects(runtime.run({ image, network: 'iner', command: ['true'] }), {
        code: 'NETWORK_NOT_FOUND',
        message: /inner/,
      })
      await using both = await server('both', { network: ['outer', 'inner'], ports: ['8081:80'] })
      await using sealed = await server('sealed', { network: 'inner', ip: '10.201.0.50' })
      t.equal(await read(8081), 'both')
      t.match((await both.exec(['nc', '-w', '20', '10.201.0.50', '80'])).stdout, /sealed/)
      t.match((await sealed.exec(['ip', 'route'])).stdout, /^10\.201\.0\.0\/24 .*$/m)
      t.notMatch((await sealed.exec(['ip', 'route'])).stdout, /default/)
      await t.rejects(runtime.networks.remove('inner'), { code: 'NETWORK_IN_USE' })

      await runtime.networks.connect('outer', sealed.name)
      t.same(
        sealed.networks.map(({ network, interface: link }) => [network, link]),
        [
          ['inner', 'eth0'],
          ['outer', 'eth1'],
        ],
      )
      t.match((await sealed.exec(['ip', 'route'])).stdout, /default via .* dev eth1/)
      await runtime.networks.disconnect('inner', sealed.name)
      t.notMatch((await sealed.exec(['ip', 'addr'])).stdout, /eth0/)
      await sealed.remove({ force: true })
      await both.remove({ force: true })
      await runtime.networks.remove('inner')
      t.same(
        (await runtime.networks.list()).map(({ name }) => name),
        ['podling', 'outer'],
      )
    })

    await t.test('many at once', async (t) => {
      const all = await Promise.all(Array.from({ length: 24 }, (_, i) => server(String(i), { ports: [80] })))
      const said = await Promise.all(all.map(({ ports }) => read(ports[0]!.host)))
      t.same(
        said,
        all.map((_, i) => String(i)),
      )
      t.equal(new Set(all.map(({ networks }) => networks[0]!.addresses[0])).size, 24)
      await Promise.all(all.map((container) => container.remove({ force: true })))
    })

    await t.test('mistakes are told together', async (t) => {
      const wrong = { image, network: 'bridge', ports: ['70000:80', 0, '80:90/icmp'], mac: '01:00:00:00:00:00' }
      const error = await runtime.run(wrong).catch((caught: unknown) => caught as Error)
      t.match(error, { code: 'INVALID_OPTION', message: /ports\[0\].*\n.*ports\[1\].*\n.*ports\[2\]/s })
      t.match((error as Error).message, /mac: must be/)
      await t.rejects(runtime.run({ image, network: 'host', ports: [80] }), {
        code: 'INVALID_OPTION',
        message: /ports: has no effect/,
      })
    })

    await setup[Symbol.asyncDispose]()
    t.equal(snapshot(), before, 'nothing is left')
  })
}
