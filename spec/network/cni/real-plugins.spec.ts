/** Debian's containernetworking-plugins, in network namespaces of their own. */
import t, { type Test } from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Cni } from '../../../lib/network/cni/attach.js'
import { CniError } from '../../../lib/network/cni/cni-error.js'
import { parseCniConfig, type CniVersion } from '../../../lib/network/cni/config.js'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { rejectsWith } from '../../fixtures/errors.js'
import { within } from '../../fixtures/leftovers.js'
import { inOwnNetwork } from '../../fixtures/own-network.js'
import { standIn, type StandIn } from '../../fixtures/stand-in.js'
import { needs } from '../../peers.js'

const tools = needs('root', 'cni-plugins', 'iptables')
const id = (digit: string): string => digit.repeat(64)

async function setup(t: Test, cniVersion: CniVersion, subnet = '10.99.0.0/24') {
  const directory = await temporaryDirectory(t)
  const cni = new Cni({ cacheDirectory: join(directory, 'cache') })
  t.teardown(() => cni.close())
  const network = parseCniConfig(
    {
      cniVersion,
      name: 'mynet',
      plugins: [
        {
          type: 'bridge',
          bridge: 'mynet0',
          isGateway: true,
          ipMasq: true,
          // The loopback-published port of portmap comes back through the bridge.
          hairpinMode: true,
          ipam: {
            type: 'host-local',
            dataDir: join(directory, 'leases'),
            ranges: [[{ subnet }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
          capabilities: { mac: true, ips: true },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
        // It knows no version before.
        ...(cniVersion === '0.3.1' ? [] : [{ type: 'firewall' }]),
        { type: 'tuning', sysctl: { 'net.ipv4.conf.all.log_martians': '1' } },
      ],
    },
    'mynet',
  )
  return { cni, network, directory }
}

/** What `from` reads when it connects to `to`, which says hello. */
async function ask(from: StandIn, to: StandIn, address: string): Promise<string> {
  const server = spawn(
    'nsenter',
    [
      `--net=${to.netns}`,
      process.execPath,
      '--eval',
      "require('node:net').createServer((s) => s.end('hello')).listen(80, () => console.log('listening'))",
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(server.stdout, 'data')
  try {
    return from.run(
      process.execPath,
      '--eval',
      `require('node:net').connect(80, '${address}').on('data', (d) => process.stdout.write(d)).on('error', (e) => process.stdout.write(e.message))`,
    )
  } finally {
    server.kill()
  }
}

const rules = () => execFileSync('iptables-save', { encoding: 'utf8' })
const links = () => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' })

if (inOwnNetwork(import.meta.url)) {
  for (const version of ['0.3.1', '0.4.0', '1.0.0'] as const) {
    t.test(`a container's life on a network of version ${version}`, tools, async (t) => {
      const { cni, network } = await setup(t, version)
      const a = await standIn(t)
      const b = await standIn(t)
      const result = await cni.attach(network, {
        containerId: id('a'),
        netns: a.netns,
        capabilities: {
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '0.0.0.0' }],
          ips: ['10.99.0.77'],
          mac: '02:00:00:00:00:77',
        },
      })
      t.match(result.ips, [{ address: '10.99.0.77/24', gateway: '10.99.0.1' }])
      const other = await cni.attach(network, { containerId: id('b'), netns: b.netns })
      const address = other.ips?.[0]?.address.split('/')[0] ?? ''
      t.match(a.run('ip', '-o', 'link', 'show', 'eth0'), /02:00:00:00:00:77/)
      t.match(a.run('ip', 'route'), /default via 10\.99\.0\.1/)
      t.match(a.run('cat', '/proc/sys/net/ipv4/conf/all/log_martians'), /^1/)
      t.match(await ask(a, b, address), /^hello$/, 'they reach each other')
      t.match(rules(), /--dport 8080/)
      // Not the other one: this portmap's CHECK asks for IPv6 rules of a container that has no IPv6.
      await cni.check(id('b'), 'mynet', { netns: b.netns })
      if (version !== '0.3.1') {
        b.run('ip', 'route', 'delete', 'default')
        const error = await rejectsWith(t, () => cni.check(id('b'), 'mynet', { netns: b.netns }), 'CNI_PLUGIN_FAILED')
        t.ok(error instanceof CniError && error.pluginCode !== undefined, 'CHECK sees what is gone')
      }
      await a.end()
      await cni.detach(id('a'))
      t.notMatch(rules(), /--dport 8080/, 'the rules are gone with a container that had died before')
      await cni.detach(id('b'))
      t.notMatch(b.run('ip', '-o', 'link'), /eth0/, 'the link is gone from one that lives')
      // The kernel takes the links of a namespace that ended away when it comes to it.
      t.notMatch(
        await within(
          10_000,
          () => Promise.resolve(links()),
          (text) => !text.includes('veth'),
        ),
        /veth/,
      )
      t.notMatch(rules(), /10\.99\.0\./)
    })
  }

  t.test('a plugin that does not know the version', tools, async (t) => {
    const { cni } = await setup(t, '1.0.0')
    const network = parseCniConfig({ cniVersion: '1.1.0', plugins: [{ type: 'loopback' }] }, 'future')
    const { netns } = await standIn(t)
    const error = await rejectsWith(
      t,
      () => cni.attach(network, { containerId: id('1'), netns }),
      'CNI_PLUGIN_FAILED',
      /incompatible CNI versions/,
    )
    t.match(error, { pluginCode: 1, pluginDetails: /config is "1.1.0"/ })
    await cni.detach(id('1'))
  })

  t.test('an error comes with its code and details, and nothing is left', tools, async (t) => {
    execFileSync('ip', ['link', 'delete', 'mynet0'])
    const { cni, network } = await setup(t, '1.0.0', '10.98.0.0/30')
    const one = await standIn(t)
    const two = await standIn(t)
    await cni.attach(network, { containerId: id('1'), netns: one.netns })
    const error = await rejectsWith(
      t,
      () => cni.attach(network, { containerId: id('2'), netns: two.netns }),
      'CNI_PLUGIN_FAILED',
      /CNI plugin bridge \(ADD\): .*no IP addresses available/,
    )
    t.match(error, { plugin: 'bridge', command: 'ADD', pluginCode: Number, pluginMessage: /no IP addresses available/ })
    t.notMatch(two.run('ip', '-o', 'link'), /eth0/)
    await cni.detach(id('1'))
    await cni.attach(network, { containerId: id('2'), netns: two.netns })
    await cni.detach(id('2'))
    t.notMatch(links(), /veth/)
  })
}
