import t from 'tap'
import { etcHosts, resolvConf } from '../../lib/container/etc-files.js'

t.test('hosts of a container by itself', async (t) => {
  t.equal(
    etcHosts({ hostname: 'web', extraHosts: [{ name: 'db', address: '10.0.0.5' }], addresses: [] }),
    '10.0.0.5\tdb\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tweb\n',
  )
})

t.test('the host has the names that Podman and Docker give it', async (t) => {
  const some = { hostname: 'web', addresses: [], gateway: '10.88.0.1' }
  const localhost = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n'
  t.equal(
    etcHosts({ ...some, extraHosts: [{ name: 'db', address: 'host-gateway' }] }),
    `10.88.0.1\tdb\n${localhost}10.88.0.1\thost.containers.internal host.docker.internal\n127.0.0.1\tweb\n`,
  )
  t.equal(
    etcHosts({ ...some, extraHosts: [{ name: 'host.docker.internal', address: '10.0.0.5' }] }),
    `10.0.0.5\thost.docker.internal\n${localhost}10.88.0.1\thost.containers.internal\n127.0.0.1\tweb\n`,
    'one that is given otherwise is that',
  )
})

t.test('hosts on the network of the host keep its entries', async (t) => {
  t.equal(
    etcHosts({
      hostname: 'web',
      extraHosts: [],
      addresses: ['10.88.0.2'],
      base: '127.0.0.1 localhost\n192.0.2.1 db\n',
    }),
    '127.0.0.1 localhost\n192.0.2.1 db\n10.88.0.2\tweb\n',
  )
})

t.test('the resolver: what is given wins, the rest is the host', async (t) => {
  const base =
    '# made by hand\ndomain old.example\nsearch a.example b.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2 # second\noptions ndots:2\n'
  const none = { servers: [], search: [], options: [] }
  t.equal(
    resolvConf({ ...none, base }),
    'search a.example b.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:2\n',
  )
  t.equal(
    resolvConf({ servers: ['9.9.9.9'], search: [], options: ['timeout:1'], base }),
    'search a.example b.example\nnameserver 9.9.9.9\noptions timeout:1\n',
  )
  t.equal(resolvConf({ ...none, base: undefined }), '')
  const domains = ['dns.podling']
  t.match(resolvConf({ ...none, search: ['c.example'], domains, base }), /^search dns\.podling c\.example$/m)
  t.equal(resolvConf({ ...none, domains, base: 'search .\n' }), 'search dns.podling\n')
  t.equal(resolvConf({ ...none, base: 'search .\n' }), '')
  t.notMatch(resolvConf({ ...none, search: ['.'], domains, base }), /search/, 'a dot: nowhere')
})
