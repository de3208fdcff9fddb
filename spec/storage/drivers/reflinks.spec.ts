/** Where files can share their contents, vfs copies nothing but names. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { vfsKind } from '../../../lib/storage/drivers/vfs.js'
import { inRoot, noPrograms } from '../../fixtures/in-root.js'
import { openStore, source } from '../../fixtures/layer-store.js'
import { loopDisk } from '../../fixtures/loop-disk.js'
import { inOwnNetwork } from '../../fixtures/own-network.js'
import { tar } from '../../fixtures/tar.js'
import { openUnpacker } from '../../fixtures/unpacker.js'
import { needs } from '../../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const size = 16 * 2 ** 20
  for (const reflink of [1, 0]) {
    t.test(`XFS, reflink=${String(reflink)}`, needs('root', 'xfsprogs'), async (t) => {
      const disk = await loopDisk(t, { type: 'xfs', size: '400m', make: ['-m', `reflink=${String(reflink)}`] })
      const store = await openStore(t, { root: await mkdtemp(join(disk, 'store-')) })
      const layer = await store.layers.apply(source(store.root, tar({ name: 'large', contents: randomBytes(size) })))
      const directory = join(store.root, 'containers')
      const driver = await vfsKind.open({ directory, layers: store.layers, openUnpacker, ...noPrograms })
      const used = (): number => {
        execFileSync('sync', ['-f', disk])
        const { blocks, bfree, bsize } = statfsSync(disk)
        return (blocks - bfree) * bsize
      }
      const before = used()
      for (const id of ['one', 'two', 'three']) await driver.prepare(id, layer)
      const more = used() - before
      const extents = execFileSync('filefrag', ['-v', join(directory, 'one/root/large')], { encoding: 'utf8' })
      if (reflink === 1) {
        t.ok(more < size / 4, `${String(more)} bytes for three copies`)
        t.match(extents, /\bshared\b/)
      } else {
        t.ok(more >= 3 * size, `${String(more)} bytes`)
        t.notMatch(extents, /\bshared\b/)
      }
      const sum = (id: string): Promise<string> =>
        driver.mount(id).then(({ operations }) => inRoot(operations, 'sha256sum large'))
      const original = await sum('two')
      inRoot((await driver.mount('one')).operations, 'echo changed | dd of=large conv=notrunc 2>/dev/null')
      t.not(await sum('one'), original)
      t.equal(await sum('two'), original, 'what one writes is its own')
      t.equal(
        execFileSync('sha256sum', [join(store.show(layer), 'large')], { encoding: 'utf8' }).slice(0, 64),
        original.slice(0, 64),
      )
      for (const id of ['one', 'two', 'three']) await driver.remove(id)
      await driver.close()
    })
  }
}
