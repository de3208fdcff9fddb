/** Names, asked for by dig, with a resolver of the host behind. */
import t, { type Test } from 'tap'
import { execFile, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findHelper } from '../../lib/launch/helper-path.js'
import { OwnSpace } from '../../lib/network/own-space.js'
import { Names, namesDomain, type NamedNetwork } from '../../lib/network/names.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { standIn } from '../fixtures/stand-in.js'
import { needs } from '../peers.js'

const tools = needs('root', 'dig', 'iproute2')
const run = promisify(execFile)
const id = (digit: string): string => digit.repeat(64)
const gateway = '10.66.0.1'

/** What dig prints as the answer: its lines, or the status when there is none. */
async function dig(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('dig', [
    '+tries=1',
    '+time=15',
    `@${gateway}`,
    '+noall',
    '+answer',
    '+comments',
    ...args,
  ]).catch((error: unknown) => error as { stdout: string })
  const answers = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';'))
  if (answers.length > 0)
    return answers
      .map((line) => line.split(/\s+/)[4])
      .sort()
      .join(' ')
  return /status: (\w+)/.exec(stdout)?.[1] ?? 'no answer'
}

async function setup(t: Test, resolvConf = 'nameserver 127.0.0.53\noptions edns0\n') {
  const directory = await temporaryDirectory(t)
  // As /etc is: the responder reads it as nobody.
  await chmod(directory, 0o755)
  await writeFile(join(directory, 'resolv.conf'), resolvConf)
  const open = (file = 'resolv.conf') => {
    const names = new Names({
      directory: join(directory, 'names'),
      space: new OwnSpace(findHelper(), join(directory, file)),
    })
    t.teardown(() => names.close())
    return names
  }
  const network: NamedNetwork = {
    id: Buffer.from(directory).toString('hex').slice(-32),
    name: 'net',
    gateways: [`${gateway}/24`, 'fd66::1/64'],
    forward: true,
  }
  return { directory, open, network, names: open() }
}

/** The responders below a directory, by their command lines. */
function responders(directory: string): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      return line.includes('\0dns\0') && line.includes(directory) ? [Number(pid)] : []
    } catch {
      return []
    }
  })
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await delay(5)
}

if (process.argv[2] === 'host') {
  const [directory = '', network = '', container = ''] = process.argv.slice(3)
  const names = new Names({ directory, space: new OwnSpace(findHelper()) })
  await names.publish(JSON.parse(network) as NamedNetwork, JSON.parse(container) as Parameters<Names['publish']>[1])
  process.send?.('published')
  setInterval(() => undefined, 1000)
} else if (inOwnNetwork(import.meta.url)) {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  execFileSync('ip', ['link', 'add', 'gate', 'type', 'bridge'])
  execFileSync('ip', ['addr', 'add', `${gateway}/24`, 'dev', 'gate'])
  execFileSync('ip', ['addr', 'add', 'fd66::1/64', 'dev', 'gate', 'nodad'])
  execFileSync('ip', ['link', 'set', 'gate', 'up'])

  t.test('names and aliases, forward and backward', tools, async (t) => {
    const { names, network, directory } = await setup(t)
    const resolver = await startResolver(t, '127.0.0.53', '192.0.2.80')
    await names.publish(network, {
      id: id('a'),
      pid: process.pid,
      names: ['web', 'www', 'WEB.v1'],
      addresses: ['10.66.0.2', 'fd66::2'],
    })
    await names.publish(network, { id: id('b'), pid: process.pid, names: ['db', 'www'], addresses: ['10.66.0.3'] })
    t.equal(await dig('web', 'A'), '10.66.0.2')
    t.equal(await dig('web', 'AAAA'), 'fd66::2')
    t.equal(await dig(`web.v1.${namesDomain}`, 'A'), '10.66.0.2')
    t.equal(await dig('www', 'A'), '10.66.0.2 10.66.0.3', 'an alias of two')
    t.equal(await dig('db', 'AAAA'), 'NOERROR', 'a name without such an address')
    t.equal(await dig(`nobody.${namesDomain}`, 'A'), 'NXDOMAIN')
    t.equal(await dig('-x', '10.66.0.2'), 'web.')
    t.equal(await dig('-x', 'fd66::2'), 'web.')
    t.equal(await dig('+tcp', 'web', 'A'), '10.66.0.2')
    t.equal(await dig('@fd66::1', 'web', 'A'), '10.66.0.2', 'asked over IPv6')
    t.equal(resolver.asked.length, 0, 'all of that is said here')
    await names.publish(network, { id: id('b'), pid: process.pid, names: ['db2'], addresses: ['10.66.0.4'] })
    t.equal(await dig('db2', 'A'), '10.66.0.4')
    t.equal(await dig('db.dns.podling', 'A'), 'NXDOMAIN', 'published anew')
    names.withdraw(id('a'))
    t.equal(await dig('web.dns.podling', 'A'), 'NXDOMAIN', 'withdrawn')
    t.equal(responders(directory).length, 1)
    await names.remove(network.id)
    t.same(readdirSync(join(directory, 'names')), [])
  })

  t.test('what is no container', tools, async (t) => {
    const { names, network, directory, open } = await setup(t)
    const resolver = await startResolver(t, '127.0.0.53', '192.0.2.80')
    await startResolver(t, '127.0.0.54', '192.0.2.90')
    await names.publish(network, { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] })
    t.equal(await dig('example.org', 'A'), '192.0.2.80')
    t.equal(await dig('+tcp', 'example.org', 'A'), '192.0.2.80')
    t.same(
      resolver.asked.map(({ protocol }) => protocol),
      ['udp', 'tcp'],
    )
    await dig('+bufsize=1400', '+dnssec', 'example.org', 'A')
    const { message } = resolver.asked.at(-1)!
    t.equal(message.readUInt16BE(message.length - 11 - 12 + 3), 1400, 'EDNS is passed on as it is')
    resolver.mode = 'truncate'
    t.equal(await dig('example.org', 'A'), '192.0.2.80', 'truncated: asked again over TCP')
    t.equal(resolver.asked.at(-1)?.protocol, 'tcp')
    resolver.mode = 'long'
    t.equal(await dig('+bufsize=512', 'example.org', 'A'), '192.0.2.80', 'more than was asked for: too')
    resolver.mode = 'forge'
    t.equal(await dig('example.org', 'A'), '192.0.2.80', 'answers to other questions are passed over')
    resolver.mode = 'fail'
    t.equal(await dig('example.org', 'A'), 'SERVFAIL')
    await writeFile(
      join(directory, 'resolv.conf'),
      '# changed\nnameserver 10.66.0.1\nnameserver 127.0.0.53\nnameserver 127.0.0.54\n',
    )
    t.equal(await dig('example.org', 'A'), '192.0.2.90', 'the next resolver; itself is none')
    await writeFile(join(directory, 'resolv.conf'), 'nameserver 127.0.0.55\nnameserver 127.0.0.54\n')
    t.equal(await dig('example.org', 'A'), '192.0.2.90', 'one where nobody listens')
    t.equal(await dig('+tcp', 'example.org', 'A'), '192.0.2.90')
    await writeFile(join(directory, 'resolv.conf'), '')
    t.equal(await dig('example.org', 'A'), 'SERVFAIL', 'none: nobody on this machine listens')
    await names.publish(network, {
      id: id('h'),
      pid: process.pid,
      names: ['host'],
      addresses: [gateway],
      servers: ['127.0.0.54'],
    })
    t.equal(await dig('example.org', 'A'), '192.0.2.90', 'a container with resolvers of its own')
    await names.remove(network.id)

    await mkdir(join(directory, 'run'))
    await writeFile(join(directory, 'run/stub.conf'), 'nameserver 127.0.0.54')
    await symlink('run/stub.conf', join(directory, 'link'))
    for (const [file, expected] of [
      ['link', '192.0.2.90'],
      ['missing', 'SERVFAIL'],
    ] as const) {
      const names = open(file)
      await names.publish(network, { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] })
      t.equal(await dig('example.org', 'A'), expected, `resolv.conf: ${file}`)
      await names.remove(network.id)
    }
    await names.publish(
      { ...network, forward: false },
      { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] },
    )
    t.equal(await dig('example.org', 'A'), 'NXDOMAIN', 'no way out of an internal network')
    t.equal(await dig('web', 'A'), '10.66.0.2')
    await names.remove(network.id)
  })

  t.test('a container is forgotten when it ends, and the responder with the last one', tools, async (t) => {
    const { names, network, directory, open } = await setup(t)
    const a = await standIn(t)
    const b = await standIn(t)
    await names.publish(network, { id: id('a'), pid: a.pid, names: ['one'], addresses: ['10.66.0.2'] })
    await names.publish(network, { id: id('b'), pid: b.pid, names: ['two'], addresses: ['10.66.0.3'] })
    await a.end()
    t.equal(await dig('one.dns.podling', 'A'), 'NXDOMAIN', 'at once, though nobody withdrew it')
    const [pid = 0] = responders(directory)
    t.match(readFileSync(`/proc/${String(pid)}/status`, 'utf8'), /^Uid:\s65534\s65534\s65534\s65534$/m, 'it is nobody')
    t.match(readFileSync(`/proc/${String(pid)}/status`, 'utf8'), /^CapEff:\s0+$/m, 'without capabilities')
    t.match(readFileSync(`/proc/${String(pid)}/status`, 'utf8'), /^Seccomp:\s2$/m)
    await names.close()
    t.equal(await dig('two', 'A'), '10.66.0.3', 'it goes on without a host')
    const later = open()
    await later.publish(network, { id: id('c'), pid: b.pid, names: ['three'], addresses: ['10.66.0.4'] })
    t.same(responders(directory), [pid], 'the next host finds it')
    await later.close()
    await b.end()
    await until(() => responders(directory).length === 0)
    t.pass('it has ended')
  })

  t.test('a responder that is killed is made again', tools, async (t) => {
    const { names, network, directory, open } = await setup(t)
    await names.publish(network, { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] })
    const [first = 0] = responders(directory)
    process.kill(first, 'SIGKILL')
    await until(() => responders(directory).some((pid) => pid !== first))
    await open().publish(network, { id: id('b'), pid: process.pid, names: ['db'], addresses: ['10.66.0.3'] })
    t.equal(await dig('web', 'A'), '10.66.0.2')
    await names.remove(network.id)
  })

  t.test('hosts that are killed', tools, async (t) => {
    const { network, directory } = await setup(t)
    const detached = await standIn(t)
    const start = async (container: object) => {
      const host = fork(fileURLToPath(import.meta.url), [
        'host',
        join(directory, 'names'),
        JSON.stringify(network),
        JSON.stringify(container),
      ])
      // tap has something to say as well.
      for (let said: unknown; said !== 'published';) [said] = (await once(host, 'message')) as unknown[]
      return host
    }
    const hosts = await Promise.all([
      start({ id: id('a'), pid: detached.pid, names: ['stays'], addresses: ['10.66.0.2'] }),
      start({ id: id('b'), pid: detached.pid, names: ['too'], addresses: ['10.66.0.3'] }),
    ])
    await until(() => responders(directory).length === 1)
    t.pass('one for both')
    for (const host of hosts) {
      host.kill('SIGKILL')
      await once(host, 'exit')
    }
    t.equal(await dig('stays', 'A'), '10.66.0.2')
    t.equal(await dig('too', 'A'), '10.66.0.3')
    await detached.end()
    await until(() => responders(directory).length === 0)
    t.pass('nothing is left')
  })

  t.test('many at once', tools, async (t) => {
    const { directory, open, network } = await setup(t)
    const hosts = Array.from({ length: 8 }, () => open())
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        hosts[i % 8]!.publish(network, {
          id: i.toString(16).padStart(64, '0'),
          pid: process.pid,
          names: [`c${String(i)}`, 'all'],
          addresses: [`10.66.1.${String(i)}`],
        }),
      ),
    )
    t.equal(responders(directory).length, 1)
    for (const i of [0, 7, 99, 199]) t.equal(await dig(`c${String(i)}`, 'A'), `10.66.1.${String(i)}`)
    t.equal((await dig('all', 'A')).split(' ').length, 200, 'over TCP, as it is too much for UDP')
    // None of these waits for an answer, so most must not take anything from the others.
    const idle = Array.from({ length: 40 }, () => createConnection(53, gateway).on('error', () => undefined))
    await Promise.all(idle.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])))
    t.equal(await dig('c1', 'A'), '10.66.1.1')
    for (const socket of idle) socket.destroy()
    for (const host of hosts) await host.close()
    for (let i = 0; i < 200; i++) hosts[0]!.withdraw(i.toString(16).padStart(64, '0'))
    await until(() => responders(directory).length === 0)
  })

  t.test('only who is on the network', tools, async (t) => {
    const { names, network } = await setup(t)
    const stranger = await standIn(t)
    execFileSync('ip', ['link', 'add', 'far', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(stranger.pid)])
    execFileSync('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'far'])
    execFileSync('ip', ['link', 'set', 'far', 'up'])
    stranger.run('ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0')
    stranger.run('ip', 'link', 'set', 'eth0', 'up')
    stranger.run('ip', 'route', 'add', '10.66.0.0/24', 'via', '192.0.2.1')
    await names.publish(network, { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] })
    for (const protocol of ['+notcp', '+tcp']) {
      t.throws(
        () => stranger.run('dig', '+tries=1', '+time=1', protocol, `@${gateway}`, 'web'),
        `no answer: ${protocol}`,
      )
    }
    t.equal(await dig('web', 'A'), '10.66.0.2')
    await names.remove(network.id)
  })

  t.test('port 53 taken', tools, async (t) => {
    const { names, network, directory } = await setup(t)
    await startResolver(t, '0.0.0.0', '192.0.2.80')
    await rejectsWith(
      t,
      () => names.publish(network, { id: id('a'), pid: process.pid, names: ['web'], addresses: ['10.66.0.2'] }),
      'NAMES_FAILED',
      /^answer for names on network net: another program has port 53 of 10\.66\.0\.1; .*dns: false$/,
    )
    t.same(responders(directory), [])
    names.withdraw(id('a'))
  })
}
