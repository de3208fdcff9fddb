/** pasta, which is the default network of an ordinary user, and slirp4netns. */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { askTcp, askUdp } from '../../fixtures/ask-port.js'
import { askHost, startHostServices } from '../../fixtures/host-service.js'
import { openRuntime, processesNamed, startOtherHost } from '../../fixtures/rootless-networks.js'

const { runtime, image } = await openRuntime()

const server = {
  image,
  command: ['answer', '80', '81', '82', '53'],
  ports: ['8080:80', '9000-9002:80-82', '127.0.0.1:9090:80', '5353:53/udp', 80],
  ready: { port: 80 },
} satisfies ContainerOptions

async function allEnded(): Promise<void> {
  while (processesNamed(/^(pasta|slirp4netns)/).length > 0) await delay(10)
}

for (const network of [undefined, 'slirp4netns'] as const) {
  const options = { ...server, ...(network === undefined ? {} : { network }) }

  t.test(network ?? 'the default network is pasta', async (t) => {
    await using container = await runtime.run(options)
    const free = container.ports.at(-1)?.host ?? 0
    t.ok(free >= 1024, 'a free port')
    for (const port of [8080, 9000, 9090, free]) t.equal(await askTcp('127.0.0.1', port), '80', `port ${String(port)}`)
    t.equal(await askTcp('127.0.0.1', 9001, 'said'), '81\nsaid')
    t.equal(await askTcp('192.0.2.1', 9002), '82')
    t.match(await askTcp('192.0.2.1', 9090), /^error/, 'not what is published on loopback')
    const { stdout: addresses } = await container.exec(['ip', 'addr'])
    const { stdout: resolvers } = await container.exec(['cat', '/etc/resolv.conf'])
    if (network === undefined) {
      t.match(addresses, / 192\.0\.2\.1\/24 /, 'it has the addresses of the host')
      t.equal(await askTcp('::1', 8080), '80', 'over IPv6')
      // slirp4netns keeps UDP of the host's own loopback from its guests.
      t.equal(await askUdp('127.0.0.1', 5353, 'said'), '53 said')
      t.match(resolvers, /^nameserver 169\.254\.1\.1$/m)
    } else {
      t.match(addresses, / 10\.0\.2\.100\/24 /)
      t.match(resolvers, /^nameserver 10\.0\.2\.3$/m)
    }
    t.match(
      (await container.exec(['nc', '-w', '20', '192.0.2.2', '7'])).stdout,
      /^192\.0\.2\.1 to /,
      'out, as the host',
    )
    await t.rejects(runtime.run({ ...options, ports: ['8080:80'] }), { code: 'PORT_IN_USE', message: /8080/ })
    await container.remove({ force: true })
    await allEnded()
    t.match(await askTcp('127.0.0.1', 8080), /^error/)
  })

  t.test(`${network ?? 'pasta'}: a detached container outlives its host, a bound one does not`, async (t) => {
    for (const detach of [false, true]) {
      const host = await startOtherHost({ ...options, detach })
      t.equal(await askTcp('127.0.0.1', 8080), '80')
      await host.kill()
      if (detach) {
        t.equal(await askTcp('127.0.0.1', 8080), '80', 'its ports are there')
        await (await runtime.containers.get(host.id)).remove({ force: true })
      }
      await allEnded()
      t.match(await askTcp('127.0.0.1', 8080), /^error/, 'nothing is left of it')
    }
  })
}

t.test('a pod with a user namespace', async (t) => {
  const userns = 'auto:size=5000'
  await using pod = await runtime.pods.create({ userns, ports: ['8080:80'] })
  const command = ['answer', '80']
  const web = await runtime.run({ image, pod, command, ready: { port: 80 }, capAdd: ['NET_ADMIN'] })
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  t.match((await web.exec(['nc', '-w', '20', '192.0.2.2', '7'])).stdout, /^192\.0\.2\.1 to /, 'out, as the host')
  t.match(await web.exec(['ip', 'link', 'set', 'lo', 'mtu', '1400']), { exitCode: 0 }, 'it is theirs to configure')
  await pod.remove({ force: true })
  await allEnded()
  const slirp = { network: 'slirp4netns', userns }
  const refusal = { code: 'INVALID_OPTION', message: /slirp4netns can't enter the user namespace .* use 'pasta'/ }
  await t.rejects(runtime.pods.create(slirp), refusal)
  await t.rejects(runtime.run({ ...slirp, image, command }), refusal, 'nor can it with a container')
})

t.test('services of the host, as Podman lets them be reached', async (t) => {
  await using services = await startHostServices()
  for (const network of ['pasta', 'slirp4netns'] as const) {
    await using container = await runtime.run({
      image,
      network,
      command: ['sleep', '1000'],
      extraHosts: ['gate:host-gateway'],
    })
    for (const name of ['gate', 'host.containers.internal', 'host.docker.internal'])
      t.equal(await askHost(container, name, services.open), 'open', `${network}: by ${name}`)
    t.equal(await askHost(container, 'gate', services.local), '', `${network}: not what listens on loopback alone`)
  }
  await using alone = await runtime.run({ image, command: ['sleep', '1000'], hostGateway: false })
  t.notMatch((await alone.exec(['cat', '/etc/hosts'])).stdout, /internal/)
  t.equal(await askHost(alone, '169.254.1.2', services.open), '', 'nor is there an address')
})

t.test('a pasta that is killed is run again', async (t) => {
  await using container = await runtime.run(server)
  const before = processesNamed(/^pasta/)
  t.not(before.length, 0)
  for (const pid of before) process.kill(pid, 'SIGKILL')
  while ((await askTcp('127.0.0.1', 8080)) !== '80') await delay(10)
  t.match((await container.exec(['nc', '-w', '20', '192.0.2.2', '7'])).stdout, /^192\.0\.2\.1 to /)
  await container.remove({ force: true })
  await allEnded()
})

t.test('a container that is started again has its network and ports', async (t) => {
  await using container = await runtime.run({
    ...server,
    command: ['sh', '-c', 'answer 80 & nc -l -p 99'],
    restart: 'always',
  })
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  const restarting = new Promise((resolve) => container.once('restarting', resolve))
  await container.exec(['sh', '-c', 'nc 127.0.0.1 99 </dev/null'])
  await restarting
  while ((await askTcp('127.0.0.1', 8080)) !== '80') await delay(10)
  t.pass('it is reached')
})

t.test('what an ordinary user may not have', async (t) => {
  await t.rejects(runtime.run({ ...server, ports: ['80:80'] }), {
    code: 'PERMISSION_DENIED',
    message: /^publish port 80\/tcp: .*ip_unprivileged_port_start.*choose a higher one/,
  })
  await allEnded()
})

t.teardown(() => runtime.close())
