/** Names where the host's own resolver has port 53 of all addresses, as dnsmasq does. */
import t from 'tap'
import { execFile, execFileSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Runtime } from 'podling'
import { addressOf, lookUp, responders } from '../fixtures/names.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url)) {
  t.test('port 53 is taken', needs('root', 'busybox', 'iproute2', 'nftables', 'dig'), async (t) => {
    const rules = () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })
    const setup = await testRuntime()
    const { runtime, image, root } = setup
    const start = (name: string, options: object = {}) =>
      runtime.run({ image, command: ['sleep', '1000'], name, ...options })
    const own = await startResolver(t, '0.0.0.0', '192.0.2.53')
    await runtime.networks.create({ name: 'shared', subnets: ['10.124.0.0/24', 'fd13::/64'] })
    {
      const network = 'shared'
      await using db = await start('db', { network })
      await using web = await start('web', { network, dns: ['127.0.0.1'] })
      const found = [addressOf(db), db.networks[0]?.addresses[1]?.split('/')[0]].join(' ')
      t.equal(await lookUp(web, 'db'), found)
      t.match(await lookUp(web, addressOf(db)), /^db/)
      t.equal(await lookUp(web, 'example.org'), '192.0.2.53', 'which is asked for the rest')
      t.ok(own.asked.length > 0)
      const before = own.asked.length
      // It answers from this process.
      await promisify(execFile)('dig', ['+tries=1', '+time=3', '@10.124.0.1', 'of-the-host.example'])
      t.ok(own.asked.length > before, 'and by the host itself')
      for (const pid of responders(root)) process.kill(Number(pid), 'SIGKILL')
      while ((await lookUp(web, 'db')) !== found) await delay(20)
      t.pass('a responder that is made again has another port')
      execFileSync('nft', ['flush', 'ruleset'])
      await using other = await start('other', { network })
      t.equal(await lookUp(other, 'db'), found, 'after a flush of all rules')
      const second = await Runtime.open({ root })
      {
        await using late = await second.run({ image, command: ['sleep', '1000'], name: 'late', network })
        t.equal(await lookUp(late, 'db'), found, 'from another host')
      }
      await second.close()
    }
    await runtime.networks.remove('shared')
    await setup[Symbol.asyncDispose]()
    t.same(responders(root), [])
    t.equal(rules(), '', 'nothing is left')
  })
}
