/** Networks of CNI plugins: Debian's, and shell scripts that behave as none should. */
import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CniError, Runtime, type Container, type ContainerOptions } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { startHost } from '../fixtures/host.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** What a server says to whoever connects. */
function read(port: number, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      resolve(`error: ${error.code ?? error.message}`)
    })
    socket.on('end', () => {
      resolve(text.trim())
    })
  })
}

const leases = '/var/lib/cni'
const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' })
const snapshot = () => ['link', 'addr', 'route', 'neigh'].map((what) => ip('-j', what)).join('\n')
/** The kernel takes the links of a namespace that ended away when it comes to it. */
const settled = (before: string) =>
  within(
    10_000,
    () => Promise.resolve(snapshot()),
    (seen) => seen === before,
  )
const rules = () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
const addressOf = (container: Container, at = 0) => container.networks[at]?.addresses[0]?.split('/')[0] ?? ''

/** Addresses that host-local has given out on a network. */
function leasesOf(network: string): string[] {
  const directory = join(leases, 'networks', network)
  return existsSync(directory) ? readdirSync(directory).filter((name) => /^[\d.]+$/.test(name)) : []
}

/** As it stands in the issue of whoever wants it. */
const example = {
  cniVersion: '0.4.0',
  name: 'mynet',
  plugins: [
    { type: 'bridge', bridge: 'mynet0', ipam: { type: 'host-local', subnet: '10.88.0.0/16' } },
    { type: 'firewall' },
  ],
}

/** One with a way out, published ports and names. */
const routed = {
  cniVersion: '1.0.0',
  name: 'routed',
  plugins: [
    {
      type: 'bridge',
      bridge: 'routed0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      capabilities: { ips: true, mac: true },
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.97.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
      dns: { search: ['routed.example'], options: ['ndots:2'] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall' },
  ],
}

/** Plugins that are shell scripts; `$d` is their directory. */
async function scripts(t: Test, texts: Readonly<Record<string, string>>): Promise<string> {
  const directory = await temporaryDirectory(t)
  for (const [name, text] of Object.entries(texts)) {
    const script = text.startsWith('#!') ? text : `#!/bin/sh\nd=${directory}\nconfig=$(cat)\n${text}\n`
    writeFileSync(join(directory, name), script, { mode: 0o755 })
  }
  return directory
}

const good = 'echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24"}]}\''

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('CNI', needs('root', 'busybox', 'iproute2', 'iptables', 'nftables', 'cni-plugins'), async (t) => {
    ip('link', 'set', 'lo', 'up')
    const madeHere = !existsSync(leases)
    mkdirSync(leases, { recursive: true })
    // Addresses of this machine's own CNI networks are none of ours.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', leases])
    const before = snapshot()
    const setup = await testRuntime()
    const { runtime, image, root } = setup
    const { networks } = runtime
    const server = (name: string, options: Partial<ContainerOptions> = {}) =>
      runtime.run({
        image,
        name,
        command: ['nc', '-ll', '-p', '80', '-e', 'echo', name],
        ready: { port: 80 },
        ...options,
      })
    const cached = () => (existsSync(join(root, 'cni')) ? readdirSync(join(root, 'cni')) : [])

    await t.test('a configuration list, as it is', async (t) => {
      const network = await networks.create({ cni: example })
      t.match(network, { name: 'mynet', driver: 'cni', subnets: [], cni: { cniVersion: '0.4.0', plugins: [{}, {}] } })
      t.match(await networks.get('mynet'), network)
      t.ok((await networks.list()).some(({ name }) => name === 'mynet'))
      await t.rejects(networks.create({ cni: example }), { code: 'NETWORK_EXISTS' })
      {
        await using web = await server('web', { network: 'mynet' })
        await networks.check('mynet', 'web')
        await using other = await server('other', { network: 'mynet' })
        t.match(web.networks, [
          { network: 'mynet', interface: 'eth0', mac: /^[0-9a-f:]{17}$/, addresses: [/^10\.88\.0\.\d+\/16$/] },
        ])
        t.same(web.inspect().networks, web.networks)
        const { stdout } = await web.exec(['sh', '-c', 'ip addr show eth0; cat /etc/hosts'])
        t.match(stdout, `inet ${addressOf(web)}/16`)
        t.match(stdout, new RegExp(`^${addressOf(web)}\t${web.id.slice(0, 12)}$`, 'm'))
        t.equal((await other.exec(['nc', addressOf(web), '80'])).stdout.trim(), 'web', 'they reach each other')
        t.match(rules(), addressOf(web), 'the second plugin of the list did its part')
        await t.rejects(networks.remove('mynet'), { code: 'NETWORK_IN_USE', message: /other, web|web, other/ })
        const [address] = [addressOf(other)]
        await other.stop({ timeout: 0 })
        t.same(other.networks, [])
        t.notOk(leasesOf('mynet').includes(address), 'its address is given back when it ends')
        t.notMatch(rules(), address)
        await other.start()
        t.match(addressOf(other), /^10\.88\./, 'another start, another ADD')
        execFileSync('nsenter', [`--net=/proc/${String(web.pid)}/ns/net`, 'ip', 'addr', 'flush', 'dev', 'eth0'])
        const error = await networks.check('mynet', 'web').catch((caught: unknown) => caught)
        t.match(error, { code: 'CNI_PLUGIN_FAILED', plugin: 'bridge', command: 'CHECK' })
      }
      t.same(leasesOf('mynet'), [])
      t.same(cached(), [])
      await networks.remove('mynet')
      await t.rejects(networks.get('mynet'), { code: 'NETWORK_NOT_FOUND' })
      t.equal(await settled(before), before, 'nor is the bridge left')
    })

    await t.test('from a file and from text, with published ports, names, addresses', async (t) => {
      const path = join(await temporaryDirectory(t), '10-routed.conflist')
      writeFileSync(path, JSON.stringify(routed))
      t.equal((await networks.create({ cni: path })).name, 'routed')
      await networks.remove('routed')
      await networks.create({ cni: JSON.stringify(routed), labels: { of: 'test' } })
      {
        const fixed = { ip: '10.97.0.77', mac: '02:00:00:00:00:77', networkAliases: ['www'] }
        const ports = ['8080:80', 80, '127.0.0.1:9090:80']
        await using web = await server('web', { network: 'routed', ports, ...fixed })
        t.match(web.networks, [
          { addresses: ['10.97.0.77/24'], gateways: ['10.97.0.1'], mac: fixed.mac, aliases: ['www'] },
        ])
        t.match(web.ports, [{ host: 8080, ip: '0.0.0.0' }, {}, { host: 9090, ip: '127.0.0.1' }])
        for (const { host } of web.ports) t.equal(await read(host), 'web', `port ${String(host)}`)
        t.match((await web.exec(['ip', 'route'])).stdout, /default via 10\.97\.0\.1/)
        await using client = await server('client', { network: 'routed' })
        t.equal((await client.exec(['nc', 'www', '80'])).stdout.trim(), 'web', 'by its alias')
        const resolv = (await client.exec(['cat', '/etc/resolv.conf'])).stdout
        t.equal(resolv, 'search dns.podling routed.example\nnameserver 10.97.0.1\noptions ndots:2\n')
        await t.rejects(server('late', { network: 'routed', ports: ['8080:80'] }), {
          code: 'PORT_IN_USE',
          message: /8080/,
        })
        await t.rejects(server('same', { network: 'routed', ip: '10.97.0.77' }), {
          code: 'CNI_PLUGIN_FAILED',
          plugin: 'bridge',
          pluginMessage: /10\.97\.0\.77/,
        })
        t.same((await runtime.containers.list()).map(({ name }) => name).sort(), ['client', 'web'])
      }
      t.equal(await read(8080), 'error: ECONNREFUSED')
      t.same(leasesOf('routed'), [])
      await using missing = await runtime.containers.create({ image, network: 'routed', command: ['/no/such/program'] })
      await t.rejects(missing.start(), { code: 'COMMAND_NOT_FOUND' })
      t.same(leasesOf('routed'), [], 'nothing is left of a start that failed after ADD')
    })

    await t.test('beside other networks, and of a container that runs', async (t) => {
      await networks.create({ name: 'plain', subnets: ['10.96.0.0/24'] })
      await networks.create({
        cni: {
          ...example,
          plugins: [{ type: 'bridge', bridge: 'mynet0', ipam: { type: 'host-local', subnet: '10.95.0.0/24' } }],
        },
      })
      {
        await using both = await server('both', { network: ['mynet', 'plain', 'routed'], ports: ['8081:80'] })
        t.match(both.networks, [
          { network: 'mynet', interface: 'eth0', addresses: [/^10\.95\./] },
          { network: 'plain', interface: 'eth1', addresses: [/^10\.96\./] },
          { network: 'routed', interface: 'eth2', addresses: [/^10\.97\./] },
        ])
        t.equal(await read(8081), 'both', 'published by the first that can')
        t.match((await both.exec(['ip', 'route'])).stdout, /default via 10\.96\.0\.1 dev eth1/)
        await networks.disconnect('routed', 'both')
        t.notMatch((await both.exec(['ip', 'link'])).stdout, /eth2/)
        t.same(leasesOf('routed'), [])
        await t.rejects(networks.disconnect('routed', 'both'), { code: 'INVALID_STATE' })
        await networks.connect('routed', 'both', { ip: '10.97.0.9', aliases: ['gate'] })
        t.match(both.networks[2], {
          network: 'routed',
          interface: 'eth2',
          addresses: ['10.97.0.9/24'],
          aliases: ['gate'],
        })
        await t.rejects(networks.connect('routed', 'both'), { code: 'INVALID_STATE', message: /connected already/ })
        await t.rejects(networks.check('plain', 'both'), { code: 'INVALID_OPTION' })
        await using late = await server('late', { network: 'none' })
        await networks.connect('routed', 'late')
        t.match(late.networks, [{ network: 'routed', interface: 'eth0' }])
        t.match((await late.exec(['ip', 'route'])).stdout, /default via 10\.97\.0\.1/)
        t.equal((await late.exec(['nc', 'gate', '80'])).stdout.trim(), 'both')
        await networks.remove('routed', { force: true })
        t.same(late.networks, [])
        t.notMatch((await late.exec(['ip', 'link'])).stdout, /eth0/)
      }
      await networks.remove('plain')
      await networks.remove('mynet')
      t.same(cached(), [])
      t.equal(await settled(before), before)
    })

    await t.test('plugins that fail', async (t) => {
      const pluginDirectories = [
        await scripts(t, {
          first: `[ $CNI_COMMAND = ADD ] && ip link add left-$CNI_IFNAME type dummy\n[ $CNI_COMMAND = DEL ] && ip link delete left-$CNI_IFNAME\n${good}`,
          full: `[ $CNI_COMMAND = DEL ] || { echo '{"code":111,"msg":"no room","details":"the subnet is full"}'; exit 1; }`,
          crash: '[ $CNI_COMMAND = DEL ] || kill -SEGV $$',
          hang: '[ $CNI_COMMAND = DEL ] || exec sleep 86399',
          worse: 'exec sleep 86399',
          rubbish: 'echo "<html>"',
          wrong: `[ $CNI_COMMAND = DEL ] || echo '{"ips":[{"address":7}]}'`,
          binary: '#!/no/such/interpreter',
        }),
        '/usr/lib/cni',
      ]
      const wanted = {
        full: {
          code: 'CNI_PLUGIN_FAILED',
          pluginCode: 111,
          pluginMessage: 'no room',
          pluginDetails: 'the subnet is full',
        },
        crash: { code: 'CNI_PLUGIN_FAILED', message: /ended by SIGSEGV and printed nothing/ },
        hang: { code: 'CNI_PLUGIN_TIMEOUT', message: /killed after 500 ms/ },
        rubbish: { code: 'CNI_RESULT_INVALID', message: /printed no JSON but "<html>"/ },
        wrong: { code: 'CNI_RESULT_INVALID', message: /ips\[0\]\.address/ },
        binary: { code: 'CNI_PLUGIN_FAILED', message: /could not be executed: ENOENT/ },
        absent: {
          code: 'CNI_PLUGIN_NOT_FOUND',
          message: /no CNI plugin absent in .*, \/usr\/lib\/cni; Debian's package containernetworking-plugins/,
        },
        worse: { code: 'CNI_PLUGIN_TIMEOUT', message: /; and undoing it: / },
      }
      for (const [type, error] of Object.entries(wanted)) {
        const cni = { cniVersion: '1.0.0', name: type, plugins: [{ type: 'first' }, { type }] }
        await networks.create({ cni, pluginDirectories, pluginTimeout: '0.5s' })
        const caught = await server('failing', { network: type }).catch((one: unknown) => one)
        t.ok(caught instanceof CniError, `${type}: ${String(caught)}`)
        t.match(caught, { command: 'ADD', plugin: type, ...error })
        t.match((caught as Error).message, new RegExp(`^add container failing to network ${type}: `))
        t.same(await runtime.containers.list(), [])
        t.equal(await settled(before), before, 'what was added is gone')
        if (type === 'worse' || type === 'binary') {
          t.equal(cached().length, 1, 'of one that could not be asked to, DEL is to be tried again')
          writeFileSync(join(pluginDirectories[0]!, type), '#!/bin/sh\n')
          const next = await Runtime.open({ root })
          t.same(next.recovered.failures, [])
          await next.close()
        }
        t.same(cached(), [])
        await networks.remove(type)
      }
      const cni = { cniVersion: '1.0.0', name: 'lost', plugins: [{ type: 'bridge', ipam: { type: 'absent' } }] }
      await networks.create({ cni })
      await t.rejects(server('failing', { network: 'lost' }), { code: 'CNI_PLUGIN_NOT_FOUND', plugin: 'absent' })
      await networks.remove('lost')
    })

    await t.test('a DEL that fails', async (t) => {
      const directory = await scripts(t, { sticky: `[ $CNI_COMMAND = DEL ] && exit 9\n${good}` })
      const cni = { cniVersion: '1.0.0', name: 'sticky', plugins: [{ type: 'sticky' }] }
      await networks.create({ cni, pluginDirectories: [directory] })
      const container = await server('stays', { network: 'sticky' })
      t.match(await container.stop({ timeout: 0 }), { exitCode: Number })
      t.equal(container.status, 'exited', 'it has ended all the same')
      await t.rejects(container.remove(), {
        code: 'CNI_PLUGIN_FAILED',
        message: /sticky \(DEL\): it ended with status 9/,
      })
      t.same(await runtime.containers.list(), [], 'and is removed')
      const next = await Runtime.open({ root })
      t.match(next.recovered.failures, [{ code: 'CNI_PLUGIN_FAILED', plugin: 'sticky' }])
      await next.close()
      writeFileSync(join(directory, 'sticky'), '#!/bin/sh\n')
      const last = await Runtime.open({ root })
      t.same(last.recovered.failures, [])
      await last.close()
      t.same(cached(), [])
      await networks.remove('sticky')
    })

    await t.test('mistakes', async (t) => {
      const wrong = (options: object) => networks.create(options as never)
      const invalid = (message: RegExp) => ({ code: 'INVALID_OPTION', message })
      await t.rejects(wrong({ cni: {} }), invalid(/name: must be given/))
      await t.rejects(wrong({ cni: '/no/such.conflist' }), invalid(/cni: \/no\/such\.conflist: can't be read: ENOENT/))
      await t.rejects(wrong({ cni: '{"plugins":' }), invalid(/cni: must be JSON/))
      await t.rejects(
        wrong({ cni: example, name: 'other' }),
        invalid(/name: must be that of the network, 'other', got 'mynet'/),
      )
      await t.rejects(wrong({ cni: { ...example, name: 'host' } }), invalid(/'host', which has a meaning of its own/))
      await t.rejects(
        wrong({ cni: { ...example, cniVersion: '2.0.0' } }),
        invalid(/cniVersion: must be one of '0\.3\.1'/),
      )
      await t.rejects(wrong({ cni: { ...example, plugins: [{ type: '../sh' }] } }), invalid(/plugins\[0\]\.type/))
      await t.rejects(wrong({ cni: example, subnets: [], pluginTimeout: 0 }), invalid(/subnets.*\n.*pluginTimeout/))
      await networks.create({ cni: example })
      await t.rejects(server('ports', { network: 'mynet', ports: [80] }), invalid(/capability portMappings/))
      const pluginDirectories = [await scripts(t, { deaf: good })]
      const deaf = { cniVersion: '1.0.0', name: 'deaf', plugins: [{ type: 'deaf' }] }
      await networks.create({ cni: deaf, pluginDirectories })
      await t.rejects(
        server('deaf', { network: 'deaf', ip: '10.1.0.3' }),
        invalid(/gave it 10\.1\.0\.2\/24, not 10\.1\.0\.3/),
      )
      t.equal(await settled(before), before)
      await networks.remove('deaf')
      await networks.remove('mynet')
    })

    await t.test('kill -9 of everything, while it runs and while plugins do', async (t) => {
      await networks.create({ cni: routed })
      const directory = await scripts(t, {
        slow: `case $CNI_COMMAND in
          ADD) : > $d/begun; read -r word < $d/go; ip link add slow0 type dummy; : > $d/done ;;
          DEL) ip link delete slow0 ;;
          esac\n${good}`,
      })
      execFileSync('mkfifo', [join(directory, 'go')])
      const slow = { cniVersion: '1.0.0', name: 'slow', plugins: [routed.plugins[0], { type: 'slow' }] }
      await networks.create({ cni: slow as never, pluginDirectories: [directory, '/usr/lib/cni'] })
      await setup.runtime.close()
      for (const network of ['routed', 'slow']) {
        const host = startHost(root, 'run', network)
        if (network === 'routed') await host.saw('running')
        else while (!existsSync(join(directory, 'begun'))) await delay(10)
        t.not(snapshot(), before)
        const below = (await host.descendants()).map((one) => Number(one.split('@')[0]))
        await host.end('SIGKILL')
        for (const pid of below) {
          // The plugin has a life of its own, and outlives its host.
          if (!isPlugin(pid, directory)) kill(pid)
        }
        const opening = Runtime.open({ root })
        if (network === 'slow') writeFileSync(join(directory, 'go'), 'on\n')
        const next = await opening
        t.same(next.recovered.failures, [])
        t.same(await next.containers.list(), [])
        if (network === 'slow') t.ok(existsSync(join(directory, 'done')), 'the DEL came after the ADD')
        t.same(leasesOf(network), [])
        t.notMatch(rules(), /10\.97\.0\./)
        await next.close()
        t.same(cached(), [])
        t.equal(await settled(before), before)
      }
    })

    await setup[Symbol.asyncDispose]()
    execFileSync('umount', [leases])
    if (madeHere) rmdirSync(leases)
  })
}

function isPlugin(pid: number, directory: string): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').includes(directory)
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It went with its host.
  }
}
