import t from 'tap'
import {
  executionConfig,
  missingCapabilities,
  parseCniConfig,
  type CniConfigList,
} from '../../../lib/network/cni/config.js'
import { parseErrorResult, parseResult } from '../../../lib/network/cni/result.js'
import { rejectsWith } from '../../fixtures/errors.js'

const mynet: CniConfigList = {
  cniVersion: '0.4.0',
  name: 'mynet',
  plugins: [
    { type: 'bridge', bridge: 'mynet0', ipam: { type: 'host-local', subnet: '10.88.0.0/16' } },
    { type: 'portmap', capabilities: { portMappings: true, aliases: false } },
  ],
}

t.test('a list', (t) => {
  const network = parseCniConfig(mynet, 'mynet')
  t.match(network, { cniVersion: '0.4.0', name: 'mynet', disableCheck: false, disableGC: false })
  t.same(
    network.plugins.map(({ type }) => type),
    ['bridge', 'portmap'],
  )
  t.end()
})

t.test('a single plugin is a list of one', (t) => {
  const network = parseCniConfig({ cniVersion: '0.3.1', type: 'loopback' }, 'lo')
  t.same(
    network.plugins.map(({ type }) => type),
    ['loopback'],
  )
  t.end()
})

t.test('the newest version that both sides know', (t) => {
  const choose = (cniVersions: string[], cniVersion?: string) =>
    parseCniConfig({ cniVersions, ...(cniVersion === undefined ? {} : { cniVersion }), type: 'x' }, 'x').cniVersion
  t.equal(choose(['0.4.0', '1.1.0', '9.0.0'], '1.0.0'), '1.1.0')
  t.equal(choose([], '1.0.0'), '1.0.0')
  t.end()
})

t.test('mistakes', async (t) => {
  const refuses = (given: unknown, message: RegExp) =>
    rejectsWith(t, () => parseCniConfig(given as CniConfigList, 'mynet'), 'INVALID_OPTION', message)
  await refuses({ ...mynet, plugins: [] }, /plugins: must not be empty/)
  await refuses({ cniVersion: '0.4.0' }, /plugins: is required/)
  await refuses(null, /must be an object, got null/)
  await refuses({ ...mynet, cniVersion: '0.2.0' }, /cniVersion: must be one of '0\.3\.1'.*got '0\.2\.0'/)
  await refuses({ ...mynet, cniVersion: undefined }, /got none/)
  await refuses({ ...mynet, name: 'other' }, /name: must be that of the network, 'mynet', got 'other'/)
  await refuses({ ...mynet, name: '-x' }, /name: must be letters/)
  await refuses(
    { ...mynet, plugins: [{ type: '../../bin/sh' }] },
    /plugins\[0\]\.type: must be the name of a plugin's program/,
  )
  await refuses({ ...mynet, plugins: [{ type: '..' }] }, /plugins\[0\]\.type/)
  await refuses({ ...mynet, plugins: [{ type: 'bridge', ipam: { type: 'a/b' } }] }, /plugins\[0\]\.ipam\.type/)
  await refuses({ ...mynet, plugins: [{}, { type: 'x', capabilities: { ips: 1 } }] }, /2 mistakes/)
})

t.test('what a plugin reads', (t) => {
  const network = parseCniConfig(mynet, 'mynet')
  const args = {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' as const }],
    aliases: ['db'],
    ips: [],
  }
  const [bridge, portmap] = network.plugins
  t.same(executionConfig(network, bridge!, args), {
    type: 'bridge',
    bridge: 'mynet0',
    ipam: { type: 'host-local', subnet: '10.88.0.0/16' },
    cniVersion: '0.4.0',
    name: 'mynet',
  })
  t.same(
    executionConfig(network, portmap!, args, { prevResult: { ips: [] } }),
    {
      type: 'portmap',
      cniVersion: '0.4.0',
      name: 'mynet',
      runtimeConfig: { portMappings: args.portMappings },
      prevResult: { ips: [] },
    },
    'only what it asks for, without its capabilities',
  )
  t.same(missingCapabilities(network, args), ['aliases'])
  t.end()
})

t.test('results', (t) => {
  t.match(parseResult('{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24","gateway":"10.0.0.1"}],"routes":null}'), {
    ips: [{ address: '10.0.0.2/24' }],
  })
  t.match(parseResult('nonsense'), /printed no JSON but "nonsense"/)
  t.match(parseResult(''), /but nothing/)
  t.match(parseResult('[]'), /must be an object/)
  t.match(parseResult('{"ips":[{"gateway":7}]}'), /ips\[0\]\.address: is required/)
  t.same(parseErrorResult('{"code":7,"msg":"no","details":"at all"}'), { code: 7, msg: 'no', details: 'at all' })
  t.same(parseErrorResult('{"code":100,"msg":"no","details":""}'), { code: 100, msg: 'no' })
  for (const text of ['', '{', 'null', '{"code":"7","msg":"no"}', '{"code":7}'])
    t.equal(parseErrorResult(text), undefined)
  t.end()
})
