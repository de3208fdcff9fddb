import t, { type Test } from 'tap'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { hostResolvConf, reachableResolvConf } from '../../lib/container/host-resolver.js'
import { temporaryDirectory } from '../fixtures/directory.js'

/** A directory in the place of `/`, with these files in it. */
async function hostWith(t: Test, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await temporaryDirectory(t)
  mkdirSync(join(root, 'etc'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

const stub = 'nameserver 127.0.0.53\noptions edns0\nsearch stub.example\n'
const behind = 'nameserver 192.0.2.53\nsearch real.example\n'

t.test('no file, and a link that leads nowhere', async (t) => {
  const root = await hostWith(t, {})
  t.equal(hostResolvConf(root), undefined)
  t.equal(reachableResolvConf(root), undefined)
  symlinkSync('../run/resolvconf/resolv.conf', join(root, 'etc/resolv.conf'))
  t.equal(hostResolvConf(root), undefined)
  t.equal(reachableResolvConf(root), undefined)
})

t.test('a link', async (t) => {
  const root = await hostWith(t, { 'run/resolvconf/resolv.conf': 'nameserver 192.0.2.1\n' })
  symlinkSync('../run/resolvconf/resolv.conf', join(root, 'etc/resolv.conf'))
  t.equal(reachableResolvConf(root), 'nameserver 192.0.2.1\n')
})

t.test('the stub of systemd-resolved', async (t) => {
  const files = { 'run/systemd/resolve/stub-resolv.conf': stub, 'run/systemd/resolve/resolv.conf': behind }
  const root = await hostWith(t, files)
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(root, 'etc/resolv.conf'))
  t.equal(reachableResolvConf(root), behind, 'others ask those that the stub asks')
  t.equal(hostResolvConf(root), stub, "on the host's network the stub is there")
  const without = await hostWith(t, { 'etc/resolv.conf': stub })
  t.equal(reachableResolvConf(without), '\noptions edns0\nsearch stub.example\n', 'nobody is told of it in vain')
})

t.test('a resolver on loopback beside others is left out, whatever systemd-resolved has', async (t) => {
  const root = await hostWith(t, {
    'etc/resolv.conf':
      'nameserver 127.0.0.53\nnameserver 192.0.2.2\n nameserver ::1\nnameserver\t::1%lo\nnameserver ::12\n',
    'run/systemd/resolve/resolv.conf': behind,
  })
  t.equal(reachableResolvConf(root)?.replaceAll(/\n+/g, '\n'), '\nnameserver 192.0.2.2\nnameserver ::12\n')
})
