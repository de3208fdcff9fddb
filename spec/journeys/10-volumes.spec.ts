/** Volumes: their data outlives containers, begins with what the image has, and goes when it should. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { startHost } from '../fixtures/host.js'
import { containerFiles, nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

t.test('volumes', needs('root', 'busybox'), async (t) => {
  const { runtime, root, ...setup } = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { volumes } = runtime
  const image = await runtime.images.import(
    await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', mode: 0o750, uid: 1000, gid: 50 },
        { name: 'data/file', mode: 0o640, uid: 1000, gid: 50, content: 'of the image\n' },
        { name: 'data/sub', type: 'directory', mode: 0o2775, uid: 7, gid: 8 },
        { name: 'data/sub/deep', content: 'deep\n' },
        { name: 'data/link', type: 'symlink', linkname: '/etc/passwd' },
        { name: 'linked', type: 'symlink', linkname: 'data' },
      ],
    }),
    { ref: 'with-data:1' },
  )

  /** What a script prints in a container. */
  async function output(options: Partial<ContainerOptions>, script: string): Promise<string> {
    await using container = await runtime.run({ image, ...options, network: 'none', command: ['sh', '-c', script] })
    const { exitCode } = await container.wait()
    const lines: string[] = []
    for await (const { text } of container.logs()) lines.push(text)
    return [...lines, ...(exitCode === 0 ? [] : [`exit code ${String(exitCode)}`])].join('\n')
  }

  t.test('a named volume is made, kept, and listed', async (t) => {
    t.equal(await output({ volumes: ['kept:/v'] }, 'echo one >/v/file; cat /v/file'), 'one')
    t.equal(await output({ volumes: ['kept:/elsewhere'] }, 'cat /elsewhere/file'), 'one')
    const volume = await volumes.get('kept')
    t.match(volume, { name: 'kept', driver: 'local', anonymous: false, encrypted: false, labels: {}, containers: [] })
    t.equal(await readFile(join(volume.path!, 'file'), 'utf8'), 'one\n')
    await volumes.create({ name: 'labelled', labels: { app: 'db' } })
    const names = async (filter = {}) => (await volumes.list(filter)).map(({ name }) => name)
    t.strictSame(await names(), ['kept', 'labelled'])
    t.strictSame(await names({ label: 'app=db' }), ['labelled'])
    t.strictSame(await names({ label: 'app', name: 'kept' }), [])
    await using container = await runtime.run({
      image,
      volumes: ['kept:/v'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.strictSame((await volumes.get('kept')).containers, [container.id])
    t.strictSame(await names({ dangling: true }), ['labelled'])
    t.strictSame(await names({ dangling: false }), ['kept'])
    t.match(
      container.inspect().spec.mounts?.find(({ destination }) => destination === '/v'),
      { type: 'bind', source: volume.path },
    )
    await volumes.remove('labelled')
    await t.rejects(volumes.get('labelled'), { code: 'VOLUME_NOT_FOUND' })
  })

  t.test('it begins with what the image has, owners and modes too', async (t) => {
    const look = 'cd /data; stat -c "%n %u %g %a %F" . file sub sub/deep link; cat file; readlink link'
    const expected = await output({}, look)
    t.match(expected, /^\. 1000 50 750 directory\nfile 1000 50 640 regular file\nsub 7 8 2775 directory/)
    t.equal(await output({ volumes: ['begun:/data'] }, look), expected, 'a named one')
    t.equal(await output({ volumes: ['/data'] }, look), expected, 'an anonymous one')
    t.equal(
      await output({ volumes: ['linked:/linked'] }, look.replace('/data', '/linked/')),
      expected,
      'through a link of the image',
    )
    await output({ volumes: ['begun:/data'] }, 'rm -r /data/*; echo mine >/data/file')
    t.equal(await output({ volumes: ['begun:/data'] }, 'ls /data; cat /data/file'), 'file\nmine', 'but once')
    await output({ volumes: ['begun:/data'] }, 'rm /data/file')
    t.equal(await output({ volumes: ['begun:/data'] }, 'ls /data'), '', 'also when it is empty again')
    t.equal(await output({ volumes: ['nocopy:/data:nocopy'] }, 'ls -A /data; stat -c "%u %a" /data'), '0 755')
    t.equal(
      await output({ mounts: [{ type: 'volume', source: 'nocopy2', target: '/data', noCopy: true }] }, 'ls -A /data'),
      '',
    )
    t.equal(
      await output({ volumes: ['nocopy:/data'] }, 'ls /data'),
      'file\nlink\nsub',
      'the first use that copies does',
    )
    t.equal(await output({ volumes: ['used:/x'] }, 'echo mine >/x/own'), '')
    t.equal(await output({ volumes: ['used:/data'] }, 'ls /data'), 'own', 'not over what is there')
    t.equal(await output({ volumes: ['made:/not/in/the/image'] }, 'ls -A /not/in/the/image'), '')
    const left = (await readdir(join(root, 'volumes', 'begun'))).sort()
    t.strictSame(left, ['_data'], 'nothing of the copying is left')
  })

  t.test('the first use by many at once', async (t) => {
    const uses = Array.from({ length: 6 }, () =>
      output({ volumes: ['together:/data'] }, 'cat /data/file /data/sub/deep; ls -A /data'),
    )
    for (const seen of await Promise.all(uses)) t.equal(seen, 'of the image\ndeep\nfile\nlink\nsub')
  })

  t.test('what an interrupted copy left is not taken for the image’s', async (t) => {
    await volumes.create({ name: 'torn' })
    const directory = join(root, 'volumes', 'torn')
    await mkdir(join(directory, '.podling-filling'))
    await writeFile(join(directory, '.podling-filling', 'file'), 'half of it')
    t.equal(await output({ volumes: ['torn:/data'] }, 'cat /data/file; ls /data'), 'of the image\nfile\nlink\nsub')

    await volumes.create({ name: 'moving' })
    const half = join(root, 'volumes', 'moving')
    await mkdir(join(half, '.podling-filled', 'sub'), { recursive: true })
    await writeFile(join(half, '.podling-filled', 'sub', 'deep'), 'copied\n')
    await writeFile(join(half, '_data', 'file'), 'moved\n')
    t.equal(
      await output({ volumes: ['moving:/data'] }, 'cat /data/file /data/sub/deep; ls /data'),
      'moved\ncopied\nfile\nsub',
    )
    t.strictSame(await readdir(half), ['_data'])
  })

  t.test('options: read-only, flags, a path in it', async (t) => {
    t.match(
      await output({ volumes: ['kept:/v:ro'] }, 'cat /v/file; touch /v/new'),
      /one\n.*Read-only file system.*\nexit code 1/,
    )
    t.match(await output({ volumes: ['kept:/v'] }, 'grep " /v " /proc/mounts'), /nosuid,nodev,/)
    if (!existsSync('/sys/fs/selinux/enforce'))
      t.equal(await output({ volumes: ['kept:/v:Z'] }, 'cat /v/file'), 'one', 'no SELinux')
    t.notMatch(await output({ volumes: ['kept:/v:suid,dev,noexec'] }, 'grep " /v " /proc/mounts'), /nosuid|nodev/)
    t.equal(
      await output({ mounts: [{ type: 'volume', source: 'begun2', target: '/data' }] }, 'cat /data/sub/deep'),
      'deep',
    )
    const at = (subpath: string) =>
      ({ mounts: [{ type: 'volume', source: 'begun2', target: '/part', subpath }] }) as const
    t.equal(await output(at('sub'), 'ls /part; cat /part/deep'), 'deep\ndeep')
    t.equal(await output(at('sub/deep'), 'cat /part'), 'deep', 'a file of it')
    await t.rejects(output(at('no/such'), 'true'), { code: 'MOUNT_SOURCE_NOT_FOUND', message: /begun2.*no\/such/ })
  })

  t.test('the container’s user gets it (U)', async (t) => {
    t.equal(await output({ volumes: ['owned:/data:U'], user: 'app' }, 'cd /data; stat -c "%n %u %g" . file sub/deep link; touch new && ls'),
      '. 1000 1000\nfile 1000 1000\nsub/deep 1000 1000\nlink 1000 1000\nfile\nlink\nnew\nsub') // prettier-ignore
    t.equal(await output({}, 'stat -c "%u" /etc/passwd'), '0', 'and no more than it')
  })

  t.test('ids can be mapped', async (t) => {
    const ids = [{ files: 0, seen: 1000, size: 1 }]
    await output({ volumes: ['mapped:/m'] }, 'touch /m/root; chown 5 /m/root; touch /m/zero')
    const mapped = {
      mounts: [{ type: 'volume', source: 'mapped', target: '/m', idmap: { uids: ids, gids: ids } }],
    } as const
    t.equal(
      await output({ ...mapped, user: '1000:1000' }, 'stat -c %u /m/zero /m/root; touch /m/new && stat -c %u /m/new'),
      '1000\n65534\n1000',
    )
    t.equal(await output({ volumes: ['mapped:/m'] }, 'stat -c %u /m/new'), '0', 'as it is stored')
    t.equal(await output({ volumes: ['mapped:/m:idmap=uids=0-7-1;gids=0-7-1'] }, 'stat -c %u /m/zero'), '7')
  })

  t.test('anonymous ones go with their container', async (t) => {
    const before = (await volumes.list({ anonymous: true })).length
    const container = await runtime.containers.create({
      image,
      volumes: ['/a', 'kept:/k'],
      network: 'none',
      command: ['true'],
    })
    const [volume] = await volumes.list({ anonymous: true })
    t.match(volume?.name, /^[0-9a-f]{64}$/)
    t.strictSame(volume?.containers, [container.id])
    await container.remove()
    t.equal((await volumes.list({ anonymous: true })).length, before)
    t.notOk(existsSync(volume?.path ?? ''))
    t.ok(existsSync(join(root, 'volumes/kept/_data/file')), 'a named one stays')

    const detached = { image, volumes: ['/a'], network: 'none', command: ['true'], detach: true }
    const first = await runtime.containers.create(detached)
    await first.remove()
    const [left] = await volumes.list({ anonymous: true })
    t.strictSame(left?.containers, [], 'but those of a detached one stay')
    await volumes.remove(left!.name)
    const second = await runtime.containers.create(detached)
    await second.remove({ volumes: true })
    t.strictSame(await volumes.list({ anonymous: true }), [], 'unless they are to go')

    const owner = await runtime.containers.create({ image, volumes: ['/a'], network: 'none', command: ['true'] })
    const [shared] = await volumes.list({ anonymous: true })
    await using other = await runtime.containers.create({
      image,
      volumes: [`${shared!.name}:/a`],
      network: 'none',
      command: ['true'],
    })
    await owner.remove()
    t.strictSame(
      (await volumes.get(shared!.name)).containers,
      [other.id],
      'one that another container uses stays with that',
    )
  })

  t.test('what the image says is a volume', async (t) => {
    const config = { cmd: ['true'], volumes: ['/data', '/more/', '/data/sub'] }
    const tar = await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', uid: 9 },
        { name: 'data/file', content: 'x' },
      ],
    })
    const own = await runtime.images.import(tar, { ref: 'volumes:1', config })
    await using container = await runtime.containers.create({ image: own, volumes: ['mine:/more'] })
    t.equal((await volumes.list({ anonymous: true, dangling: false })).length, 2)
    t.strictSame((await volumes.get('mine')).containers, [container.id])
    t.equal(
      await output({ image: own }, 'stat -c %u /data; ls /data; grep -c " /data\\| /more" /proc/mounts'),
      '9\nfile\nsub\n3',
    )
    const hostile = await runtime.images.import(await busyboxRootfs(), {
      ref: 'volumes:2',
      config: { cmd: ['true'], volumes: ['/proc/sys'] },
    })
    await t.rejects(runtime.run({ image: hostile }), { code: 'IMAGE_INVALID', message: /\/proc\/sys/ })
  })

  t.test('images can be mounted', async (t) => {
    const mounts = [{ type: 'image', source: 'with-data:1', target: '/other' }] as const
    const busybox = { image: 'busybox:test' }
    t.equal(
      await output({ ...busybox, mounts }, 'cat /other/data/file; ls /other/bin/sh; ls /data 2>&1 | wc -l'),
      'of the image\n/other/bin/sh\n1',
    )
    t.match(await output({ ...busybox, mounts }, 'touch /other/x'), /Read-only/)
    const part = [{ ...mounts[0], subpath: 'data/sub', readOnly: false }]
    t.equal(await output({ ...busybox, mounts: part }, 'touch /other/x; ls /other'), 'deep\nx')
    t.equal(await output({ ...busybox, mounts: part }, 'ls /other'), 'deep', 'what is written goes with the container')
    const two = [...mounts, { type: 'image', source: 'busybox:test', target: '/third' }] as const
    t.equal(
      await output({ ...busybox, mounts: two }, 'ls -d /other/data /third/home /home'),
      '/home\n/other/data\n/third/home',
    )
    t.match(
      await output({ ...busybox, mounts: [{ ...mounts[0], subpath: 'linked' }] }, 'ls /other'),
      /^file\nlink\nsub$/,
    )
    await t.rejects(output({ mounts: [{ ...mounts[0], subpath: 'nothing' }] }, 'true'), { message: /nothing/ })
    await t.rejects(output({ mounts: [{ ...mounts[0], source: 'nosuch:1' }] }, 'true'), { code: 'IMAGE_NOT_FOUND' })
    const user = await runtime.containers.create({ ...busybox, mounts, network: 'none', command: ['true'] })
    await t.rejects(runtime.images.remove('with-data:1'), { code: 'IMAGE_IN_USE' })
    const other = await Runtime.open({ root })
    await other.close()
    await user.start()
    t.equal((await user.wait()).exitCode, 0, 'what it has mounted is no leftover to others')
    await user.remove()
  })

  t.test('mistakes', async (t) => {
    await t.rejects(volumes.create({ name: 'kept' }), { code: 'VOLUME_EXISTS' })
    for (const name of ['a/b', '../a', '', '.hidden', 'ü', 'x'.repeat(256)]) {
      await t.rejects(volumes.create({ name }), { code: 'INVALID_OPTION' }, name)
      await t.rejects(volumes.get(name), { code: 'VOLUME_NOT_FOUND' })
      if (name !== '')
        await t.rejects(runtime.run({ image, volumes: [`${name}:/v`] }), {
          code: 'INVALID_OPTION',
          message: /volumes\[0\]/,
        })
      await t.rejects(runtime.run({ image, mounts: [{ type: 'volume', source: name, target: '/v' }] }), {
        code: 'INVALID_OPTION',
      })
    }
    await t.rejects(volumes.create({ name: 'x', driver: 'locla' }), {
      code: 'VOLUME_DRIVER_NOT_FOUND',
      message: /did you mean local/,
    })
    await t.rejects(volumes.create({ nam: 'x' } as object), { code: 'INVALID_OPTION', message: /did you mean name/ })
    await t.rejects(volumes.get('kep'), { code: 'VOLUME_NOT_FOUND', message: /did you mean kept/ })
    await t.rejects(volumes.remove('nothing'), { code: 'VOLUME_NOT_FOUND' })
    await using container = await runtime.run({
      image,
      volumes: ['kept:/v'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    await t.rejects(volumes.remove('kept'), { code: 'VOLUME_IN_USE', message: new RegExp(container.id.slice(0, 12)) })
    await volumes.remove('kept', { force: true })
    t.equal(container.status, 'removed', 'force removes the containers')
    await t.rejects(runtime.run({ image, volumes: ['/host:/v:nocopy'] }), {
      code: 'INVALID_OPTION',
      message: /for volumes/,
    })
    await t.rejects(runtime.run({ image, volumes: ['v:/v:idmap=uids=0-0-0;gids=0-0-1'] }), {
      code: 'INVALID_OPTION',
      message: /idmap/,
    })
    await t.rejects(runtime.run({ image, network: 'none', command: ['true'], volumes: ['v:/etc/passwd'] }), {
      code: 'INVALID_OPTION',
      message: /directory/,
    })
    t.strictSame(
      (await readdir(join(root, 'volumes'))).filter((name) => name.length === 64),
      [],
    )
  })

  t.test('a driver of one’s own', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'podling-driver-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const calls: string[] = []
    const own = await Runtime.open({
      root,
      volumeDrivers: {
        mine: {
          create: async ({ name, options }) => {
            if (options['fail'] !== undefined) throw new Error('it can’t be')
            calls.push(`create ${name}`)
            await mkdir(join(directory, name))
          },
          remove: async ({ name }) => {
            calls.push(`remove ${name}`)
            await rm(join(directory, name), { recursive: true, force: true })
          },
          mount: ({ name }) => Promise.resolve({ path: join(directory, name) }),
        },
      },
    })
    t.teardown(() => own.close())
    await own.volumes.create({ name: 'special', driver: 'mine' })
    await using container = await own.run({
      image,
      volumes: ['special:/data'],
      network: 'none',
      command: ['cat', '/data/file'],
    })
    t.equal((await container.wait()).exitCode, 0)
    t.strictSame((await readdir(join(directory, 'special'))).sort(), ['file', 'link', 'sub'])
    await t.rejects(
      runtime.run({ image, volumes: ['special:/data'], network: 'none', command: ['true'] }),
      { code: 'VOLUME_DRIVER_NOT_FOUND' },
      'which another process needs too',
    )
    await own.volumes.remove('special', { force: true })
    await t.rejects(
      own.volumes.create({ name: 'broken', driver: 'mine', options: { fail: '' } }),
      /create volume broken/,
    )
    await t.rejects(own.volumes.get('broken'), { code: 'VOLUME_NOT_FOUND' })
    t.strictSame(calls, ['create special', 'remove special', 'remove broken'])
    t.strictSame(await readdir(directory), [])
  })

  t.test('propagation of the mounts below a bind', async (t) => {
    const host = await mkdtemp(join(tmpdir(), 'podling-peers-'))
    execFileSync('mount', ['-t', 'tmpfs', 'podling-peers', host])
    execFileSync('mount', ['--make-shared', host])
    t.teardown(async () => {
      execFileSync('umount', ['-R', '-l', host])
      await rm(host, { recursive: true })
    })
    for (const name of ['before', 'later', 'inner']) await mkdir(join(host, name))
    const propagation = async (kind: 'private' | 'slave' | 'shared') => {
      await using container = await runtime.run({
        image,
        mounts: [{ type: 'bind', source: host, target: '/peers', propagation: kind }],
        network: 'none',
        command: ['sleep', '1000'],
        privileged: true,
      })
      execFileSync('mount', ['-t', 'tmpfs', 'podling-peers-later', join(host, 'later')])
      await writeFile(join(host, 'later', 'seen'), '')
      const comes = (await container.exec(['ls', '/peers/later'])).stdout === 'seen\n'
      execFileSync('umount', [join(host, 'later')])
      await container.exec(['mount', '-t', 'tmpfs', 'inner', '/peers/inner'])
      await container.exec(['touch', '/peers/inner/seen'])
      const goes = (await readdir(join(host, 'inner'))).length === 1
      await container.exec(['umount', '/peers/inner'])
      return [comes, goes]
    }
    t.strictSame(await propagation('private'), [false, false])
    t.strictSame(await propagation('slave'), [true, false])
    t.strictSame(await propagation('shared'), [true, true])
    const nested = { image, network: 'none', command: ['true'], volumes: [`${host}:/peers:shared`, '/peers/inner'] }
    await t.rejects(runtime.run(nested), { code: 'INVALID_OPTION', message: /\/peers\/inner lies in \/peers/ })
    t.equal(
      execFileSync('grep', ['-c', host, '/proc/self/mounts']).toString(),
      '1\n',
      'nothing else is mounted on the host',
    )
  })

  t.test('a path of the host can be given owners too, and links in it are not followed', async (t) => {
    const host = await mkdtemp(join(tmpdir(), 'podling-bind-'))
    t.teardown(() => rm(host, { recursive: true }))
    await mkdir(join(host, 'given'))
    await writeFile(join(host, 'outside'), '')
    await symlink('../outside', join(host, 'given', 'link'))
    await output({ volumes: [`${join(host, 'given')}:/b:U`], user: '1000:50' }, 'true')
    const { uid, gid } = await stat(join(host, 'given'))
    t.strictSame([uid, gid], [1000, 50])
    t.equal((await stat(join(host, 'outside'))).uid, 0)
  })

  t.test('a host that is killed leaves no anonymous volume', async (t) => {
    await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test', config: { volumes: ['/data'] } })
    const host = startHost(root, 'run')
    await host.saw('running')
    t.equal((await volumes.list({ anonymous: true })).length, 1)
    await host.end('SIGKILL')
    const next = await Runtime.open({ root })
    t.equal(next.recovered.containers.length, 1)
    t.strictSame(await next.volumes.list({ anonymous: true }), [])
    t.strictSame(
      (await readdir(join(root, 'volumes'))).filter((name) => name.length === 64),
      [],
    )
    await next.close()
  })

  t.test('nothing is left of all this but named volumes', async (t) => {
    await runtime.close()
    t.strictSame(await settledLeftovers(root, 'podling-no-marker'), nothing)
    t.strictSame(await containerFiles(root), [])
  })
})
