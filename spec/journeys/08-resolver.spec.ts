/** What containers are told of the host's resolvers, however the host keeps them: see resolv.conf(5). */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { temporaryDirectory } from '../fixtures/directory.js'
import { addressOf, lookUp } from '../fixtures/names.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const file = '/etc/resolv.conf'

/** Each makes the host's file, and says what a container without a responder of its network gets. */
const hosts = {
  'a file': [
    () => {
      writeFileSync(file, 'search a.example\nnameserver 192.0.2.1\n')
    },
    'search a.example\nnameserver 192.0.2.1\n',
  ],
  'a link': [
    () => {
      mkdirSync('/run/resolvconf')
      writeFileSync('/run/resolvconf/resolv.conf', 'nameserver 192.0.2.2\n')
      symlinkSync('../run/resolvconf/resolv.conf', file)
    },
    'nameserver 192.0.2.2\n',
  ],
  none: [() => undefined, ''],
  'a link that leads nowhere': [
    () => {
      symlinkSync('/run/nothing/resolv.conf', file)
    },
    '',
  ],
  'the stub of systemd-resolved': [
    () => {
      mkdirSync('/run/systemd/resolve', { recursive: true })
      writeFileSync(
        '/run/systemd/resolve/stub-resolv.conf',
        'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n',
      )
      writeFileSync('/run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.53\noptions edns0\nsearch .\n')
      symlinkSync('../run/systemd/resolve/stub-resolv.conf', file)
    },
    'nameserver 192.0.2.53\noptions edns0\n',
  ],
} as const

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('the host’s resolvers', needs('root', 'busybox', 'iproute2'), async (t) => {
    const directory = await temporaryDirectory(t)
    // Over the machine's own, in this mount namespace alone.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
    mkdirSync(`${directory}/upper`)
    mkdirSync(`${directory}/work`)
    const layers = `lowerdir=/etc,upperdir=${directory}/upper,workdir=${directory}/work`
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, '/etc'])
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
    const setup = await testRuntime()
    const { runtime, image } = setup
    await runtime.networks.create({ name: 'mute', dns: false })
    const start = (network: string, name: string) => runtime.run({ image, command: ['sleep', '1000'], name, network })
    await startResolver(t, '127.0.0.53', '192.0.2.80')
    for (const [what, [make, expected]] of Object.entries(hosts)) {
      rmSync(file, { force: true })
      make()
      await using mute = await start('mute', 'mute')
      t.equal((await mute.exec(['cat', file])).stdout, expected, what)
      await using web = await start('bridge', 'web')
      await using db = await start('bridge', 'db')
      t.match((await web.exec(['cat', file])).stdout, /^nameserver 10\.88\.0\.1$/m)
      t.equal(await lookUp(web, 'db'), addressOf(db), `names: ${what}`)
      if (what.startsWith('the stub'))
        t.equal(await lookUp(web, 'example.org'), '192.0.2.80', 'the stub is asked for the rest')
    }
    await setup[Symbol.asyncDispose]()
    for (const place of ['/run', '/etc', directory]) execFileSync('umount', [place])
  })
}
