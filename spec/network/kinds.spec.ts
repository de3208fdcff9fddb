/** What few use, and must work all the same: macvlan, SCTP, ranges of ports. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { clientBeyond } from '../fixtures/client-beyond.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { openRoot } from '../fixtures/network-container.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

const tools = needs('root', 'iproute2', 'nftables')

if (inOwnNetwork(import.meta.url)) {
  t.test('macvlan: neighbours on the network of a link', tools, async (t) => {
    const client = await clientBeyond(t)
    await client.listen('tcp', 7, '0.0.0.0')
    const { networks, start } = await openRoot(t)
    const subnet = { subnet: '192.0.2.0/24', gateway: '192.0.2.2', range: '192.0.2.64/26' }
    const made = await networks.create({ name: 'lan', driver: 'macvlan', parent: 'uplink', subnets: [subnet] })
    t.match(made, { driver: 'macvlan', interface: 'uplink', subnets: [subnet] })
    const one = await start({ networks: ['lan'] })
    const two = await start({ networks: [{ name: 'lan', ip: '192.0.2.99', mac: '02:00:00:00:00:99' }] })
    for (const { agent } of [one, two]) await agent.listen('tcp', 80)

    t.equal(one.address, '192.0.2.64', 'an address of the range')
    t.equal(await one.agent.ask('tcp', '192.0.2.2', 7), `${one.address} to 192.0.2.2`, 'out, as itself')
    t.equal(await client.ask('tcp', one.address, 80), `192.0.2.2 to ${one.address}`, 'in, without a published port')
    t.equal(await one.agent.ask('tcp', two.address, 80), `${one.address} to ${two.address}`, 'to each other')
    t.match(await one.agent.run('ip', 'route'), /^default via 192\.0\.2\.2 dev eth0/m)
    t.match(await two.agent.run('ip', 'link', 'show', 'eth0'), /02:00:00:00:00:99/)
    t.match(await one.agent.run('ip', 'link', 'show', 'eth0'), /mtu 1500/)

    await rejectsWith(t, () => start({ networks: [{ name: 'lan', ip: '192.0.2.99' }] }), 'ADDRESS_IN_USE')
    await rejectsWith(t, () => start({ networks: ['lan'], ports: ['8080:80'] }), 'INVALID_OPTION', /ports/)
    await networks.create({ name: 'nowhere', driver: 'macvlan', parent: 'eth7', subnets: ['198.51.100.0/24'] })
    await rejectsWith(t, () => start({ networks: ['nowhere'] }), 'NETWORK_FAILED', /no link eth7/)

    await networks.create({ name: 'all', driver: 'macvlan', parent: 'uplink', subnets: ['192.0.2.0/24'] })
    const third = await start({ networks: ['all'] })
    t.equal(third.address, '192.0.2.2', 'not the address of the host, which is on this network')
    await rejectsWith(t, () => start({ networks: [{ name: 'all', ip: '192.0.2.1' }] }), 'INVALID_OPTION', /host's own/)
    await third.end()
    await networks.create({ name: 'inside' })
    await networks.connect('inside', one.id)
    t.match(await one.agent.run('ip', 'link', 'show', 'eth1'), /veth|eth1/)
    await networks.disconnect('lan', one.id)
    t.notMatch(await one.agent.run('ip', '-o', 'link'), /eth0/, 'disconnected')
    await networks.connect('lan', one.id)
    t.match(await one.agent.ask('tcp', '192.0.2.2', 7), / to 192\.0\.2\.2$/, 'and connected again')
    await rejectsWith(t, () => networks.remove('lan'), 'NETWORK_IN_USE')
    for (const container of [one, two]) {
      await container.end()
      await networks.release(container.id)
    }
    await networks.remove('lan')
    t.match(execFileSync('ip', ['-o', 'link', 'show', 'uplink'], { encoding: 'utf8' }), /uplink/, 'the link stays')
  })

  t.test('SCTP is published as TCP and UDP are', tools, async (t) => {
    const client = await clientBeyond(t)
    const sctp = join(await temporaryDirectory(t), 'sctp')
    execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-o', sctp, 'spec/fixtures/sctp.c'])
    const { start } = await openRoot(t)
    const switchboard = await start({ networks: ['podling'], ports: ['3868:80/sctp', '80/sctp'] })
    t.match(switchboard.status.ports, [
      { container: 80, protocol: 'sctp', host: 3868 },
      { container: 80, protocol: 'sctp' },
    ])
    for (const { host } of switchboard.status.ports) {
      const over = { received: false }
      const receiving = switchboard.agent.run(sctp, 'receive').finally(() => (over.received = true))
      // A raw socket hears nothing of what came before it.
      while (!over.received) {
        t.equal(await client.run(sctp, 'send', '192.0.2.1', String(host)), '')
        await delay(20)
      }
      t.equal(await receiving, `192.0.2.2 to ${switchboard.address} port 80\n`)
    }
    await rejectsWith(t, () => start({ networks: ['podling'], ports: ['3868:81/sctp'] }), 'PORT_IN_USE', /3868\/sctp/)
    await switchboard.end()
  })

  t.test('ranges of ports', tools, async (t) => {
    const client = await clientBeyond(t)
    const { networks, start } = await openRoot(t)
    const wide = await start({ networks: ['podling'], ports: ['8000-8009:80-89', '127.0.0.1:9000-9001:80-81/udp'] })
    t.equal(wide.status.ports.length, 12)
    for (const port of [80, 85, 89]) await wide.agent.listen('tcp', port)
    for (const [host, port] of [
      [8000, 80],
      [8005, 85],
      [8009, 89],
    ] as const)
      // prettier-ignore
      t.match(await client.ask('tcp', '192.0.2.1', host), new RegExp(`to ${wide.address}$`), `${String(host)} is ${String(port)}`)
    const claims = networks.claimCount()
    await rejectsWith(t, () => start({ networks: ['podling'], ports: ['7995-8000:1-6'] }), 'PORT_IN_USE', /8000/)
    t.equal(networks.claimCount(), claims, 'all of a range or nothing')
    const beside = await start({ networks: ['podling'], ports: ['7995-7999:1-5'] })
    await beside.end()
    const huge = await start({ networks: ['podling'], ports: ['20000-21999:20000-21999'] })
    t.equal(huge.status.ports.length, 2000)
    await huge.agent.listen('tcp', 21_999)
    t.match(await client.ask('tcp', '192.0.2.1', 21_999), new RegExp(`to ${huge.address}$`))
    await huge.end()
    await wide.end()
    t.equal(networks.claimCount(), 0, 'the monitor gives all of it back')
  })
}
