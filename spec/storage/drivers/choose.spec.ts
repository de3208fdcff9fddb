import t, { type Test } from 'tap'
import { join } from 'node:path'
import { Database } from '../../../lib/storage/database.js'
import { chooseDriver } from '../../../lib/storage/drivers/choose.js'
import type { DriverName } from '../../../lib/storage/drivers/driver.js'
import { driverKinds } from '../../../lib/storage/drivers/kinds.js'
import type { DriverReport } from '../../../lib/storage/drivers/survey.js'
import { probeHost } from '../../../lib/sys/probe.js'
import { temporaryDirectory } from '../../fixtures/directory.js'

/** A new root on a machine where only these drivers work. */
async function chooser(
  t: Test,
  working: readonly DriverName[],
): Promise<(wanted: DriverName | 'auto') => Promise<string>> {
  const root = await temporaryDirectory(t)
  const database = await Database.open(join(root, 'db'))
  t.teardown(() => database.close())
  const survey = ({ name }: { name: DriverName }): Promise<DriverReport> =>
    Promise.resolve({ name, works: working.includes(name), reason: `why ${name}` })
  return async (wanted) => (await chooseDriver(wanted, { root, database, survey })).name
}

t.test('auto takes the first that works, and a root keeps it', async (t) => {
  t.equal(await (await chooser(t, ['overlay', 'fuse-overlayfs', 'vfs', 'erofs']))('auto'), 'overlay')
  t.equal(await (await chooser(t, ['fuse-overlayfs', 'vfs']))('auto'), 'fuse-overlayfs')
  const choose = await chooser(t, ['vfs'])
  t.equal(await choose('auto'), 'vfs')
  t.equal(await choose('auto'), 'vfs')
  t.equal(await choose('vfs'), 'vfs')
  await t.rejects(choose('overlay'), { code: 'DRIVER_MISMATCH', message: /was made with the driver 'vfs'/ })
})

t.test('what does not work is told with its reasons', async (t) => {
  const choose = await chooser(t, [])
  await t.rejects(choose('erofs'), { code: 'DRIVER_UNSUPPORTED', message: /'erofs' does not work .*why erofs/ })
  await t.rejects(choose('auto'), {
    code: 'DRIVER_UNSUPPORTED',
    message: /overlay: why overlay; fuse-overlayfs: why fuse-overlayfs; vfs: why vfs/,
  })
})

t.test('what stands in the way of a driver', async (t) => {
  const facts = await probeHost()
  const nothing = (): undefined => undefined
  const reasons = (changed: object, find: () => string | undefined = nothing): (string | undefined)[] =>
    driverKinds.map((kind) => kind.obstacle({ ...facts, ...changed }, find))
  const able = { release: '6.12.1', filesystems: 'overlay\nerofs\nfuse\n', fuse: true }
  t.strictSame(
    reasons(able, () => '/usr/bin/x'),
    [undefined, undefined, undefined, undefined],
  )
  const [overlay, fuse, vfs, erofs] = reasons({ ...able, filesystems: '', modules: '' })
  t.match(overlay, /no overlay file system .*load the module/)
  t.match(fuse, /install Debian's package fuse-overlayfs/)
  t.equal(vfs, undefined)
  t.match(erofs, /no EROFS/)
  t.match(reasons({ ...able, release: '6.1.0-18-amd64' })[3], /since 6\.12, and this one is 6\.1\.0-18-amd64/)
  t.match(reasons({ ...able, fuse: false }, () => '/usr/bin/x')[1], /\/dev\/fuse/)
})
