/** Volumes of a CSI driver: a real one, which is a process of its own and really mounts. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
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
      expands: true,
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

  t.test('topology', async (t) => {
    await t.rejects(
      volumes.create({ name: 'far', driver: 'csi', options: { endpoint, 'parameter.zone': 'b' } }),
      { code: 'VOLUME_FAILED', message: /reached from zone=b alone/ },
      'one that this node does not reach',
    )
    t.strictSame((await calls()).slice(-2), ['CreateVolume', 'DeleteVolume'], 'is not kept')
    await volumes.create({ name: 'near', driver: 'csi', options: { endpoint, 'parameter.zone': 'a' } })
    await volumes.remove('near')
  })

  t.test('expansion', async (t) => {
    const options = { endpoint, capacity: '2m', 'parameter.medium': 'memory' }
    const service = volumes.csi(endpoint)
    const size = 'df -k /data | tail -1'
    await volumes.create({ name: 'grows', driver: 'csi', options })
    await calls()
    {
      await using container = await runtime.run({
        image,
        volumes: ['grows:/data'],
        network: 'none',
        command: ['sleep', '1000'],
      })
      t.match((await container.exec(['sh', '-c', size])).stdout, / 2048 /)
      await calls()
      t.equal(await service.expand({ volume: 'grows', capacity: '3m' }), 3 * 2 ** 20)
      t.strictSame(await calls(), ['ControllerExpandVolume', 'NodeExpandVolume'])
      t.match((await container.exec(['sh', '-c', size])).stdout, / 3072 /, 'while it is in use')
    }
    await calls()
    t.equal(await service.expand({ volume: 'grows', capacity: 4 * 2 ** 20 }), 4 * 2 ** 20)
    t.strictSame(await calls(), ['ControllerExpandVolume'])
    const next = await Runtime.open({ root })
    await next.close()
    t.match(await output({ volumes: ['grows:/data'] }, size), / 4096 /, 'the next use does what is left of it')
    t.strictSame((await calls()).slice(0, 4), [
      'ControllerPublishVolume',
      'NodeStageVolume',
      'NodePublishVolume',
      'NodeExpandVolume',
    ])
    t.notMatch(await output({ volumes: ['grows:/data'] }, 'true'), /NodeExpand/)
    t.notOk((await calls()).includes('NodeExpandVolume'), 'once')
    await t.rejects(service.expand({ volume: 'grows', capacity: 'lots' }), {
      code: 'INVALID_OPTION',
      message: /capacity/,
    })
    await t.rejects(service.expand({ volume: 'nothing', capacity: 1 }), { code: 'VOLUME_NOT_FOUND' })
    await t.rejects(volumes.csi('/elsewhere').expand({ volume: 'grows', capacity: 1 }), {
      code: 'INVALID_OPTION',
      message: /not at \/elsewhere/,
    })
    await volumes.remove('grows')

    const offline = join(directory, 'offline.sock')
    const other = await startDriver(offline, 'online')
    t.teardown(() => other.end())
    await volumes.create({ name: 'grows', driver: 'csi', options: { ...options, endpoint: offline } })
    {
      await using _ = await runtime.run({
        image,
        volumes: ['grows:/data'],
        network: 'none',
        command: ['sleep', '1000'],
      })
      await t.rejects(volumes.csi(offline).expand({ volume: 'grows', capacity: '3m' }), { code: 'VOLUME_IN_USE' })
    }
    await volumes.remove('grows')
  })

  t.test('secrets', async (t) => {
    const token = 'hush-hush-7f3a'
    const wanted = {
      CreateVolume: 'create',
      DeleteVolume: 'delete',
      ControllerPublishVolume: 'controllerPublish',
      ControllerUnpublishVolume: 'controllerPublish',
      NodeStageVolume: 'nodeStage',
      NodePublishVolume: 'nodePublish',
      ControllerExpandVolume: 'controllerExpand',
      NodeExpandVolume: 'nodeExpand',
    }
    const tokens = Object.fromEntries(Object.entries(wanted).map(([call, use]) => [call, `${token}-${use}`]))
    const secrets = Object.fromEntries(
      Object.values(wanted).map((use) => [use, { user: token, token: `${token}-${use}` }]),
    )
    const options = { endpoint, capacity: '2m', 'parameter.medium': 'memory' }
    const noSecret = (text: string, what: string) => t.notMatch(text, token, what)
    await writeFile(join(directory, 'secrets'), JSON.stringify(tokens))
    t.teardown(() => rm(join(directory, 'secrets'), { force: true }))

    const wrong = { ...secrets, create: { user: token, token: `${token}-wrong` } }
    const failure = await volumes
      .create({ name: 'safe', driver: 'csi', options, secrets: wrong })
      .catch((error: unknown) => error)
    t.match(failure, { code: 'VOLUME_FAILED', message: /UNAUTHENTICATED: not \*\*\*, user \*\*\*/ })
    noSecret(inspect(failure, { depth: 9, showHidden: true }), 'what a driver repeats of them is not told')
    for (const [bad, message] of [
      [{ create: 'x' }, /secrets.create: must be an object of strings/],
      [{ nodestage: { token } }, /did you mean nodeStage/],
      ['x', /secrets: must be an object/],
    ] as const) {
      await t.rejects(volumes.create({ name: 'safe', driver: 'csi', options, secrets: bad as object }), {
        code: 'INVALID_OPTION',
        message,
      })
    }
    await t.rejects(volumes.create({ name: 'safe', secrets }), { code: 'INVALID_OPTION', message: /driver 'csi'/ })

    noSecret(inspect(await volumes.create({ name: 'safe', driver: 'csi', options, secrets }), { depth: 9 }), 'shown')
    t.match(await output({ volumes: ['safe:/data'] }, 'df -k /data | tail -1'), / 2048 /)
    await volumes.csi(endpoint).expand({ volume: 'safe', capacity: '3m' })
    t.equal(spawnSync('grep', ['-raF', token, root]).status, 1, 'they are nowhere below the root')

    const next = await Runtime.open({ root })
    t.teardown(() => next.close())
    const service = next.volumes.csi(endpoint)
    await calls()
    const use = () => next.run({ image, volumes: ['safe:/data'], network: 'none', command: ['true'] })
    await t.rejects(use(), { code: 'VOLUME_LOCKED', message: /unlock\('safe', secrets\)/ })
    t.strictSame(await calls(), [], 'and the driver is not bothered')
    await t.rejects(next.volumes.csi(endpoint).expand({ volume: 'safe', capacity: '4m' }), { code: 'VOLUME_LOCKED' })
    await t.rejects(service.unlock('safe', { create: { token } }), {
      code: 'INVALID_OPTION',
      message: /delete, controllerPublish/,
    })
    await service.unlock('safe', secrets)
    {
      await using container = await use()
      t.equal((await container.wait()).exitCode, 0)
    }
    await next.volumes.lock('safe')
    await t.rejects(use(), { code: 'VOLUME_LOCKED' })
    await t.rejects(next.volumes.remove('safe', { force: true }), { code: 'VOLUME_LOCKED' })
    await service.unlock('safe', secrets)
    t.equal((await calls()).at(-1), 'DeleteVolume', 'what waited for them is done')
    await t.rejects(next.volumes.get('safe'), { code: 'VOLUME_NOT_FOUND' })
  })

  t.test('a volume whose directory is gone', async (t) => {
    const before = await readdir(join(directory, 'volumes'))
    await volumes.create({ name: 'lost', driver: 'csi', options: { endpoint } })
    const id = (await readdir(join(directory, 'volumes'))).find((one) => !before.includes(one)) ?? ''
    await rm(join(root, 'volumes', 'lost'), { recursive: true })
    await volumes.remove('lost')
    await t.rejects(volumes.get('lost'), { code: 'VOLUME_NOT_FOUND' }, 'is removed all the same')
    await rm(join(directory, 'volumes', id), { recursive: true })
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
    await fails({ endpoint, accessType: 'block' }, /accessType: block volumes are not supported/)
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
    const other = await startDriver(bare, 'controller', 'stage', 'attach', 'expand', 'topology')
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
    await t.rejects(volumes.csi(bare).expand({ volume: 'bare', capacity: '1g' }), { code: 'DRIVER_UNSUPPORTED' })
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
