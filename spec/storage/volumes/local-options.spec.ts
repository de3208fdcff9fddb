import t from 'tap'
import { parseLocalOptions } from '../../../lib/storage/volumes/local-options.js'
import { parseCsiOptions } from '../../../lib/storage/volumes/csi/csi-options.js'
import { encryptionKeyFault, VolumeKeys } from '../../../lib/storage/volumes/keys.js'

const parse = (options: Readonly<Record<string, string>>) => parseLocalOptions('v', options)

t.test('the options of Docker’s local driver', (t) => {
  t.same(parse({}), {})
  t.same(parse({ o: 'uid=1000,gid=5' }), { uid: 1000, gid: 5 })
  t.match(parse({ type: 'tmpfs', device: 'tmpfs', o: 'size=100m,uid=1000,noexec' }).mount, {
    fstype: 'tmpfs',
    device: 'tmpfs',
    options: ['size=100m', 'uid=1000'],
    attributes: { noExec: true },
  })
  t.match(parse({ type: 'nfs', o: 'addr=192.0.2.1,rw,soft', device: ':/export' }).mount, {
    fstype: 'nfs',
    device: ':/export',
    options: ['addr=192.0.2.1', 'soft'],
    attributes: { readOnly: false },
  })
  t.match(parse({ type: 'none', o: 'rbind', device: '/srv' }).mount, {
    fstype: 'bind',
    device: '/srv',
    recursive: true,
    options: [],
  })
  t.match(parse({ type: 'btrfs', device: '/dev/sda2' }).mount, { fstype: 'btrfs', device: '/dev/sda2' })
  t.equal(parse({ type: 'tmpfs' }).mount?.device, 'tmpfs')
  t.throws(() => parse({ type: '../x', device: 'y' }), { code: 'INVALID_OPTION', message: /options\.type/ })
  t.throws(() => parse({ type: 'ext4', device: 'a\0b' }), { code: 'INVALID_OPTION', message: /NUL/ })
  t.end()
})

t.test('those of a CSI driver', (t) => {
  const all = {
    endpoint: 'unix:///run/csi.sock',
    capacity: '1.5g',
    fsType: 'xfs',
    mountFlags: 'noatime,discard',
    snapshot: 's',
    'parameter.a': '1',
  }
  t.same(parseCsiOptions('v', all), {
    endpoint: '/run/csi.sock',
    capacity: 1.5 * 2 ** 30,
    accessMode: 'single-node-writer',
    fsType: 'xfs',
    mountFlags: ['noatime', 'discard'],
    snapshot: 's',
    parameters: { a: '1' },
  })
  t.end()
})

t.test('keys', (t) => {
  const keys = new VolumeKeys()
  t.throws(() => keys.get('v'), { code: 'VOLUME_LOCKED' })
  keys.put('v', 'a passphrase')
  t.equal(keys.get('v').bytes.toString(), 'a passphrase')
  const held = keys.get('v')
  keys.put('v', Buffer.alloc(16, 0xab))
  t.match(keys.get('v'), { bytes: Buffer.alloc(16, 0xab), text: false })
  t.ok(
    held.bytes.every((byte) => byte === 0),
    'the old one is blanked out',
  )
  keys.clear()
  t.notOk(keys.has('v'))
  for (const key of ['', 'a\nb', Buffer.alloc(15), Buffer.alloc(513), 'x'.repeat(1025), 5, null])
    t.type(encryptionKeyFault(key), 'string')
  t.notMatch(encryptionKeyFault('secret\nline'), /secret/)
  t.end()
})
