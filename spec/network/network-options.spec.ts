/** What networks.create refuses, all at once and by its path. */
import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import { parseNetworkOptions } from '../../lib/network/network-options.js'

function mistakes(options: object): string {
  try {
    parseNetworkOptions({ name: 'one', ...options })
  } catch (error) {
    if (error instanceof PodlingError && error.code === 'INVALID_OPTION') return error.message
    throw error
  }
  return ''
}

t.test('mistakes', (t) => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ subnets: ['10.89.0.0/24', '10.89.0.128/25'] }, /subnets\[1\]: must not overlap with 10\.89\.0\.0\/24/],
    [
      { subnets: [{ subnet: '10.89.0.0/24', gateway: '10.90.0.1' }] },
      /subnets\[0\]\.gateway: must be an address in 10\.89\.0\.0\/24/,
    ],
    [{ subnets: [{ subnet: '10.89.0.0/24', gateway: 'router' }] }, /subnets\[0\]\.gateway: must be an address/],
    [{ subnets: [{ subnet: '10.89.0.0/24', gateway: 'fd00::1' }] }, /subnets\[0\]\.gateway/],
    [{ subnets: [{ subnet: '10.89.0.0/24', range: '10.89.1.0/25' }] }, /subnets\[0\]\.range: must be a block in/],
    [{ subnets: [{ subnet: '10.89.0.0/24', range: '10.89.0.0/16' }] }, /subnets\[0\]\.range/],
    [{ subnets: ['10.89.0.0/33'] }, /subnets\[0\]: must be a subnet/],
    [{ subnets: ['10.89.0.0'] }, /subnets\[0\]: must be a subnet/],
    [{ subnets: ['10.89.0.0/31'] }, /subnets\[0\]: must have room/],
    [{ subnets: ['fd00::/127'] }, /subnets\[0\]: must have room/],
    [{ subnets: ['127.0.0.0/8'] }, /subnets\[0\]: must not be loopback/],
    [{ subnets: ['224.0.0.0/8'] }, /multicast/],
    [{ subnets: ['ff00::/64'] }, /multicast/],
    [{ mtu: 575 }, /mtu/],
    [{ mtu: 65536 }, /mtu/],
    [{ mtu: 1000, ipv6: true }, /mtu: must be at least 1280 with IPv6/],
    [{ mtu: 1000, subnets: ['fd00::/64'] }, /mtu: must be at least 1280 with IPv6/],
    [{ name: '-x' }, /name: must be letters, digits/],
    [{ name: 'a/b' }, /name/],
    [{ name: 'x'.repeat(129) }, /name/],
    ...['none', 'host', 'bridge', 'pod', 'pasta', '..'].map((name) => [{ name }, /name: must/] as const),
    [{ interface: 'longer-than-15-ch' }, /interface/],
    [{ interface: 'a b' }, /interface/],
    [{ driver: 'ipvlan' }, /driver/],
    [{ driver: 'macvlan' }, /parent: must name the link.*\n.*subnets: must be given/s],
    [{ driver: 'macvlan', parent: 'eth0', subnets: ['192.0.2.0/24'], internal: true }, /internal: has no effect/],
    [{ parent: 'eth0' }, /parent: has no effect/],
    [{ labels: { a: 1 } }, /labels/],
    [{ intrenal: true }, /intrenal: unknown property; did you mean internal\?/],
    [{ mtu: 1, driver: 'x', colour: 'red' }, /mtu.*\n.*driver|driver.*\n.*mtu/s],
  ]
  for (const [options, message] of cases) t.match(mistakes(options), message, JSON.stringify(options))
  t.end()
})

t.test('one form', (t) => {
  t.match(parseNetworkOptions({ name: 'one', subnets: ['10.89.0.77/24', 'FD00:0::/64'] }).subnets, [
    { subnet: '10.89.0.0/24', gateway: '10.89.0.1' },
    { subnet: 'fd00::/64', gateway: 'fd00::1' },
  ])
  t.match(parseNetworkOptions({ name: 'one', internal: true }), {
    driver: 'bridge',
    subnets: [],
    isolate: true,
    dns: true,
  })
  t.end()
})
