/** Quotas of containers and of volumes, on disks of the spec's own. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Container, DriverName } from 'podling'
import { Database } from '../../lib/storage/database.js'
import { Quotas } from '../../lib/storage/quotas/quotas.js'
import { projectUse } from '../../lib/sys/project-quota.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { ext4WithProjects, loopDisk, type DiskOptions } from '../fixtures/loop-disk.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { impossible, needs } from '../peers.js'

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

  const kinds: readonly DiskOptions[] = [
    { ...ext4WithProjects, size: '200m', mount: 'prjquota' },
    { type: 'xfs', size: '320m', mount: 'prjquota' },
  ]
  for (const disk of kinds) {
    const reason = await obstacle(disk)
    for (const driver of ['overlay', 'fuse-overlayfs', 'vfs', 'erofs'] as const) {
      t.test(
        `${driver} on ${disk.type}`,
        { ...needs('root', 'fuse-overlayfs', 'xfsprogs'), ...impossible(reason) },
        (t) => containersWithQuotas(t, driver, disk),
      )
    }
    const options = { ...needs('root', 'xfsprogs'), ...impossible(reason) }
    t.test(`volumes on ${disk.type}`, options, (t) => volumesWithQuotas(t, disk))
    t.test(`what a crash left on ${disk.type}`, options, (t) => leftovers(t, disk))
    t.test(`a container can't take its files out of its quota on ${disk.type}`, options, (t) => escapes(t, disk))
  }
}

/** Why this kernel has no project quotas on it. */
async function obstacle(disk: DiskOptions): Promise<string | false> {
  try {
    const place = await loopDisk(t, disk)
    return /\bprjquota\b/.test(mountLine(place)) ? false : `its kernel mounts ${disk.type} without quotas`
  } catch {
    return `its kernel has no quotas for ${disk.type} (CONFIG_QFMT_V2, CONFIG_XFS_QUOTA)`
  }
}

function mountLine(place: string): string {
  return (
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.includes(` ${place} `)) ?? ''
  )
}

/** Write MiB to a file, as long as it goes. @returns how many bytes are in it */
async function fill(container: Container, file: string, megabytes: number): Promise<number> {
  await container.exec(['dd', 'if=/dev/zero', `of=${file}`, 'bs=64k', `count=${String(megabytes * 16)}`])
  return Number((await container.exec(['stat', '-c', '%s', file])).stdout)
}

const MiB = 2 ** 20

async function containersWithQuotas(t: Test, storageDriver: DriverName, disk: DiskOptions): Promise<void> {
  const place = await loopDisk(t, disk)
  await using setup = await testRuntime({ storageDriver }, place)
  const { runtime, image, root } = setup
  t.match((await runtime.info()).quotas, { works: true })
  const common = { image, network: 'none', command: ['sleep', '1000'] }
  await using small = await runtime.run({ ...common, storageOpt: { size: '8m', inodes: 600 } })
  await using free = await runtime.run(common)
  const written = await fill(small, '/big', 20)
  t.ok(written > MiB && written < 8.1 * MiB, `the limit holds: ${String(written)}`)
  const more = await small.exec(['dd', 'if=/dev/zero', 'of=/more', 'bs=64k', 'count=4'])
  t.match(more.stderr, /No space left|[Qq]uota exceeded/)
  t.equal(await fill(free, '/big', 20), 20 * MiB, 'another goes on')
  t.equal((await small.exec(['true'])).exitCode, 0)
  await small.exec(['rm', '/big', '/more'])
  t.ok((await fill(small, '/tmp/again', 2)) === 2 * MiB, 'room that was made can be used')
  const files = await small.exec([
    'sh',
    '-c',
    'i=0; while echo x > /tmp/f$i; do i=$((i + 1)); [ $i -lt 1000 ] || break; done; echo $i',
  ])
  t.ok(Number(files.stdout) > 100 && Number(files.stdout) < 600, `inodes: ${files.stdout.trim()}`)
  const holders = (): Promise<Map<string, number>> => holdersOf(root, 'container-quotas')
  await small.remove({ force: true })
  await free.remove({ force: true })
  if (storageDriver === 'vfs') {
    const inspected = runtime.run({ ...common, storageOpt: { size: '1m' } })
    await t.rejects(inspected, { code: 'DISK_FULL' }, 'the image alone is larger')
  }
  await using image2 = await runtime.run({
    ...common,
    mounts: [{ type: 'image', source: image.id, target: '/other', readOnly: false }],
    storageOpt: { size: '20m' },
  })
  t.ok((await fill(image2, '/other/big', 30)) < 20.1 * MiB, 'what an image mount takes is counted, too')
  await image2.remove({ force: true })
  await runtime.close()
  t.strictSame([...(await holders())], [], 'no project is kept')
}

async function volumesWithQuotas(t: Test, disk: DiskOptions): Promise<void> {
  const place = await loopDisk(t, disk)
  await using setup = await testRuntime({}, place)
  const { runtime, image, root } = setup
  await runtime.volumes.create({ name: 'small', options: { size: '3m' } })
  await runtime.volumes.create({ name: 'podman', options: { o: 'uid=1000,size=3m,inodes=50' } })
  // With what the image has there: /etc is copied in first.
  await using container = await runtime.run({
    image,
    network: 'none',
    command: ['sleep', '1000'],
    volumes: ['small:/etc', 'podman:/podman'],
  })
  t.equal((await container.exec(['cat', '/etc/group'])).stdout.split('\n')[0], 'root:x:0:')
  for (const file of ['/etc/big', '/podman/big']) {
    const written = await fill(container, file, 10)
    t.ok(written > MiB && written < 3.1 * MiB, `${file}: ${String(written)}`)
  }
  t.equal(await fill(container, '/big', 10), 10 * MiB)
  const [project] = (await holdersOf(root, 'volume-quotas')).values()
  await container.remove({ force: true })
  await runtime.volumes.remove('small')
  await runtime.volumes.remove('podman')
  t.match(projectUse(place, project!), { bytes: 0, inodes: 0, usedInodes: 0 })
  await runtime.close()
  t.strictSame([...(await holdersOf(root, 'volume-quotas'))], [])
}

async function leftovers(t: Test, disk: DiskOptions): Promise<void> {
  const { Runtime } = await import('podling')
  const place = await loopDisk(t, disk)
  const root = join(place, 'root')
  await (await Runtime.open({ root })).close()
  const projects: number[] = []
  const database = await Database.open(join(root, 'database'))
  const holders = [['container-quotas', 'overlay'], ['volume-quotas', 'volumes']] as const // prettier-ignore
  for (const [table, directory] of holders) {
    const quotas = new Quotas(join(root, directory), database.table(table))
    projects.push(await quotas.allot('f'.repeat(64), { size: 5 * MiB, inodes: 9 }, 'test'))
  }
  await database.close()
  for (const project of projects) t.match(projectUse(place, project), { bytes: 5 * MiB, inodes: 9 })
  await (await Runtime.open({ root })).close()
  for (const project of projects) t.match(projectUse(place, project), { bytes: 0, inodes: 0 })
  t.strictSame([...(await holdersOf(root, 'container-quotas')), ...(await holdersOf(root, 'volume-quotas'))], [])
}

async function escapes(t: Test, disk: DiskOptions): Promise<void> {
  const place = await loopDisk(t, disk)
  const lab = await attackLab(t, place)
  const command = ['sh', '-c', 'echo x > /mine; attack leave-project /mine; attack leave-project /data']
  await lab.runtime.volumes.create({ name: 'data', options: { size: '5m' } })
  const limited = { command, storageOpt: { size: '20m' } }
  t.match((await lab.strong({ ...limited, privileged: true })).lines[0], /^ok/, 'root of the first user namespace can')
  t.strictSame((await lab.strong(limited)).lines.slice(0, 2), ['EOPNOTSUPP', 'EOPNOTSUPP'])
  const volume = { command, volumes: ['data:/data'] }
  t.strictSame((await lab.strong(volume)).lines, ['EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP'])
  const lenient = { defaultAction: 'SCMP_ACT_ALLOW' } as const
  t.strictSame((await lab.strong({ ...volume, seccomp: lenient })).lines.slice(2), ['EOPNOTSUPP', 'EOPNOTSUPP'])
}

async function holdersOf(root: string, table: string): Promise<Map<string, number>> {
  const database = await Database.open(join(root, 'database'))
  try {
    return new Map(database.table<number>(table).entries())
  } finally {
    await database.close()
  }
}
