/** kill -9 of a host at each step of CNI: the next open runs DEL for what was added, however far that had come. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Runtime } from '../../../lib/runtime.js'
import { settledLeftovers, within } from '../../fixtures/leftovers.js'
import { networkSnapshot, selfKillingHost } from '../../fixtures/network-snapshot.js'
import { inOwnNetwork } from '../../fixtures/own-network.js'
import { testRuntime } from '../../fixtures/runtime.js'
import { needs } from '../../peers.js'

function network(name: string, subnet: string, directory: string) {
  return {
    cniVersion: '1.0.0',
    name,
    plugins: [
      {
        type: 'bridge',
        bridge: `${name}0`,
        isGateway: true,
        ipMasq: true,
        ipam: { type: 'host-local', dataDir: directory, ranges: [[{ subnet }]] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
      { type: 'firewall' },
    ],
  }
}

if (inOwnNetwork(import.meta.url)) {
  t.test('nothing is left', needs('root', 'busybox', 'iproute2', 'iptables', 'nftables', 'cni-plugins'), async (t) => {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    const setup = await testRuntime()
    const { root, runtime } = setup
    const leases = join(root, 'leases')
    await runtime.networks.create({ cni: network('routed', '10.72.0.0/24', leases) })
    await runtime.networks.create({ cni: network('more', '10.73.0.0/24', leases) })
    await runtime.networks.create({ name: 'one', subnets: ['10.70.0.0/24'] })
    await runtime.close()
    const steps = Number(await selfKillingHost(root, 0, 'plugins'))
    t.ok(steps > 20, `it takes ${String(steps)} steps`)
    // The plugins' own chains stay, empty.
    const before = networkSnapshot()
    // Every step of a start, and every second of what is like it.
    for (let last = 1; last <= steps; last += last < 10 ? 1 : 2) {
      t.equal(await selfKillingHost(root, last, 'plugins'), 'SIGKILL')
      await settledLeftovers(root, root)
      const next = await Runtime.open({ root })
      t.same(next.recovered.failures, [])
      t.same(await next.containers.list(), [])
      await next.close()
      // The kernel takes the links of a namespace that ended away when it comes to it.
      const after = await within(
        10_000,
        () => Promise.resolve(networkSnapshot()),
        (seen) => seen === before,
      )
      t.equal(after, before, `step ${String(last)}`)
      t.same(readdirSync(join(root, 'cni')), [])
      for (const name of ['routed', 'more']) {
        t.same(
          readdirSync(join(leases, name)).filter((file) => /^[0-9.]+$/.test(file)),
          [],
        )
      }
    }
    await setup[Symbol.asyncDispose]()
  })
}
