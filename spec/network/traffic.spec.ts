/** Packets, through the kernel: a host, containers on its networks, and a client beyond it, each a network namespace. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { needs } from '../peers.js'
import { clientBeyond } from '../fixtures/client-beyond.js'
import { within } from '../fixtures/leftovers.js'
import { openRoot } from '../fixtures/network-container.js'
import { answered, inOwnNetwork, startAgent } from '../fixtures/own-network.js'
import { rejectsWith } from '../fixtures/errors.js'

const tools = needs('root', 'iproute2', 'nftables')

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' })
}

if (inOwnNetwork(import.meta.url)) {
  t.test('the default network', tools, async (t) => {
    ip('link', 'set', 'lo', 'up')
    const client = await clientBeyond(t)
    const host = await startAgent(t, { joined: true })
    const { networks, start } = await openRoot(t)
    const a = await start({ networks: ['podling'], ports: ['8080:80', '127.0.0.1:9090:80', '5353:53/udp'] })
    const b = await start({ networks: ['podling'], ports: [80] })
    await a.agent.listen('tcp', 80)
    await a.agent.listen('udp', 53, '0.0.0.0')
    await b.agent.listen('tcp', 80)
    await client.listen('tcp', 7, '0.0.0.0')

    t.equal(a.address, '10.88.0.2')
    t.equal(b.address, '10.88.0.3')
    t.equal(await a.agent.ask('tcp', b.address, 80), `${a.address} to ${b.address}`, 'containers reach each other')
    t.equal(await a.agent.ask('tcp', '192.0.2.2', 7), '192.0.2.1 to 192.0.2.2', 'and the world, as the host')
    t.equal(await host.ask('tcp', a.address, 80), `10.88.0.1 to ${a.address}`, 'the host reaches them')

    t.equal(
      await client.ask('tcp', '192.0.2.1', 8080),
      `192.0.2.2 to ${a.address}`,
      'published: the source is preserved',
    )
    t.equal(await answered(() => client.ask('udp', '192.0.2.1', 5353)), '192.0.2.2', 'over UDP too')
    t.match(await client.ask('tcp', '192.0.2.1', 9090), /^error/, 'not what is published on loopback')
    t.equal(await host.ask('tcp', '127.0.0.1', 9090), `10.88.0.1 to ${a.address}`, 'which the host reaches')
    t.equal(await host.ask('tcp', '127.0.0.1', 8080), `10.88.0.1 to ${a.address}`)
    t.equal(await host.ask('tcp', '192.0.2.1', 8080), `192.0.2.1 to ${a.address}`, 'by its own address too')
    t.equal(await b.agent.ask('tcp', '192.0.2.1', 8080), `10.88.0.1 to ${a.address}`, 'hairpin')
    t.equal(await a.agent.ask('tcp', '192.0.2.1', 8080), `10.88.0.1 to ${a.address}`, 'hairpin to itself')
    const free = b.status.ports[0]?.host ?? 0
    t.equal(await client.ask('tcp', '192.0.2.1', free), `192.0.2.2 to ${b.address}`, 'a free port')
    t.same(a.status.ports, [
      { container: 80, protocol: 'tcp', ip: '0.0.0.0', host: 8080 },
      { container: 80, protocol: 'tcp', ip: '127.0.0.1', host: 9090 },
      { container: 53, protocol: 'udp', ip: '0.0.0.0', host: 5353 },
    ])

    // Through the host to the container, as a neighbour may try who has its address.
    await client.run('ip', 'route', 'add', '10.88.0.0/16', 'via', '192.0.2.1')
    t.match(await client.ask('tcp', a.address, 80), /^error/, 'not past what is published')
    await client.run('ip', 'route', 'add', '127.0.0.1/32', 'via', '192.0.2.1', 'table', 'local')
    await a.agent.run('ip', 'route', 'replace', 'local', '127.0.0.1/32', 'dev', 'lo')
    await host.listen('tcp', 4444, '127.0.0.1')
    await a.agent.run(
      'sh',
      '-c',
      'ip route del local 127.0.0.1; ip route del local 127.0.0.0/8; ip addr flush dev lo; ip route add 127.0.0.1 via 10.88.0.1; echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet',
    )
    t.match(await a.agent.ask('tcp', '127.0.0.1', 4444), /^error/, "loopback of the host is nobody else's")

    await rejectsWith(t, () => start({ networks: ['podling'], ports: ['8080:81'] }), 'PORT_IN_USE', /8080/)
    await host.listen('tcp', 6000, '127.0.0.1')
    await rejectsWith(t, () => start({ networks: ['podling'], ports: ['6000:81'] }), 'PORT_IN_USE', /6000/)
    await rejectsWith(
      t,
      () => start({ networks: [{ name: 'podling', ip: a.address }] }),
      'ADDRESS_IN_USE',
      new RegExp(a.id.slice(0, 12)),
    )
    await rejectsWith(t, () => networks.get('podlng'), 'NETWORK_NOT_FOUND', /did you mean podling/)
    t.equal(networks.claimCount(), 6, 'what failed left nothing')

    await a.end()
    const c = await start({ networks: ['podling'], ports: ['8080:80'] })
    t.equal(c.address, '10.88.0.6', 'an address that was given back rests')
    await b.end()
    await c.end()
  })

  t.test('nothing is left', tools, async (t) => {
    const left = () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }) + ip('-o', 'link')
    // The kernel takes the links of a namespace that ended away when it comes to it.
    const links = /podling|pod[0-9a-f]{10}/
    t.notMatch(
      await within(
        10_000,
        () => Promise.resolve(left()),
        (text) => !links.test(text),
      ),
      links,
    )
    t.equal(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }), '')
  })

  t.test('several networks', tools, async (t) => {
    const client = await clientBeyond(t)
    const host = await startAgent(t, { joined: true })
    await client.listen('tcp', 7, '::')
    const { networks, start } = await openRoot(t)
    const sealed = await networks.create({ name: 'sealed', internal: true })
    await networks.create({ name: 'one', subnets: ['10.200.0.0/24', 'fd00:1::/64'] })
    await networks.create({ name: 'two', isolate: false })
    await networks.create({ name: 'three', isolate: false, mtu: 1400 })
    const inside = await start({ networks: ['sealed'] })
    const other = await start({ networks: ['sealed'] })
    const one = await start({
      networks: [{ name: 'one', ip: '10.200.0.77', ip6: 'fd00:1::77', mac: '02:00:00:00:00:99' }],
      ports: ['8080:80'],
    })
    const two = await start({ networks: ['two'] })
    const three = await start({ networks: ['three', 'sealed'] })
    for (const { agent } of [inside, other, one, two, three]) await agent.listen('tcp', 80)

    t.equal(
      await inside.agent.ask('tcp', other.address, 80),
      `${inside.address} to ${other.address}`,
      'within an internal network',
    )
    t.match(await inside.agent.ask('tcp', '192.0.2.2', 7), /^error: ENETUNREACH/, 'no way out of it')
    await inside.agent.run('ip', 'route', 'add', 'default', 'via', sealed.subnets[0]!.gateway!)
    t.match(await inside.agent.ask('tcp', '192.0.2.2', 7), /^error: timeout/, 'whatever routes it has')
    t.match(await inside.agent.ask('tcp', '192.0.2.1', 8080), /^error: timeout/, 'not to published ports either')
    t.match(await one.agent.ask('tcp', two.address, 80), /^error: timeout/, 'networks are isolated')
    t.match(await two.agent.ask('tcp', one.address, 80), /^error: timeout/, 'both ways')
    t.equal(await two.agent.ask('tcp', three.address, 80), `${two.address} to ${three.address}`, 'unless they are open')
    t.equal(
      await two.agent.ask('tcp', '192.0.2.1', 8080),
      `${two.address} to ${one.address}`,
      'published ports are for all',
    )
    t.match(await three.agent.run('ip', '-o', 'addr'), new RegExp(`eth1.*${three.status.endpoints[1]!.addresses[0]!}`))
    t.equal(
      await three.agent.ask('tcp', inside.address, 80),
      `${three.status.endpoints[1]!.addresses[0]!.split('/')[0]!} to ${inside.address}`,
    )
    t.match(await three.agent.run('ip', 'link', 'show', 'eth0'), /mtu 1400/)
    t.match(await one.agent.run('ip', 'link', 'show', 'eth0'), /02:00:00:00:00:99/)

    t.equal(one.address, '10.200.0.77')
    t.equal(await client.ask('tcp', '192.0.2.1', 8080), '192.0.2.2 to 10.200.0.77')
    t.equal(await client.ask('tcp', '2001:db8::1', 8080), '2001:db8::2 to fd00:1::77', 'IPv6: the source is preserved')
    t.equal(await one.agent.ask('tcp', '2001:db8::2', 7), '2001:db8::1 to 2001:db8::2', 'IPv6 out, as the host')
    t.equal(await host.ask('tcp', '::1', 8080), 'error: ECONNREFUSED', 'not at ::1, and that at once')
    t.match(await two.agent.run('ip', '-6', 'addr'), /^$/, 'no IPv6 where there is no subnet')

    await networks.connect('two', one.id)
    t.match(await one.agent.ask('tcp', two.address, 80), new RegExp(`to ${two.address}$`), 'connected')
    await rejectsWith(t, () => networks.connect('two', one.id), 'INVALID_STATE')
    await rejectsWith(t, () => networks.remove('two'), 'NETWORK_IN_USE')
    await networks.disconnect('one', one.id)
    t.match(await one.agent.run('ip', 'route'), /^default via 10\.89\.\d+\.1 dev eth1/m, 'the default route moves')
    await networks.disconnect('two', one.id)
    t.match(await one.agent.ask('tcp', two.address, 80), /^error: ENETUNREACH/, 'disconnected')
    for (const container of [inside, other, one, two, three]) await container.end()
    await networks.release(one.id)
    await networks.remove('two')
    await rejectsWith(t, () => networks.get('two'), 'NETWORK_NOT_FOUND')
  })
}
