/** pasta and slirp4netns, with a client beyond the host. */
import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { findHelper } from '../../lib/launch/helper-path.js'
import { pastaArguments, pastaFacts, startPasta } from '../../lib/network/pasta.js'
import { portRequests, type PortOption } from '../../lib/network/ports.js'
import { slirp4netnsFacts, startSlirp4netns } from '../../lib/network/slirp4netns.js'
import { findProgram } from '../../lib/network/user-mode.js'
import { close, pipe } from '../../lib/sys/descriptors.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { answered, inOwnNetwork, startAgent, type Agent } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

const modes = [
  { name: 'pasta', peer: 'passt', start: startPasta, facts: pastaFacts },
  { name: 'slirp4netns', peer: 'slirp4netns', start: startSlirp4netns, facts: slirp4netnsFacts },
] as const

/** A neighbour of the host at 192.0.2.2; the host is 192.0.2.1, and sends there what goes out. */
async function clientBeyond(t: Test): Promise<Agent> {
  const client = await startAgent(t)
  const ip = (...args: string[]) => execFileSync('ip', args)
  ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(client.pid))
  t.teardown(() => ip('link', 'delete', 'uplink'))
  ip('addr', 'add', '192.0.2.1/24', 'dev', 'uplink')
  ip('link', 'set', 'uplink', 'up')
  ip('route', 'add', 'default', 'via', '192.0.2.2')
  await client.run('ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0')
  await client.run('ip', 'link', 'set', 'lo', 'up')
  await client.run('ip', 'link', 'set', 'eth0', 'up')
  return client
}

/** Processes of this network namespace whose command line says this. */
function processes(words: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').includes(words)
    } catch {
      return false
    }
  })
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await delay(5)
}

if (inOwnNetwork(import.meta.url)) {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])

  t.test("pasta's arguments", (t) => {
    const all = pastaArguments([
      { container: 80, protocol: 'tcp', ip: '0.0.0.0', host: 8080 },
      { container: 81, protocol: 'tcp', ip: '127.0.0.1', host: 8081 },
    ]).join(' ')
    t.match(all, '--tcp-ports 8080:80 --tcp-ports 127.0.0.1/8081:81 --udp-ports none')
    t.end()
  })

  t.test('a program that is missing', async (t) => {
    await rejectsWith(
      t,
      () => findProgram('pasta', 'passt', ['/nonexistent']),
      'NETWORK_PROGRAM_NOT_FOUND',
      /no program pasta in \/nonexistent; install it \(apt install passt\), or use another network: 'slirp4netns'/,
    )
  })

  for (const { name, peer, start, facts } of modes) {
    t.test(name, needs('root', peer, 'iproute2'), async (t) => {
      const client = await clientBeyond(t)
      await client.listen('tcp', 7, '0.0.0.0')
      const host = await startAgent(t, { joined: true })
      await host.listen('tcp', 4444, '127.0.0.1')
      const container = await startAgent(t)
      const directory = await temporaryDirectory(t)
      const netns = `/proc/${String(container.pid)}/ns/net`
      const lifetime = pipe()
      const begin = (ports: readonly PortOption[], path = netns) =>
        start({
          netns: path,
          ports: portRequests(ports),
          lifetime: lifetime.read,
          helper: findHelper(),
          directory,
          hostGateway: true,
        })

      await rejectsWith(t, () => begin(['127.0.0.1:4444:80']), 'PORT_IN_USE', /4444/)
      await rejectsWith(t, () => begin(['80/sctp'] as const), 'INVALID_OPTION', /not sctp/)
      await rejectsWith(t, () => begin([], '/dev/null'), 'NETWORK_PROGRAM_FAILED', new RegExp(`^start ${name}: .`))
      const { ports } = await begin(['8080:80', '127.0.0.1:9090:80', '5353:53/udp', 80])
      close(lifetime.read)
      const free = ports[3]?.host ?? 0
      t.match(ports, [
        { host: 8080, ip: '0.0.0.0' },
        { host: 9090, ip: '127.0.0.1' },
        { protocol: 'udp' },
        { container: 80 },
      ])
      t.ok(free > 1024, 'a free port')

      await container.listen('tcp', 80, '0.0.0.0')
      await container.listen('udp', 53, '0.0.0.0')
      t.match(await container.ask('tcp', '192.0.2.2', 7), /^192\.0\.2\.1 to 192\.0\.2\.2$/, 'out, as the host')
      t.match(await client.ask('tcp', '192.0.2.1', 8080), / to /, 'published')
      t.match(await client.ask('tcp', '192.0.2.1', free), / to /)
      t.match(await answered(() => client.ask('udp', '192.0.2.1', 5353)), /^\d/, 'over UDP')
      t.match(await client.ask('tcp', '192.0.2.1', 9090), /^error/, 'not what is published on loopback')
      t.match(await host.ask('tcp', '127.0.0.1', 9090), / to /, 'which the host reaches')
      for (const address of ['127.0.0.1', '10.0.2.2', '192.0.2.2']) {
        t.match(await container.ask('tcp', address, 4444), /^error/, `loopback of the host is not at ${address}`)
      }
      t.match(facts.resolver, /^\d/)

      t.equal(processes(netnsWord(name, netns)).length > 0, true)
      close(lifetime.write)
      await until(() => processes(netnsWord(name, netns)).length === 0)
      t.pass('it ends with the pipe')
      t.match(await client.ask('tcp', '192.0.2.1', 8080), /^error/)
    })
  }
}

/** By what the program of this spec is known: pasta's has no path of the machine in it. */
function netnsWord(name: string, netns: string): string {
  return name === 'pasta' ? '--tcp-ports 8080:80 --tcp-ports 127.0.0.1/9090:80' : netns
}
