/** Files into and out of containers, what they changed, and images of that. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { PodlingError, type Container, type ErrorCode } from 'podling'
import t, { type Test } from 'tap'
import { extract, pack, type Header } from 'tar-stream'
import { temporaryDirectory } from '../fixtures/directory.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const run = promisify(execFile)

/** The names in a tar, with what its headers say. */
async function entriesOf(stream: Readable): Promise<Map<string, Header & { content: string }>> {
  const tar = extract()
  stream.pipe(tar)
  stream.once('error', (error) => {
    tar.destroy(error)
  })
  const found = new Map<string, Header & { content: string }>()
  for await (const entry of tar) {
    found.set(entry.header.name, { ...entry.header, content: (await buffer(entry)).toString() })
  }
  return found
}

function tarOf(
  ...entries: readonly (Partial<Header> & { readonly name: string; readonly content?: string })[]
): Readable {
  const tar = pack()
  for (const { content, ...header } of entries) {
    if (content === undefined) tar.entry(header)
    else tar.entry(header, content)
  }
  tar.finalize()
  return Readable.from(tar)
}

async function fails(t: Test, work: () => Promise<unknown>, code: ErrorCode, message?: RegExp): Promise<void> {
  const error: unknown = await work().then(
    () => undefined,
    (caught: unknown) => caught,
  )
  t.ok(error instanceof PodlingError, String(error))
  t.equal((error as PodlingError).code, code, (error as PodlingError).message)
  if (message) t.match((error as PodlingError).message, message)
}

const sh = async (container: Container, line: string): Promise<string> =>
  (await container.exec(['sh', '-c', line])).stdout

t.test('a runtime that is closed', needs('root', 'busybox'), async (t) => {
  const world = await testRuntime()
  const { runtime, image } = world
  const detached = await runtime.containers.create({ image, command: ['true'], network: 'none', detach: true })
  const mounted = await runtime.images.mount(image)
  const stream = await detached.export()
  const failed = new Promise<unknown>((resolve) => stream.once('error', resolve))
  await runtime.close()
  t.match(await failed, { code: 'INVALID_STATE', message: /runtime was closed/ })
  t.match(await readFile(`${mounted.path}/etc/passwd`).catch(String), /ENOENT/, 'images are unmounted')
  await mounted.unmount()
  await world[Symbol.asyncDispose]()
})

t.test('copies', needs('root', 'busybox'), async (t) => {
  await using world = await testRuntime()
  const { runtime, image } = world
  const host = await temporaryDirectory(t)
  const sleep = ['sleep', '1000']
  await using running = await runtime.run({ image, command: sleep, network: 'none', tmpfs: ['/scratch'] })
  await using created = await runtime.containers.create({ image, command: sleep, network: 'none' })
  await using ended = await runtime.run({ image, command: ['sh', '-c', 'echo was >/was'], network: 'none' })
  await ended.wait()

  for (const [state, container] of Object.entries({ running, created, ended })) {
    await t.test(`into and out of one that is ${state}`, async (t) => {
      await container.copyTo(
        tarOf(
          { name: 'given/', type: 'directory', mode: 0o750, uid: 1000, gid: 50 },
          { name: 'given/file', mode: 0o4755, uid: 1000, mtime: new Date(5000), content: 'hello' },
          { name: 'given/link', type: 'symlink', linkname: '/etc/passwd' },
          { name: 'given/again', type: 'link', linkname: 'given/file' },
          { name: 'given/.wh.plain', content: 'no whiteout' },
          { name: 'etc/new', content: 'beside what is there' },
        ),
        '/',
      )
      const entries = await entriesOf(await container.copyFrom('/given'))
      t.same([...entries.keys()], ['given/', 'given/.wh.plain', 'given/again', 'given/file', 'given/link'])
      t.match(entries.get('given/'), { type: 'directory', mode: 0o750, uid: 1000, gid: 50 })
      t.match(entries.get('given/again'), {
        type: 'file',
        mode: 0o4755,
        uid: 1000,
        mtime: new Date(5000),
        content: 'hello',
      })
      t.match(entries.get('given/file'), { type: 'link', linkname: 'given/again' })
      t.match(entries.get('given/link'), { type: 'symlink', linkname: '/etc/passwd' })
      t.ok(
        (await entriesOf(await container.copyFrom('etc/.'))).has('passwd'),
        'a directory that was there keeps its own',
      )
      const followed = await entriesOf(await container.copyFrom('/given/link', { follow: true }))
      t.match(followed.get('link')?.content, /^root:x:0/)
    })
  }
  t.match(await sh(running, 'cat /given/file /etc/new; ls -l /given/file'), /^hellobeside.*-rwsr-xr-x/s)
  t.equal((await entriesOf(await ended.copyFrom('/was'))).get('was')?.content, 'was\n')
  await created.start()
  t.match(await sh(created, 'cat /given/file'), 'hello', 'what was put there before the start')

  await t.test('a file or directory of the host', async (t) => {
    await mkdir(join(host, 'tree/deep'), { recursive: true })
    await writeFile(join(host, 'tree/deep/file'), 'x'.repeat(1_000_000))
    await writeFile(join(host, 'one'), 'one')
    await symlink('one', join(host, 'alias'))
    await running.copyTo(join(host, 'tree'), '/tmp')
    await running.copyTo(join(host, 'alias'), '/scratch')
    t.equal(
      (await sh(running, 'wc -c </tmp/tree/deep/file; cat /scratch/alias; stat -c %u /scratch/alias')).trim(),
      '1000000\none0',
    )
    t.equal(
      (await entriesOf(await running.copyFrom('/scratch'))).get('scratch/alias')?.content,
      'one',
      'a mount is seen',
    )
    await fails(t, () => running.copyTo(join(host, 'none'), '/tmp'), 'SYSTEM_CALL_FAILED', /ENOENT/)
  })

  await t.test('sparse files, long names, devices and sockets', async (t) => {
    const long = 'n'.repeat(200)
    await sh(running, `cd /tmp; dd if=/dev/zero of=hole bs=1 count=1 seek=3000000 2>/dev/null; echo end >>hole; mkdir -p ${long}/${long}; echo deep >${long}/${long}/file; mkfifo pipe; (nc -l -s local:/tmp/sock 2>/dev/null || true)`) // prettier-ignore
    const entries = await entriesOf(await running.copyFrom('/tmp/hole'))
    t.equal(entries.get('hole')?.content.length, 3_000_005)
    t.ok(entries.get('hole')?.content.endsWith('end\n'))
    const deep = await entriesOf(await running.copyFrom(`/tmp/${long}`))
    t.equal(deep.get(`${long}/${long}/file`)?.content, 'deep\n')
    t.equal((await entriesOf(await running.copyFrom('/dev/null'))).get('null')?.type, 'character-device')
  })

  await t.test('what is not there, and what is not to be had', async (t) => {
    for (const container of [running, ended]) {
      await fails(t, () => container.copyFrom('/none'), 'PATH_NOT_FOUND', /no such file or directory/)
      await fails(t, () => container.copyTo(tarOf(), '/none'), 'PATH_NOT_FOUND', /make it first/)
      await fails(t, () => container.copyTo(tarOf(), '/etc/passwd'), 'PATH_NOT_FOUND', /not a directory/)
      await fails(t, () => container.copyFrom(''), 'INVALID_OPTION')
      await fails(t, () => container.copyTo(Readable.from([Buffer.alloc(2000, 1)]), '/tmp'), 'ARCHIVE_INVALID')
      await fails(t, () => container.copyTo(tarOf({ name: '../x', content: '' }), '/tmp'), 'ARCHIVE_INVALID')
      const broken = new Readable({ read() { this.destroy(new Error('no more')) } }) // prettier-ignore
      t.match(await container.copyTo(broken, '/tmp').catch(String), /no more/)
    }
    await fails(t, () => running.copyFrom('/proc/1/status'), 'INVALID_OPTION', /use exec/)
    t.same([...(await entriesOf(await running.copyFrom('/proc', {}).catch(() => tarOf()))).keys()], [])
    await using readOnly = await runtime.run({ image, command: sleep, network: 'none', readOnly: true })
    await fails(t, () => readOnly.copyTo(tarOf({ name: 'x', content: '' }), '/'), 'PERMISSION_DENIED', /read-only/)
  })

  await t.test('one that is paused', async (t) => {
    await running.pause()
    try {
      await running.copyTo(tarOf({ name: 'while-paused', content: 'yes' }), '/tmp')
      t.equal((await entriesOf(await running.copyFrom('/tmp/while-paused'))).get('while-paused')?.content, 'yes')
    } finally {
      await running.unpause()
    }
  })

  await t.test('a stream that nobody reads ends with a start or a removal', async (t) => {
    const container = await runtime.containers.create({ image, command: sleep, network: 'none' })
    const stream = await container.export()
    const failed = new Promise<unknown>((resolve) => stream.once('error', resolve))
    await container.start()
    t.match(await failed, { code: 'INVALID_STATE', message: /started meanwhile/ })
    const other = await container.export()
    other.on('error', () => undefined)
    await container.remove({ force: true })
    await fails(t, () => container.copyFrom('/'), 'INVALID_STATE', /removed/)
  })

  await t.test('export', async (t) => {
    const entries = await entriesOf(await running.export())
    t.ok(entries.has('bin/busybox') && entries.has('given/file'))
    t.notOk(entries.has('scratch/alias'), 'nothing that is mounted')
    t.equal(entries.get('etc/hosts')?.content ?? '', '', 'but what is beneath')
    t.notOk([...entries.keys()].some((name) => /^(proc|sys|dev)\/./.test(name)))
    const copy = await runtime.images.import(await ended.export(), { ref: 'exported' })
    await using again = await runtime.run({ image: copy, command: sleep, network: 'none' })
    t.equal(await sh(again, 'cat /was'), 'was\n')
  })
})

for (const storageDriver of ['overlay', 'erofs'] as const) {
  t.test(`changes, with ${storageDriver}`, needs('root', 'busybox', 'podman'), async (t) => {
    await using world = await testRuntime({ storageDriver })
    const { runtime, image } = world
    const line =
      'echo a >/added; echo b >>/etc/passwd; rm /etc/group; rm -r /home; mkdir /home; echo c >/home/new; ' +
      'mkdir -p /var/deep/er; chmod 700 /usr/bin; rm -r /usr/bin; ln -s busybox /bin/also'
    await using container = await runtime.run({ image, command: ['sh', '-c', line], network: 'none' })
    t.match(await container.wait(), { exitCode: 0 })
    const changes = await container.diff()
    const expected = [
    'A /added', 'C /bin', 'A /bin/also', 'C /etc', 'D /etc/group', 'C /etc/passwd', 'C /home', 'D /home/app', 'A /home/new',
    'C /usr', 'D /usr/bin', 'C /var', 'A /var/deep', 'A /var/deep/er',
  ] // prettier-ignore
    t.same(changes.map(({ kind, path }) => `${kind} ${path}`), expected) // prettier-ignore

    await t.test('as podman tells it', async (t) => {
      const directory = await mkdtemp(join(tmpdir(), 'podling-podman-'))
      t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
      const storage = [
        '--root',
        join(directory, 'root'),
        '--runroot',
        join(directory, 'run'),
        '--storage-driver',
        'vfs',
      ]
      const podman = async (...words: string[]): Promise<string> => (await run('podman', [...storage, ...words])).stdout
      const tar = join(directory, 'image.tar')
      await runtime.images.save(image, tar)
      await podman('load', '-q', '-i', tar)
      const runs = ['--runtime', 'runc', '--network', 'none', '--name', 'one']
      try {
        await podman('create', ...runs, 'busybox:test', 'sh')
        const mounted = (await podman('mount', 'one')).trim()
        await run('chroot', [mounted, '/bin/sh', '-c', line])
        const theirs = (await podman('diff', 'one')).trim().split('\n').sort()
        const runtimeDirectories = /^. \/(dev|proc|sys|run|etc\/(hosts|hostname|resolv\.conf|mtab))/
        t.same(theirs.filter((one) => !runtimeDirectories.test(one)), [...expected].sort()) // prettier-ignore
      } finally {
        await podman('rm', '--all', '--force', '--time', '0').catch(() => undefined)
      }
    })

    await t.test('commit', async (t) => {
      const made = await container.commit({
        ref: 'changed',
        author: 'me',
        message: 'all in one',
        config: { cmd: ['cat', '/added'], env: { A: '1' }, labels: { of: 'spec' } },
      })
      t.same(made.names, ['docker.io/library/changed:latest'])
      t.equal(made.layers.length, image.layers.length + 1)
      t.match(made.config, { cmd: ['cat', '/added'], labels: { of: 'spec' } })
      t.match(made.history.at(-1), { author: 'me', comment: 'all in one', createdBy: 'podling commit' })
      await using again = await runtime.run({ image: made, network: 'none' })
      t.match(await again.wait(), { exitCode: 0 })
      t.same(await again.diff(), [], 'a new container has changed nothing')
      await using other = await runtime.run({ image: made, command: ['sleep', '1000'], network: 'none' })
      t.equal(
        await sh(other, 'ls /home /etc; tail -n 1 /etc/passwd; ls -d /usr/bin /bin/also 2>&1'),
        '/etc:\nhostname\nhosts\npasswd\nresolv.conf\n\n/home:\nnew\nb\nls: /usr/bin: No such file or directory\n/bin/also\n',
      )
      await sh(other, 'echo x >/home/.wh.sneaky')
      await fails(t, () => other.commit(), 'LAYER_INVALID', /\.wh\.sneaky.*remove it first/)
      t.equal(other.status, 'running')
      t.equal(await sh(other, 'rm /home/.wh.sneaky; echo goes on'), 'goes on\n', 'it was paused and goes on')
      await fails(t, () => other.commit({ ref: 'Bad Name' }), 'INVALID_REFERENCE')
      await fails(t, () => other.commit({ config: { cmd: 'x' as unknown as string[] } }), 'INVALID_OPTION')
      await fails(t, () => other.commit({ signal: AbortSignal.abort() }), 'ABORTED')
    })

    await t.test('an image that is mounted', async (t) => {
      const mounted = await runtime.images.mount('changed')
      t.equal(await readFile(`${mounted.path}/added`, 'utf8'), 'a\n')
      t.match(await writeFile(`${mounted.path}/x`, '').catch(String), /EROFS/)
      await mounted.unmount()
      await mounted.unmount()
      t.match(await readFile(`${mounted.path}/added`, 'utf8').catch(String), /ENOENT/)
      t.same((await readdir(join(world.root, storageDriver))).filter((name) => /^[0-9a-f]{64}$/.test(name)).length, 1)
    })
  })
}
