import t from 'tap'
import {
  contains,
  formatAddress,
  formatCidr,
  macFor,
  networkOf,
  overlaps,
  parseAddress,
  parseCidr,
  parseMac,
} from '../../lib/network/address.js'
import { attributesOf, decode, encode, flags, text, textOf, u32 } from '../../lib/network/netlink/message.js'
import { parsePorts } from '../../lib/network/ports.js'

const cidr = (value: string) => parseCidr(value)!

t.test('addresses as text and as bytes', (t) => {
  for (const value of ['0.0.0.0', '10.88.0.1', '::', '::1', 'fd00:1::77', '2001:db8:0:1:1:1:1:1', 'fe80::1']) {
    t.equal(formatAddress(parseAddress(value)!.address), value)
  }
  t.equal(formatAddress(parseAddress('::ffff:10.0.0.1')!.address), '::ffff:a00:1')
  for (const value of ['', '10.0.0', '256.0.0.1', 'fe80::1%eth0', 'x']) t.equal(parseAddress(value), undefined, value)
  t.end()
})

t.test('blocks', (t) => {
  t.equal(formatCidr(networkOf(cidr('10.89.3.7/22'))), '10.89.0.0/22')
  for (const value of ['10.0.0.0', '10.0.0.0/33', 'fd00::/129', '10.0.0.0/8/9', '10.0.0.0/'])
    t.equal(parseCidr(value), undefined)
  t.ok(overlaps(cidr('10.0.0.0/8'), cidr('10.88.0.0/16')))
  t.notOk(overlaps(cidr('10.88.0.0/16'), cidr('10.89.0.0/16')))
  t.notOk(overlaps(cidr('0.0.0.0/0'), cidr('fd00::/64')))
  t.ok(contains(cidr('10.88.0.0/16'), parseAddress('10.88.255.255')!.address))
  t.notOk(contains(cidr('10.88.0.0/16'), parseAddress('10.89.0.0')!.address))
  t.end()
})

t.test('MAC addresses', (t) => {
  t.equal(macFor(parseAddress('10.88.0.2')!.address), '02:70:0a:58:00:02')
  t.equal(parseMac('02-00-00-00-00-AB'), '02:00:00:00:00:ab')
  for (const value of ['01:00:00:00:00:00', '00:00:00:00:00:00', '02:00', 'x'])
    t.equal(parseMac(value), undefined, value)
  t.end()
})

t.test('netlink messages come back as they went', (t) => {
  const bytes = encode(
    {
      type: 16,
      flags: flags.request,
      header: Buffer.alloc(16, 1),
      attributes: [
        { type: 3, value: text('eth0') },
        { type: 18, value: [{ type: 1, value: text('veth') }] },
      ],
    },
    7,
  )
  const [message] = decode(bytes)
  t.match(message, { type: 16, flags: 1, sequence: 7 })
  const attributes = attributesOf(message!.body.subarray(16))
  t.equal(textOf(attributes.get(3)), 'eth0')
  t.equal(textOf(attributesOf(attributes.get(18)!).get(1)), 'veth')
  t.same(decode(bytes.subarray(0, bytes.length - 1)), [], 'what is cut short is left out')
  t.same([...attributesOf(Buffer.concat([u32(0), u32(9)])).keys()], [], 'so is rubbish')
  t.end()
})

t.test('ports in all their shapes', (t) => {
  const parse = (...ports: Parameters<typeof parsePorts>[0]) => parsePorts(ports)
  const one = { container: 80, host: undefined, ip: undefined, protocol: 'tcp' }
  t.same(parse(80, '80', '0:80', { container: 80, host: 0 }).requests, [one, one, one, one])
  t.same(parse('127.0.0.1:8080:80/udp').requests, [{ container: 80, host: 8080, ip: '127.0.0.1', protocol: 'udp' }])
  t.same(parse('[2001:db8::1]::80').requests, [{ ...one, ip: '2001:db8::1' }])
  t.same(
    parse('8000-8002:80-82').requests.map(({ host, container }) => [host, container]),
    [[8000, 80], [8001, 81], [8002, 82]],
  ) // prettier-ignore
  const wrong = [
    '',
    ':',
    '0',
    '70000',
    '80:70000',
    '1-3:1-2',
    '3-1',
    'x:80',
    '1.2.3:8080:80',
    '80/icmp',
    '::1:80',
    '[::1]:80:80',
    'a:b:c:d',
  ]
  for (const value of wrong) t.equal(parse(value).faults.length, 1, value)
  t.match(parse(80, { container: 80, host: 70000 }).faults, [
    { path: 'ports[1].host', message: 'must be 0..65535, got 70000' },
  ])
  t.match(parse('80:1', '80:2').faults, [{ message: /80\/tcp is given twice/ }])
  t.end()
})
