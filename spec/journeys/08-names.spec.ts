/** Containers that find each other by name, by busybox's own resolver. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { Runtime } from 'podling'
import { addressOf, lookUp, responders } from '../fixtures/names.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url)) {
  t.test('names', needs('root', 'busybox', 'iproute2'), async (t) => {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    const addresses = () => execFileSync('ip', ['-o', 'addr'], { encoding: 'utf8' })
    const before = addresses()
    const resolver = await startResolver(t, '127.0.0.77', '192.0.2.80')
    const setup = await testRuntime()
    const { runtime, image, root } = setup
    const start = (name: string, options: object = {}) =>
      runtime.run({ image, command: ['sleep', '1000'], name, network: 'bridge', ...options })

    await t.test('by name, alias and id', async (t) => {
      await using web = await start('web', { networkAliases: ['www'], dns: ['127.0.0.77'] })
      await using db = await start('db')
      t.equal(await lookUp(web, 'db'), addressOf(db))
      t.equal(await lookUp(db, 'web'), addressOf(web))
      t.equal(await lookUp(db, 'www'), addressOf(web), 'by its alias')
      t.equal(await lookUp(db, web.id.slice(0, 12)), addressOf(web))
      t.match(await lookUp(db, addressOf(web)), /^web/, 'backwards')
      const { stdout } = await db.exec(['cat', '/etc/resolv.conf'])
      t.match(stdout, /^search dns\.podling/m)
      t.match(stdout, /^nameserver 10\.88\.0\.1$/m)
      t.equal(await lookUp(web, 'example.org'), '192.0.2.80', 'the rest by the resolvers that it was given')
      t.ok(resolver.asked.length > 0)
      await web.stop({ timeout: 0 })
      t.equal(await lookUp(db, 'www.dns.podling'), '', 'one that has ended is not found')
    })

    await t.test('by its new name, and by the old one no more', async (t) => {
      await using web = await start('old')
      await using db = await start('db')
      t.equal(await lookUp(db, 'old'), addressOf(web))
      await web.rename('new')
      t.equal(await lookUp(db, 'new'), addressOf(web))
      t.equal(await lookUp(db, 'old'), '')
      await web.restart({ timeout: 0 })
      t.equal(await lookUp(db, 'new'), addressOf(web), 'at its next start')
    })

    await t.test('search domains and options, on every kind of network', async (t) => {
      await runtime.networks.create({ name: 'quiet', dns: false })
      for (const [network, domain] of [
        ['bridge', 'dns.podling '],
        ['quiet', ''],
        ['none', ''],
        ['host', ''],
      ] as const) {
        await using container = await start(`on-${network}`, {
          network,
          dnsSearch: ['a.example', 'b.example'],
          dnsOptions: ['ndots:3', 'rotate'],
        })
        const { stdout } = await container.exec(['cat', '/etc/resolv.conf'])
        t.match(stdout, new RegExp(`^search ${domain}a.example b.example$`, 'm'), network)
        t.match(stdout, /^options ndots:3 rotate$/m)
      }
      await runtime.networks.remove('quiet')
      await using nowhere = await start('nowhere', { dnsSearch: ['.'] })
      t.notMatch((await nowhere.exec(['cat', '/etc/resolv.conf'])).stdout, /search/)
      await t.rejects(start('wrong', { dnsSearch: ['a\nnameserver 1.1.1.1'], dnsOptions: ['a b'] }), {
        code: 'INVALID_OPTION',
        message: /dnsSearch\[0\]: must be a domain.*\n.*dnsOptions\[0\]: must be an option/s,
      })
    })

    await t.test('on networks that it is connected to', async (t) => {
      await runtime.networks.create({ name: 'back', subnets: ['10.123.0.0/24', 'fd12::/64'], internal: true })
      await runtime.networks.create({ name: 'mute', dns: false })
      {
        await using front = await start('front')
        await using back = await start('back', { network: 'back' })
        await using mute = await start('mute', { network: 'mute' })
        t.equal(await lookUp(front, 'back'), '')
        await runtime.networks.connect('back', front.id, { aliases: ['gate'] })
        t.match(await lookUp(back, 'gate'), /^10\.123\.0\.\d+ fd12::\w+$/, 'IPv4 and IPv6')
        await runtime.networks.disconnect('back', front.id)
        t.equal(await lookUp(back, 'gate'), '')
        t.notMatch((await mute.exec(['cat', '/etc/resolv.conf'])).stdout, /podling/)
      }
      await runtime.networks.remove('back')
      await runtime.networks.remove('mute')
    })

    await t.test('two hosts, one of which is closed', async (t) => {
      const second = await Runtime.open({ root })
      const stays = await start('stays', { detach: true })
      await using other = await second.run({ image, command: ['sleep', '1000'], name: 'other', network: 'bridge' })
      t.equal(await lookUp(other, 'stays'), addressOf(stays))
      t.equal(await lookUp(stays, 'other'), addressOf(other))
      await second.close()
      await stays.remove({ force: true })
    })

    await setup[Symbol.asyncDispose]()
    const left = () => Promise.resolve(responders(root))
    t.same(await within(10_000, left, (pids) => pids.length === 0), [], 'no responder is left')
    // The kernel takes the links of a namespace that ended away when it comes to it.
    const after = await within(
      10_000,
      () => Promise.resolve(addresses()),
      (seen) => seen === before,
    )
    t.equal(after, before)
  })
}
