/** A host whose firewall is others' too: Docker's, Podman's, its user's. Theirs hold, and stay as they are. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { clientBeyond } from '../fixtures/client-beyond.js'
import { rejectsWith } from '../fixtures/errors.js'
import { openRoot } from '../fixtures/network-container.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { needs } from '../peers.js'

const tools = needs('root', 'iproute2', 'nftables', 'iptables')

function nft(rules: string): void {
  execFileSync('nft', ['-f', '-'], { input: rules })
}

/** All rules with their handles; without ours while there are some. */
function rulesOfOthers(): unknown[] {
  const text = execFileSync('nft', ['-j', '-a', 'list', 'ruleset'], { encoding: 'utf8' })
  const uncounted = text.replaceAll(/"(packets|bytes)": \d+/g, '"$1": 0')
  const { nftables } = JSON.parse(uncounted) as { nftables: Record<string, Record<string, unknown>>[] }
  return nftables.filter((entry) =>
    Object.values(entry).every(
      (object) =>
        object['table'] !== 'podling' &&
        !('metainfo' in entry) &&
        !(object['family'] === 'inet' && object['name'] === 'podling') &&
        !String(object['comment']).startsWith('Podling '),
    ),
  )
}

/** Addresses and ports in our table, with whose they are. */
function claimed(): string[] {
  const text = execFileSync('nft', ['-j', 'list', 'table', 'inet', 'podling'], { encoding: 'utf8' })
  const { nftables } = JSON.parse(text) as { nftables: { set?: NamedElements; map?: NamedElements }[] }
  return nftables
    .flatMap(({ set, map }) => set ?? map ?? [])
    .filter(({ name }) => /^(leases|ports|bound)/.test(name))
    .flatMap(({ name, elem = [] }) => elem.map((one) => `${name} ${JSON.stringify(one)}`))
    .sort()
}

interface NamedElements {
  readonly name: string
  readonly elem?: readonly unknown[]
}

/** As Docker leaves it: nothing is forwarded but what its chains accept. */
function likeDocker(): void {
  for (const program of ['iptables', 'ip6tables']) {
    for (const line of [
      '-P FORWARD DROP',
      '-N DOCKER-USER',
      '-N DOCKER',
      '-A FORWARD -j DOCKER-USER',
      '-A FORWARD -o docker0 -j DOCKER',
      '-A DOCKER-USER -s 198.51.100.7 -j DROP',
      '-A DOCKER-USER -j RETURN',
    ]) {
      const words = line.replace('198.51.100.7', program === 'iptables' ? '198.51.100.7' : '2001:db8:bad::1').split(' ')
      execFileSync(program, words)
    }
  }
}

if (inOwnNetwork(import.meta.url)) {
  t.test('beside Docker and Podman', tools, async (t) => {
    const client = await clientBeyond(t)
    likeDocker()
    t.teardown(() => execFileSync('nft', ['flush', 'ruleset']))
    nft(readFileSync('spec/fixtures/netavark.nft', 'utf8'))
    nft(`table inet user {
      chain forward {
        type filter hook forward priority 0;
        ip daddr 203.0.113.9 drop
      }
    }`)
    await client.run('ip', 'addr', 'add', '198.51.100.7/32', 'dev', 'lo')
    execFileSync('ip', ['route', 'add', '198.51.100.7', 'dev', 'uplink'])
    const before = rulesOfOthers()
    t.ok(before.length > 20, 'there are some')
    await client.listen('tcp', 7, '0.0.0.0')

    const { networks, start } = await openRoot(t)
    await networks.create({ name: 'six', subnets: ['10.200.0.0/24', 'fd00:1::/64'] })
    const web = await start({ networks: ['podling'], ports: ['8080:80'] })
    const six = await start({ networks: ['six'], ports: ['8081:80'] })
    for (const { agent } of [web, six]) await agent.listen('tcp', 80)
    t.same(rulesOfOthers(), before, 'while containers run')
    t.equal(await client.ask('tcp', '192.0.2.1', 8080), `192.0.2.2 to ${web.address}`, 'Docker lets ours pass')
    t.equal(await client.ask('tcp', '2001:db8::1', 8081), '2001:db8::2 to fd00:1::2', 'over IPv6 too')
    t.match(
      await client.ask('tcp', '192.0.2.1', 8080, '198.51.100.7'),
      /^error: timeout/,
      'but whom the user has dropped',
    )
    t.equal(await web.agent.ask('tcp', '192.0.2.2', 7), '192.0.2.1 to 192.0.2.2', 'and out')
    t.match(
      await web.agent.ask('tcp', six.address, 80),
      /^error: timeout/,
      'which does not open networks to each other',
    )

    await networks.connect('six', web.id)
    t.same(rulesOfOthers(), before, 'after a connect')
    for (const container of [web, six]) {
      await container.end()
      await networks.release(container.id)
    }
    await networks.remove('six')
    t.same(rulesOfOthers(), before, 'after a removal')
    await networks.close()
    t.same(rulesOfOthers(), before, 'at the end')
    t.notMatch(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }), /[Pp]odling/)
  })

  t.test('what the user drops is dropped', tools, async (t) => {
    const client = await clientBeyond(t)
    nft(`table inet user {
      chain forward { type filter hook forward priority 10; policy drop; tcp dport 81 accept; ct state established accept; }
      chain input { type filter hook input priority 0; ip saddr 10.88.0.0/16 tcp dport 4444 drop; }
    }`)
    t.teardown(() => execFileSync('nft', ['flush', 'ruleset']))
    const before = rulesOfOthers()
    const { start } = await openRoot(t)
    const web = await start({ networks: ['podling'], ports: ['8080:80', '8081:81'] })
    for (const port of [80, 81]) await web.agent.listen('tcp', port)
    t.match(
      await client.ask('tcp', '192.0.2.1', 8080),
      /^error: timeout/,
      'a published port that the user lets nobody reach',
    )
    t.equal(await client.ask('tcp', '192.0.2.1', 8081), `192.0.2.2 to ${web.address}`, 'one that the user accepts')
    await web.end()
    t.same(rulesOfOthers(), before)
  })

  t.test('after nft flush ruleset', tools, async (t) => {
    const client = await clientBeyond(t)
    const { networks, start } = await openRoot(t)
    await networks.create({ name: 'six', subnets: ['10.200.0.0/24', 'fd00:1::/64'] })
    const before = await start({ networks: ['six'], ports: ['8080:80', '192.0.2.1:8082:80', 80] })
    await before.agent.listen('tcp', 80)
    const claims = claimed()
    execFileSync('nft', ['flush', 'ruleset'])
    const after = await start({ networks: ['podling'], ports: ['8081:80'] })
    await after.agent.listen('tcp', 80)
    t.equal(await client.ask('tcp', '192.0.2.1', 8081), `192.0.2.2 to ${after.address}`, 'the table is made anew')
    await after.end()
    t.equal(await client.ask('tcp', '192.0.2.1', 8080), `192.0.2.2 to ${before.address}`, 'what was published is again')
    t.equal(await client.ask('tcp', '192.0.2.1', 8082), `192.0.2.2 to ${before.address}`)
    t.equal(await client.ask('tcp', '2001:db8::1', 8080), '2001:db8::2 to fd00:1::2')
    await rejectsWith(t, () => start({ networks: [{ name: 'six', ip: before.address }] }), 'ADDRESS_IN_USE')
    t.same(claimed(), claims, 'and so are its addresses')
    await before.end()
    t.equal(networks.claimCount(), 0)
  })
}
