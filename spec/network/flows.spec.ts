/** Datagrams of a client that goes on sending from its port, while the containers behind the published one change. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { clientBeyond } from '../fixtures/client-beyond.js'
import { openRoot } from '../fixtures/network-container.js'
import { answered, inOwnNetwork } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url)) {
  t.test('UDP clients find who is there now', needs('root', 'iproute2', 'nftables'), async (t) => {
    const client = await clientBeyond(t)
    const { networks, start } = await openRoot(t)
    const port = ['5353:53/udp']
    const once = (address = '192.0.2.1') => client.ask('udp', address, 5353, '4000')
    const ask = (address?: string) => answered(() => once(address))
    const six = await networks.create({ name: 'six', subnets: ['10.200.0.0/24', 'fd00:1::/64'] })

    t.equal(await once(), 'error: timeout', 'nobody yet')
    const first = await start({ networks: ['podling'], ports: port })
    await first.agent.listen('udp', 53, '0.0.0.0')
    t.equal(await ask(), '192.0.2.2', 'one that came after the first packet')

    await first.end()
    const heir = await start({ networks: [{ name: 'podling', ip: first.address }] })
    await heir.agent.listen('udp', 53, '0.0.0.0')
    t.equal(await once(), 'error: timeout', 'the next one at its address gets nothing of what it has not published')

    const second = await start({ networks: ['podling'], ports: port })
    await second.agent.listen('udp', 53, '0.0.0.0')
    t.equal(await ask(), '192.0.2.2', 'one with another address')

    await second.kill()
    await networks.release(second.id)
    const late = await start({ networks: [{ name: 'podling', ip: second.address }] })
    await late.agent.listen('udp', 53, '0.0.0.0')
    t.equal(await once(), 'error: timeout', 'the same after a crash')
    const third = await start({ networks: [six.name], ports: ['192.0.2.1:5353:53/udp', '[2001:db8::1]:5353:53/udp'] })
    await third.agent.listen('udp', 53, '0.0.0.0')
    t.equal(await ask(), '192.0.2.2', 'one on another network, at one address of the host')

    t.equal(await once('2001:db8::1'), 'error: timeout')
    await third.agent.listen('udp', 53, 'fd00:1::2')
    t.equal(await ask('2001:db8::1'), '2001:db8::2', 'over IPv6')
    await third.end()
    const fourth = await start({ networks: [six.name], ports: port })
    await fourth.agent.listen('udp', 53, '::')
    t.equal(await ask('2001:db8::1'), '2001:db8::2')
    await fourth.end()
    await heir.end()
    await late.end()
  })

  t.test('others keep their connections', needs('root', 'iproute2', 'nftables'), async (t) => {
    const client = await clientBeyond(t)
    const { start } = await openRoot(t)
    await client.listen('udp', 5353, '0.0.0.0')
    const asker = await start({ networks: ['podling'] })
    const flows = (): string[] => {
      const all = execFileSync('cat', ['/proc/net/nf_conntrack'], { encoding: 'utf8' }).split('\n')
      return all.filter((line) => line.includes('dst=192.0.2.2 sport=4000 dport=5353'))
    }
    t.equal(
      await answered(() => asker.agent.ask('udp', '192.0.2.2', 5353, '4000')),
      '192.0.2.1',
      'out to the same port of another host',
    )
    t.equal(flows().length, 1)
    const publisher = await start({ networks: ['podling'], ports: ['5353:53/udp'] })
    await publisher.end()
    t.equal(flows().length, 1, 'what only passes through is nobody’s business')
    await asker.end()
  })
}
