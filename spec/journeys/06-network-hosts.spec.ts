/** Hosts that lack a part of what networks are made of: each says so, with what can be done, and goes on without. */
import t from 'tap'
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Attempt, Outcome } from '../fixtures/attempts.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const program = fileURLToPath(new URL('../fixtures/attempts.js', import.meta.url))
const [AF_INET6, AF_NETLINK, NETLINK_NETFILTER] = ['10', '16', '12']
const [EPROTONOSUPPORT, EAFNOSUPPORT] = ['93', '97']

if (inOwnNetwork(import.meta.url)) {
  const tools = needs('root', 'busybox', 'iproute2', 'nftables')

  t.test('hosts', tools, async (t) => {
    await using setup = await testRuntime()
    const directory = await temporaryDirectory(t)
    const refuse = join(directory, 'refuse-socket')
    execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-o', refuse, 'spec/fixtures/refuse-socket.c'])

    /** On this machine with something taken away from the host process, as the words in front of it do. */
    const attempts = async (without: readonly string[], ...all: readonly Attempt[]): Promise<Outcome[]> => {
      const [command, ...args] = [...without, process.execPath, program, setup.root]
      const { stdout } = await promisify(execFile)(command, [...args, ...all.map((one) => JSON.stringify(one))])
      return stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Outcome)
    }
    const before = snapshot()

    await t.test('no nf_tables in the kernel', async (t) => {
      const without = [refuse, AF_NETLINK, NETLINK_NETFILTER, EPROTONOSUPPORT]
      const [byDefault, published, none, host] = await attempts(
        without,
        { run: {} },
        { run: { ports: ['8080:80'] } },
        // By now the database knows of the default network, which the opening looks after.
        { run: { network: 'none' } },
        { run: { network: 'host' } },
      )
      for (const outcome of [byDefault, published]) {
        t.match(outcome, {
          code: 'KERNEL_UNSUPPORTED',
          message: /^use bridge networks: this kernel has no nf_tables; use /,
        })
        t.match(outcome, { message: /'none', 'host' or 'pasta'/ })
      }
      for (const outcome of [none, host]) t.same(outcome, { output: 'exit code 0' })
    })

    await t.test('no rights over the host’s network', async (t) => {
      const without = ['setpriv', '--bounding-set=-net_admin']
      const [byDefault, host] = await attempts(without, { run: {} }, { run: { network: 'host' } })
      t.match(byDefault, {
        code: 'PERMISSION_DENIED',
        message: /no rights over the host's network; give it CAP_NET_ADMIN, or use network: 'host'/,
      })
      t.same(host, { output: 'exit code 0' })
    })

    const links = {
      command: ['sh', '-c', 'ip -o addr show eth0 | grep -c inet6; ip -o addr show eth0 | grep -c 10.88'],
    }
    const six: Attempt = { run: { network: 'six' } }

    await t.test('IPv6 is switched off by its sysctls', async (t) => {
      const off = 'for each in all default; do echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done; exec "$@"'
      const without = ['unshare', '--net', 'sh', '-c', `ip link set lo up; ${off}`, 'sh']
      const [four, made, refused] = await attempts(
        without,
        { run: links },
        { network: { name: 'six', subnets: ['fd00:66::/64'] } },
        six,
      )
      t.same(four, { output: 'exit code 0\n0\n1' }, 'IPv4 goes on')
      t.same(made, { output: 'six' }, 'a network is made before its bridge')
      t.match(refused, { code: 'KERNEL_UNSUPPORTED', message: /IPv6 is off/ })
    })

    await t.test('IPv6 is not in the kernel', async (t) => {
      const hide = 'mount --bind "$0" /proc/sys/net/ipv6; exec "$@"'
      const without = ['unshare', '--mount', 'sh', '-c', hide, directory, refuse, AF_INET6, '-1', EAFNOSUPPORT]
      const [four, refused] = await attempts(without, { run: links }, six)
      t.match(four, { output: /^exit code 0\n\d\n1$/ }, 'IPv4 goes on')
      t.match(refused, { code: 'KERNEL_UNSUPPORTED', message: /IPv6 is off/ })
    })

    await t.test('SCTP is not tracked by the kernel', async (t) => {
      const hide = 'mount --bind "$0" /proc/sys/net/netfilter; exec "$@"'
      const [refused, tcp] = await attempts(
        ['unshare', '--mount', 'sh', '-c', hide, directory],
        { run: { ports: ['3868:80/sctp'] } },
        { run: { ports: ['3868:80'] } },
      )
      t.match(refused, { code: 'KERNEL_UNSUPPORTED', message: /tracks no SCTP/ })
      t.same(tcp, { output: 'exit code 0' })
    })

    t.equal(snapshot(), before, 'none of them leaves anything')
  })
}

function snapshot(): string {
  return execFileSync('sh', ['-c', 'ip -j link; ip -j addr; ip -j route; nft -j list ruleset'], { encoding: 'utf8' })
}
