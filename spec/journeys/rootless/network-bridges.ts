/** Bridges of an ordinary user: containers among themselves, the way out, and published ports. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Container, ContainerOptions } from 'podling'
import { askTcp, askUdp } from '../../fixtures/ask-port.js'
import { askHost, startHostServices } from '../../fixtures/host-service.js'
import { openRuntime, processesNamed } from '../../fixtures/rootless-networks.js'

const { runtime, image } = await openRuntime()
const server = { image, command: ['answer', '80', '81'], ready: { port: 80 } } satisfies ContainerOptions
const client = { image, command: ['sleep', '1000'] } satisfies ContainerOptions

t.test('names, addresses and the way out', async (t) => {
  await runtime.networks.create({ name: 'back', subnets: ['10.77.0.0/24', 'fd77::/64'] })
  await using one = await runtime.run({
    ...server,
    name: 'one',
    network: 'back',
    ip: '10.77.0.9',
    networkAliases: ['db'],
  })
  await using two = await runtime.run({ ...client, network: 'back' })
  const ask = async (...argv: string[]) => (await two.exec(argv)).stdout.trim()
  for (const name of ['one', 'db', one.id.slice(0, 12), '10.77.0.9'])
    t.equal(await ask('sh', '-c', `nc -w 20 ${name} 81 </dev/null`), '81', `found as ${name}`)
  t.match(await ask('nslookup', 'one'), /10\.77\.0\.9[^]*fd77::/, 'by both families')
  t.match(
    await ask('nslookup', 'somewhere.example.'),
    /192\.0\.2\.80/,
    "what is no container is asked of the host's resolver",
  )
  t.match(await ask('nc', '-w', '20', '192.0.2.2', '7'), /^192\.0\.2\.1 to 192\.0\.2\.2/, 'out, as the host')
  await t.rejects(runtime.run({ ...client, network: 'back', ip: '10.77.0.9' }), { code: 'ADDRESS_IN_USE' })
})

t.test('services of the host, as Podman lets them be reached', async (t) => {
  await using services = await startHostServices()
  await using container = await runtime.run({ ...client, network: 'back', extraHosts: ['gate:host-gateway'] })
  for (const name of ['gate', 'host.containers.internal'])
    t.equal(await askHost(container, name, services.open), 'open', `by ${name}`)
  t.equal(await askHost(container, 'gate', services.local), '', 'not what listens on loopback alone')
})

t.test('networks are apart, and an internal one has no way out', async (t) => {
  await runtime.networks.create({ name: 'inner', internal: true })
  await using _one = await runtime.run({ ...server, name: 'one', network: 'back', ip: '10.77.0.9' })
  await using stranger = await runtime.run({ ...client, network: 'bridge' })
  await using inner = await runtime.run({ ...client, network: 'inner' })
  t.notMatch((await inner.exec(['cat', '/etc/hosts'])).stdout, /internal/, 'not even to the host')
  await t.rejects(runtime.run({ ...client, network: 'inner', extraHosts: ['gate:host-gateway'] }), {
    code: 'NETWORK_FAILED',
    message: /host-gateway: .*no way to the host/,
  })
  /** What is there may take its time; for what is not a second is enough. */
  const reaches = async (container: Container, address: string, port: number, seconds = 1): Promise<boolean> =>
    (await container.exec(['sh', '-c', `nc -w ${String(seconds)} ${address} ${String(port)} </dev/null`])).exitCode ===
    0
  t.equal(await reaches(stranger, '10.77.0.9', 80), false)
  t.equal(await reaches(inner, '192.0.2.2', 7), false)
  t.equal(await reaches(stranger, '192.0.2.2', 7, 20), true)
  await runtime.networks.connect('back', stranger.id)
  t.equal(await reaches(stranger, '10.77.0.9', 80, 20), true, 'connected while it runs')
  await runtime.networks.disconnect('back', stranger.id)
  t.equal(await reaches(stranger, '10.77.0.9', 80), false, 'and no more')
  await t.rejects(runtime.networks.remove('back'), { code: 'NETWORK_IN_USE' })
})

t.test('published ports', async (t) => {
  const ports = ['8080:80', '127.0.0.1:9090:80', '9000-9001:80-81', '5353:81/udp', 80]
  await using container = await runtime.run({ ...server, network: 'back', ports })
  const free = container.ports.find(({ host }) => ![8080, 9090, 9000, 9001, 5353].includes(host))?.host ?? 0
  for (const port of [8080, 9090, 9000, free]) t.equal(await askTcp('127.0.0.1', port), '80', `port ${String(port)}`)
  t.equal(await askTcp('192.0.2.1', 9001), '81')
  t.match(await askTcp('192.0.2.1', 9090), /^error/, 'not what is published on loopback')
  t.equal(await askTcp('2001:db8::1', 8080), '80', 'over IPv6')
  for (const host of ['127.0.0.1', '192.0.2.1', '2001:db8::1'])
    t.equal(await askUdp(host, 5353, 'said'), '81 said', host)
  const much = randomBytes(24 * 1024 * 1024)
  const back = Buffer.from(await askTcp('127.0.0.1', 8080, much), 'latin1')
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  t.equal(
    digest(back.subarray(3)),
    digest(Buffer.from(much.toString('latin1').trimEnd(), 'latin1')),
    'all bytes, there and back',
  )
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => askTcp('127.0.0.1', 9001, String(index))))
  const wrong = answers.filter((answer, index) => answer !== `81\n${String(index)}`)
  t.strictSame(wrong, [], 'many at once')

  await t.rejects(runtime.run({ ...server, network: 'bridge', ports: ['8080:80'] }), {
    code: 'PORT_IN_USE',
    message: /8080/,
  })
  await t.rejects(runtime.run({ ...server, network: 'bridge', ports: ['80:80'] }), {
    code: 'PERMISSION_DENIED',
    message: /ip_unprivileged_port_start/,
  })
  await container.exec(['kill', '-9', '1'])
  await container.remove({ force: true })
  t.match(await askTcp('127.0.0.1', 8080), /^error/, 'closed with the container')
  await using again = await runtime.run({ ...server, network: 'bridge', ports: ['8080:80'] })
  t.equal(await askTcp('127.0.0.1', again.ports[0]?.host ?? 0), '80', 'and free')
})

t.test('who forwards has no rights', async (t) => {
  await using _container = await runtime.run({ ...server, network: 'bridge', ports: ['8080:80'] })
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  const [worker = 0] = processesNamed(/^podling-forward$/)
  const status = readFileSync(`/proc/${String(worker)}/status`, 'utf8')
  t.match(status, /^CapPrm:\t0+\nCapEff:\t0+$/m)
  t.match(status, /^NoNewPrivs:\t1\nSeccomp:\t2$/m)
  t.not(Number(/^Uid:\t(\d+)/m.exec(status)?.[1]), process.getuid?.(), 'nor is it the user')
})

t.test('a port whose container does not listen is refused', async (t) => {
  await using container = await runtime.run({ ...client, network: 'bridge', ports: ['8080:80'] })
  t.match(await askTcp('127.0.0.1', container.ports[0]?.host ?? 0), /^error/)
})

t.test('a container that is started again keeps its address and its ports', async (t) => {
  const command = ['sh', '-c', 'answer 80 & nc -l -p 99']
  await using container = await runtime.run({
    ...server,
    command,
    network: 'back',
    ports: ['8080:80'],
    restart: 'always',
  })
  const before = container.networks
  const restarting = new Promise((resolve) => container.once('restarting', resolve))
  await container.exec(['sh', '-c', 'nc 127.0.0.1 99 </dev/null'])
  await restarting
  while ((await askTcp('127.0.0.1', 8080)) !== '80');
  t.strictSame(container.networks, before)
})

for (const userns of ['host', 'auto:size=5000']) {
  t.test(`a pod, userns ${userns}`, async (t) => {
    await using pod = await runtime.pods.create({ name: 'pod', network: 'back', ports: ['8080:80'], userns })
    await using one = await runtime.run({ ...server, pod: 'pod' })
    await using two = await runtime.run({ ...client, pod: 'pod', capAdd: ['NET_ADMIN'] })
    t.match((await two.exec(['sh', '-c', 'nc -w 20 127.0.0.1 80 </dev/null'])).stdout, /^80/)
    t.equal(await askTcp('127.0.0.1', 8080), '80')
    t.match(await two.exec(['ip', 'link', 'set', 'eth0', 'mtu', '1400']), { exitCode: 0 }, 'it is theirs to configure')
    for (const container of [one, two]) await container.remove({ force: true })
    await pod.remove({ force: true })
  })
}

t.test('what an ordinary user may not have', async (t) => {
  await t.rejects(
    runtime.networks.create({ name: 'mac', driver: 'macvlan', parent: 'uplink', subnets: ['10.99.0.0/24'] }),
    {
      code: 'PERMISSION_DENIED',
    },
  )
  await using none = await runtime.run({ ...client, network: 'none' })
  await t.rejects(runtime.networks.connect('back', none.id), { code: 'INVALID_STATE' })
})

t.test('with the runtime all of it goes', async (t) => {
  t.not(processesNamed(/^podling-net/).length, 0)
  await runtime.networks.remove('inner')
  await runtime.close()
  while (processesNamed(/^(podling-(net|ports|forward|dns)|pasta)/).length > 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.pass('its keeper, responders and pasta')
})
