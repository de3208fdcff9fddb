/** The storage drivers, through the public face. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type DriverName } from 'podling'
import { nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { busyboxRootfs } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const drivers: readonly DriverName[] = ['overlay', 'fuse-overlayfs', 'vfs', 'erofs']

for (const storageDriver of drivers) {
  t.test(`${storageDriver}: containers of one image`, needs('root', 'fuse-overlayfs'), async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'podling-spec-'))
    t.teardown(() => rm(root, { recursive: true, force: true }))
    {
      await using runtime = await Runtime.open({ root, storageDriver })
      const info = await runtime.info()
      t.equal(info.storageDriver, storageDriver)
      t.match(
        info.storageDrivers.find(({ name }) => name === storageDriver),
        { works: true, reason: /\w+/ },
      )
      const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
      const [one, two] = await Promise.all(
        ['one', 'two'].map((name) => runtime.run({ image, name, command: ['sleep', '1000'], network: 'none' })),
      )
      await one!.exec(['sh', '-c', 'echo mine > /etc/mine; rm /bin/wc; mkdir /tmp/d'])
      t.equal((await one!.exec(['sh', '-c', 'cat /etc/mine; ls /bin/wc /tmp'])).stdout, 'mine\n/tmp:\nd\n')
      t.equal((await two!.exec(['sh', '-c', 'ls /etc/mine /bin/wc /tmp'])).stdout, '/bin/wc\n\n/tmp:\n')
      await one!.stop({ timeout: 0 })
      await one!.start()
      t.equal((await one!.exec(['cat', '/etc/mine'])).stdout, 'mine\n', 'what it wrote outlasts a stop')
      await t.rejects(runtime.images.remove(image), { code: 'IMAGE_IN_USE' })
      await one!.remove({ force: true })
      await two!.remove({ force: true })
      await using readOnly = await runtime.run({ image, command: ['touch', '/x'], readOnly: true, network: 'none' })
      t.equal((await readOnly.wait()).exitCode, 1)
      await readOnly.remove()
      await runtime.images.remove(image)
      t.strictSame(await readdir(join(root, 'layers')), ['tmp'])
    }
    const other = storageDriver === 'overlay' ? 'erofs' : 'overlay'
    await t.rejects(Runtime.open({ root, storageDriver: other }), {
      code: 'DRIVER_MISMATCH',
      message: new RegExp(`${root} was made with the driver '${storageDriver}'`),
    })
    {
      await using again = await Runtime.open({ root })
      t.equal((await again.info()).storageDriver, storageDriver, 'a root keeps its driver')
    }
    t.strictSame(await settledLeftovers(root, root), nothing)
  })
}

t.test(
  'a root whose path is longer than the kernel takes as an option of a mount',
  needs('root', 'fuse-overlayfs'),
  async (t) => {
    const [top, runRoot] = [
      await mkdtemp(join(tmpdir(), 'podling-spec-')),
      await mkdtemp(join(tmpdir(), 'podling-spec-')),
    ]
    t.teardown(() => Promise.all([top, runRoot].map((path) => rm(path, { recursive: true, force: true }))))
    for (const storageDriver of drivers) {
      const root = join(top, 'long'.repeat(60), 'and longer '.repeat(10), storageDriver)
      await using runtime = await Runtime.open({ root, runRoot: join(runRoot, storageDriver), storageDriver })
      const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
      await using container = await runtime.run({
        image,
        command: ['sh', '-c', 'echo x > /x; cat /x /etc/group'],
        network: 'none',
      })
      t.equal((await container.wait()).exitCode, 0, storageDriver)
    }
  },
)

t.test('what it is when nobody says', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'podling-spec-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  await using runtime = await Runtime.open({ root, storageDriver: 'auto' })
  t.equal((await runtime.info()).storageDriver, 'overlay')
})

t.test('a driver that there is not', async (t) => {
  await t.rejects(Runtime.open({ root: '/tmp/none', storageDriver: 'btrfs' as DriverName }), {
    code: 'INVALID_OPTION',
    message: /storageDriver: must be one of 'auto', 'overlay', .*, got 'btrfs'/,
  })
})

t.test('fuse-overlayfs: whatever is killed, nothing is left', needs('root', 'fuse-overlayfs'), async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'podling-spec-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  {
    await using runtime = await Runtime.open({ root, storageDriver: 'fuse-overlayfs' })
    await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
    await using container = await runtime.run({ image: 'busybox:test', command: ['sleep', '1000'], network: 'none' })
    const [server] = await processesWith('fuse-overlayfs', root)
    process.kill(server!, 'SIGKILL')
    const { exitCode } = await container.exec(['ls', '/']).catch(() => ({ exitCode: 1 }))
    t.not(exitCode, 0, 'without its server a container has no files')
    await using other = await runtime.run({ image: 'busybox:test', command: ['sleep', '1000'], network: 'none' })
    t.equal((await other.exec(['echo', 'here'])).stdout, 'here\n', 'others have theirs')
  }
  t.strictSame(await settledLeftovers(root, root), nothing)
  const script = `
    import { Runtime } from 'podling'
    const runtime = await Runtime.open({ root: ${JSON.stringify(root)} })
    await runtime.run({ image: 'busybox:test', command: ['sleep', '1000'], network: 'none' })
    console.log('runs')
    setInterval(() => undefined, 1000)`
  const host = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(host.stdout, 'data')
  t.equal((await processesWith('fuse-overlayfs', root)).length, 1)
  host.kill('SIGKILL')
  await once(host, 'exit')
  t.strictSame(await settledLeftovers(root, root), nothing)
})

/** Of this program, with this text on their command lines. */
async function processesWith(name: string, text: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((one) => /^\d+$/.test(one))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.split('\0')[0]?.endsWith(`/${name}`) && command.includes(text)) found.push(Number(pid))
  }
  return found
}
