/** Quotas that can't be had, or that nobody can mean. Those that hold are in quotas-ext4.spec.ts and quotas-xfs.spec.ts. */
import t from 'tap'
import { loopDisk, type DiskOptions } from '../fixtures/loop-disk.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test(
    'a disk without project quotas: the error names the remedy, and nothing is left',
    needs('root', 'xfsprogs'),
    async (t) => {
      const disks: readonly [DiskOptions, RegExp][] = [
        [{ type: 'ext4', size: '64m' }, /tune2fs -O project,quota.*prjquota/],
        [{ type: 'xfs', size: '300m' }, /XFS .*mounted without.*prjquota/],
      ]
      for (const [disk, remedy] of disks) {
        await using setup = await testRuntime({}, await loopDisk(t, disk))
        const { runtime, image } = setup
        const refused = { code: 'QUOTA_UNSUPPORTED', message: remedy }
        const options = { image, command: ['true'], network: 'none', storageOpt: { size: '10m' } }
        await t.rejects(runtime.run(options), refused, disk.type)
        await t.rejects(runtime.volumes.create({ name: 'v', options: { size: '10m' } }), refused)
        t.match((await runtime.info()).quotas, { works: false, reason: remedy })
        t.strictSame(await runtime.containers.list(), [])
        t.strictSame(await runtime.volumes.list(), [])
      }
    },
  )

  t.test('wrong quotas', needs('root'), async (t) => {
    await using setup = await testRuntime()
    const { runtime, image } = setup
    const wrong = { size: '1k', inodes: 0, quick: true } as unknown as { size: string }
    await t.rejects(runtime.run({ image, storageOpt: wrong }), {
      code: 'INVALID_OPTION',
      message: /storageOpt\.\w+.*\n.*storageOpt\.\w+.*\n.*storageOpt\.\w+/,
    })
    for (const options of [
      { size: 'much' },
      { size: '0' },
      { inodes: '-1' },
      { type: 'tmpfs', size: '1m' },
      { o: 'size=x' },
    ]) {
      await t.rejects(runtime.volumes.create({ options }), {
        code: 'INVALID_OPTION',
        message: /options\.(size|inodes)/,
      })
    }
  })
}
