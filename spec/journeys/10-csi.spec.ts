/** Volumes of a CSI driver: a real one, which is a process of its own and really mounts. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { startHost } from '../fixtures/host.js'
import { within } from '../fixtures/leftovers.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const program = fileURLToPath(new URL('../fixtures/csi-server.js', import.meta.url))

t.test('CSI', needs('root', 'busybox'), async (t) => {
  const { runtime, root, image, ...setup } = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { volumes } = runtime
  const directory = await mkdtemp(join(tmpdir(), 'podling-csi-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const endpoint = join(directory, 'csi.sock')
  const running = new Set<ChildProcess>()

  /** Start the driver, without what it is not to be able to do. */
  async function startDriver(socket = endpoint, ...without: readonly string[]): Promise<{ end(): Promise<void> }> {
    const child = spawn(process.execPath, [program, socket, directory, ...without], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    running.add(child)
    await once(child.stdout, 'data')
    return {
      async end() {
        running.delete(child)
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      },
    }
  }
  t.teardown(() => {
    for (const child of running) child.kill('SIGKILL')
  })

  /** The calls since the last time, without questions. */
  async function calls(): Promise<string[]> {
    const lines = (await readFile(join(directory, 'calls'), 'utf8')).split('\n').filter(Boolean)
    await writeFile(join(directory, 'calls'), '')
    return lines.filter((line) => !/^(Probe|.*Get(PluginInfo|.*Capabilities|Info))$/.test(line))
  }

  const csiMounts = () =>
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${root}/volumes`))

  async function output(options: Partial<ContainerOptions>, script: string): Promise<string> {
    await using container = await runtime.run({ image, network: 'none', ...options, command: ['sh', '-c', script] })
    const { exitCode } = await container.wait()
    const lines: string[] = []
    for await (const { text } of container.logs()) lines.push(text)
    return [...lines, ...(exitCode === 0 ? [] : [`exit code ${String(exitCode)}`])].join('\n')
  }

  const driver = await startDriver()
  t.teardown(() => driver.end())

  t.test('what it is', async (t) => {
    const service = volumes.csi(`unix://${endpoint}`)
    t.strictSame(await service.info(), {
      name: 'podling.spec',
      version: '1.0',
      creates: true,
      capacity: true,
      snapshots: true,
    })
    t.equal(await service.capacity(), 2 ** 30)
  })

  t.test('create, stage, publish, and back', async (t) => {
    await calls()
    const options = { endpoint, capacity: '10m', 'parameter.colour': 'blue' }
    t.match(await volumes.create({ name: 'cloud', driver: 'csi', options }), {
      driver: 'csi',
      options,
      path: undefined,
    })
    t.strictSame(await calls(), ['CreateVolume'])
    await using container = await runtime.run({
      image,
      volumes: ['cloud:/data'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.strictSame(await calls(), ['ControllerPublishVolume', 'NodeStageVolume', 'NodePublishVolume'])
    t.equal(csiMounts().length, 2, 'staged and published')
    t.equal((await container.exec(['sh', '-c', 'echo x >/data/file; cat /data/file'])).stdout, 'x\n')
    await using second = await runtime.run({
      image,
      volumes: ['cloud:/other'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.equal((await second.exec(['cat', '/other/file'])).stdout, 'x\n')
    t.strictSame(
      await calls(),
      ['NodeStageVolume', 'NodePublishVolume'],
      'staging again is no harm, by the specification',
    )
    await container.kill()
    await container.wait()
    t.strictSame(await calls(), ['NodeUnpublishVolume'], 'unpublished as soon as it has ended')
    await second.remove({ force: true })
    t.strictSame(await calls(), ['NodeUnpublishVolume', 'NodeUnstageVolume', 'ControllerUnpublishVolume'])
    t.strictSame(csiMounts(), [])
    t.equal(await output({ volumes: ['cloud:/data:ro'] }, 'cat /data/file'), 'x')
    await calls()
  })

  t.test('read while it does not run', async (t) => {
    await using container = await runtime.containers.create({ image, volumes: ['cloud:/data'], command: ['true'] })
    const tar = await buffer(await container.copyFrom('/data/file'))
    t.ok(tar.includes('file') && tar.includes('x\n'), 'the file is in it')
    // The stream's end is told before all is taken down.
    const left = await within(
      10_000,
      () => Promise.resolve(csiMounts()),
      (mounts) => mounts.length === 0,
    )
    t.strictSame(left, [])
    await calls()
  })

  t.test('its first use, and memory', async (t) => {
    const tar = await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', uid: 7 },
        { name: 'data/file', content: 'of the image\n' },
      ],
    })
    const own = await runtime.images.import(tar, { ref: 'with-data:1' })
    await volumes.create({
      name: 'memory',
      driver: 'csi',
      options: { endpoint, capacity: '2m', 'parameter.medium': 'memory' },
    })
    t.match(
      await output(
        { image: own, volumes: ['memory:/data'] },
        'cat /data/file; stat -c %u /data; df -k /data | tail -1',
      ),
      /^of the image\n7\n.* 2048 /,
    )
    await volumes.remove('memory')
    t.strictSame(csiMounts(), [])
  })

  t.test('snapshots', async (t) => {
    const service = volumes.csi(endpoint)
    const snapshot = await service.createSnapshot({ volume: 'cloud', name: 'monday' })
    t.match(snapshot, { id: 'snapshot-monday', size: 4096, ready: true, createdAt: new Date(1_700_000_000_000) })
    await output({ volumes: ['cloud:/data'] }, 'echo changed >/data/file')
    await volumes.create({ name: 'again', driver: 'csi', options: { endpoint, snapshot: snapshot.id } })
    t.equal(await output({ volumes: ['again:/data'] }, 'cat /data/file'), 'x')
    await service.deleteSnapshot(snapshot.id)
    await service.deleteSnapshot(snapshot.id)
    t.strictSame(await readdir(join(directory, 'snapshots')), [])
    await volumes.remove('again')
    await t.rejects(service.createSnapshot({ volume: 'nothing', name: 'x' }), { code: 'VOLUME_NOT_FOUND' })
  })

  t.test('a driver that fails', async (t) => {
    const fail = (call: string) => writeFile(join(directory, 'fail'), call)
    for (const call of ['ControllerPublishVolume', 'NodeStageVolume', 'NodePublishVolume']) {
      await fail(call)
      await calls()
      await t.rejects(output({ volumes: ['cloud:/data'] }, 'true'), {
        code: 'VOLUME_FAILED',
        message: new RegExp(`${call}: INTERNAL: as the test wants it: über`),
      })
      await fail('')
      t.strictSame(csiMounts(), [], `nothing stays mounted after ${call}`)
      t.equal((await calls()).at(-1), 'ControllerUnpublishVolume')
    }
    await fail('CreateVolume')
    await t.rejects(volumes.create({ name: 'broken', driver: 'csi', options: { endpoint } }), {
      code: /VOLUME_FAILED|TEARDOWN_FAILED/,
    })
    await fail('')
    const again = await Runtime.open({ root })
    await t.rejects(
      again.volumes.get('broken'),
      { code: 'VOLUME_NOT_FOUND' },
      'what could not be taken back at once is, at the next open',
    )
    await again.close()

    await fail('NodeUnpublishVolume')
    t.equal(
      await output({ volumes: ['cloud:/data'] }, 'cat /data/file').catch(
        (error: unknown) => (error as { code: string }).code,
      ),
      'VOLUME_FAILED',
    )
    t.equal(csiMounts().length, 2)
    await t.rejects(volumes.remove('cloud'), { code: 'VOLUME_FAILED' }, 'and it is not removed with its data mounted')
    await fail('')
    const next = await Runtime.open({ root })
    await next.close()
    t.strictSame(csiMounts(), [], 'the next open gives it back')
    const ids = await readdir(join(directory, 'volumes'))
    t.strictSame(ids, [], 'and finishes the removal')
  })

  t.test('mistakes', async (t) => {
    const fails = (options: Readonly<Record<string, string>>, message: RegExp, code = 'INVALID_OPTION') =>
      t.rejects(volumes.create({ name: 'wrong', driver: 'csi', options }), { code, message })
    await fails({}, /endpoint/)
    await fails({ endpoint: 'relative' }, /endpoint/)
    await fails({ endpoint, capacity: 'lots' }, /capacity/)
    await fails({ endpoint, accessMode: 'all' }, /single-node-writer/)
    await fails({ endpoint, capacty: '1m' }, /did you mean capacity/)
    await fails({ endpoint, colour: 'x' }, /begin with 'parameter\.'/)
    await fails({ endpoint, volumeId: 'x', capacity: '1m' }, /leave out/)
    await fails({ endpoint, capacity: '9g' }, /OUT_OF_RANGE/, 'DISK_FULL')
    await fails({ endpoint, snapshot: 'none' }, /NOT_FOUND/, 'VOLUME_FAILED')
    await fails({ endpoint: join(directory, 'nobody.sock') }, /see that the driver runs/, 'VOLUME_FAILED')
    const rubbish = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 200 OK\r\n\r\nrubbish'))
    t.teardown(() => rubbish.close())
    await new Promise<void>((resolve) => rubbish.listen(join(directory, 'rubbish.sock'), resolve))
    await fails({ endpoint: join(directory, 'rubbish.sock') }, /Probe: UNAVAILABLE/, 'VOLUME_FAILED')
    await t.rejects(volumes.get('wrong'), { code: 'VOLUME_NOT_FOUND' })
  })

  t.test('a driver without a controller, without staging', async (t) => {
    const bare = join(directory, 'bare.sock')
    const other = await startDriver(bare, 'controller', 'stage', 'attach')
    t.teardown(() => other.end())
    await t.rejects(volumes.create({ name: 'bare', driver: 'csi', options: { endpoint: bare } }), {
      code: 'INVALID_OPTION',
      message: /volumeId/,
    })
    await t.rejects(volumes.csi(bare).capacity(), { code: 'DRIVER_UNSUPPORTED' })
    await t.rejects(volumes.csi(bare).deleteSnapshot('x'), { code: 'DRIVER_UNSUPPORTED' })
    await mkdir(join(directory, 'volumes', 'given'))
    await writeFile(join(directory, 'volumes', 'given', 'file'), 'was there\n')
    await volumes.create({
      name: 'bare',
      driver: 'csi',
      options: { endpoint: bare, volumeId: 'given', accessMode: 'multi-node-reader-only' },
    })
    await calls()
    t.match(await output({ volumes: ['bare:/data'] }, 'cat /data/file; touch /data/x'), /was there\n.*Read-only/)
    t.strictSame(await calls(), ['NodePublishVolume', 'NodeUnpublishVolume'])
    await volumes.remove('bare')
    t.strictSame(await calls(), [], 'what was given is not deleted')
    t.strictSame(await readdir(join(directory, 'volumes')), ['given'])
  })

  t.test('a host that is killed, and the driver too', async (t) => {
    await volumes.create({ name: 'cloud', driver: 'csi', options: { endpoint } })
    const host = startHost(root, 'csi')
    await host.saw('running')
    t.equal(csiMounts().length, 2)
    await host.end('SIGKILL')
    await driver.end()
    const without = await Runtime.open({ root })
    t.equal(without.recovered.containers.length, 1, 'the root opens without the driver')
    await without.close()
    t.equal(csiMounts().length, 2, 'which alone can unmount')
    const back = await startDriver()
    t.teardown(() => back.end())
    const next = await Runtime.open({ root })
    t.strictSame(csiMounts(), [])
    await next.volumes.remove('cloud')
    await next.close()
    const left = await within(
      5000,
      () => readdir(join(directory, 'volumes')),
      (ids) => ids.length === 1,
    )
    t.strictSame(left, ['given'])
  })

  t.test('a driver that dies in a call', async (t) => {
    for (const call of ['CreateVolume', 'NodeStageVolume', 'NodePublishVolume', 'NodeUnpublishVolume']) {
      const socket = join(directory, 'mortal.sock')
      const mortal = await startDriver(socket)
      if (call !== 'CreateVolume')
        await volumes.create({ name: 'mortal', driver: 'csi', options: { endpoint: socket } })
      await writeFile(join(directory, 'die'), call)
      const failure = await (
        call === 'CreateVolume'
          ? volumes.create({ name: 'mortal', driver: 'csi', options: { endpoint: socket } })
          : output({ volumes: ['mortal:/data'] }, 'true')
      ).catch((error: unknown) => error)
      t.match(failure, { code: /VOLUME_FAILED|TEARDOWN_FAILED/ }, call)
      await writeFile(join(directory, 'die'), '')
      await mortal.end()
      const reborn = await startDriver(socket)
      const next = await Runtime.open({ root })
      t.strictSame(csiMounts(), [], `nothing stays mounted after ${call}`)
      if (call !== 'CreateVolume') await next.volumes.remove('mortal')
      t.strictSame(await next.volumes.list(), [])
      await next.close()
      t.strictSame(await readdir(join(directory, 'volumes')), ['given'], 'nor in the driver')
      await reborn.end()
    }
  })

  t.test('nothing is left of all this', async (t) => {
    await runtime.close()
    t.strictSame(csiMounts(), [])
    t.strictSame(
      (await readdir(join(root, 'volumes'))).filter((name) => name !== '.removed'),
      [],
    )
  })
})
