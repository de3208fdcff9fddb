/** Volumes that are more than a directory: mounted for their users alone, encrypted, gone with their users. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { startHost } from '../fixtures/host.js'
import { nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const KEY = 'correct horse battery staple'
const SECRET = 'the quick brown fox jumps over the lazy dog'

t.test('kinds of volumes', needs('root', 'busybox', 'gocryptfs', 'e2fsprogs'), async (t) => {
  const { runtime, root, image, ...setup } = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { volumes } = runtime
  /** Mounts of the host that have to do with this root; other programs mount what they like. */
  const hostMounts = () =>
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(root))
  const withData = await runtime.images.import(
    await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', mode: 0o750, uid: 1000, gid: 50 },
        { name: `data/${SECRET.slice(0, 15)}`, mode: 0o640, uid: 7, content: `${SECRET}\n` },
      ],
    }),
    { ref: 'with-data:1' },
  )

  async function output(options: Partial<ContainerOptions>, script: string, on = runtime): Promise<string> {
    await using container = await on.run({
      image: 'busybox:test',
      ...options,
      network: 'none',
      command: ['sh', '-c', script],
    })
    const { exitCode } = await container.wait()
    const lines: string[] = []
    for await (const { text } of container.logs()) lines.push(text)
    return [...lines, ...(exitCode === 0 ? [] : [`exit code ${String(exitCode)}`])].join('\n')
  }

  /** Keepers of this root, and the servers that they run. */
  function keepers(): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        return words.includes(root) && /\0keep\0|gocryptfs\0/.test(words)
      } catch {
        return false
      }
    })
  }
  const noKeepers = () =>
    within(
      10_000,
      () => Promise.resolve(keepers()),
      (found) => found.length === 0,
    )

  t.test('a tmpfs is shared by its containers, and empty for the next', async (t) => {
    const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=1770,nosuid' }
    await volumes.create({ name: 'fast', options })
    t.match(await volumes.get('fast'), { options, path: undefined })
    await using one = await runtime.run({ image, volumes: ['fast:/fast'], network: 'none', command: ['sleep', '1000'] })
    await using two = await runtime.run({
      image,
      volumes: ['fast:/other'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    await one.exec(['sh', '-c', 'echo shared >/fast/file'])
    t.equal((await two.exec(['cat', '/other/file'])).stdout, 'shared\n')
    t.match((await two.exec(['df', '-k', '/other'])).stdout, / 1024 /)
    t.equal(keepers().length, 1, 'one keeper for both')
    await one.remove({ force: true })
    t.equal((await two.exec(['cat', '/other/file'])).stdout, 'shared\n', 'it stays for the other')
    await two.remove({ force: true })
    t.strictSame(await noKeepers(), [])
    t.equal(await output({ volumes: ['fast:/fast'] }, 'ls /fast'), '')
    t.equal(
      await output({ image: withData, volumes: ['fast:/data'] }, `cat /data/*; stat -c %u /data/*`),
      `${SECRET}\n7`,
    )
  })

  t.test('a bind, and a directory with an owner', async (t) => {
    const host = t.testdir({ file: 'of the host\n' })
    await volumes.create({ name: 'bound', options: { type: 'none', o: 'bind,ro', device: host } })
    t.match(await output({ volumes: ['bound:/v'] }, 'cat /v/file; touch /v/x'), /of the host\n.*Read-only/)
    t.equal((await volumes.get('bound')).path, host)
    await volumes.remove('bound')
    t.ok(existsSync(join(host, 'file')), 'what was bound stays')
    await volumes.create({ name: 'absent', options: { o: 'bind', device: join(host, 'nothing') } })
    await t.rejects(output({ volumes: ['absent:/v'] }, 'true'), { code: 'MOUNT_SOURCE_NOT_FOUND', message: /nothing/ })
    await volumes.create({ name: 'owned', options: { o: 'uid=1000,gid=50' } })
    t.equal(await output({ volumes: ['owned:/v'], user: 'app' }, 'touch /v/x; stat -c "%u %g" /v'), '1000 50')
  })

  t.test('a file system in a file', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'podling-ext4-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const device = join(directory, 'disk')
    await writeFile(device, '')
    await truncate(device, 16 * 1024 * 1024)
    execFileSync('mkfs.ext4', ['-q', '-F', device], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
    await volumes.create({ name: 'disk', options: { type: 'ext4', device, o: 'noatime' } })
    await using one = await runtime.run({
      image: withData,
      volumes: ['disk:/data'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.match(
      (await one.exec(['ls', '/data'])).stdout,
      /lost\+found\nthe quick brown/,
      'it begins with what the image has, beside what mkfs made',
    )
    await using two = await runtime.run({ image, volumes: ['disk:/disk'], network: 'none', command: ['sleep', '1000'] })
    await one.exec(['sh', '-c', 'echo once >/data/file'])
    t.equal((await two.exec(['cat', '/disk/file'])).stdout, 'once\n', 'mounted once for both')
    t.match(
      (await two.exec(['grep', ' /disk ', '/proc/mounts'])).stdout,
      /^\/dev\/loop\d+ \/disk ext4 rw,nosuid,nodev,noatime/,
    )
    await volumes.create({ name: 'same-disk', options: { type: 'ext4', device } })
    await t.rejects(output({ volumes: ['same-disk:/v'] }, 'true'), { code: 'VOLUME_FAILED', message: /EBUSY.*mounted/ })
    await volumes.remove('same-disk')
    await one.remove({ force: true })
    await two.remove({ force: true })
    t.strictSame(await noKeepers(), [])
    const loops = () =>
      execFileSync('losetup', ['-j', device], { env: { PATH: '/usr/sbin:/sbin:/usr/bin:/bin' } }).toString()
    t.equal(
      await within(
        10_000,
        () => Promise.resolve(loops()),
        (text) => text === '',
      ),
      '',
      'no loop device stays',
    )
    t.equal(await output({ volumes: ['disk:/disk'] }, 'cat /disk/file'), 'once')
    await noKeepers()
  })

  t.test('what can’t be mounted is told of', async (t) => {
    const fails = async (options: Readonly<Record<string, string>>, code: string, message: RegExp) => {
      await volumes.create({ name: 'wrong', options })
      await t.rejects(output({ volumes: ['wrong:/v'] }, 'true'), { code, message })
      await volumes.remove('wrong')
    }
    await fails({ type: 'nosuchfs', device: 'x' }, 'KERNEL_UNSUPPORTED', /no file system nosuchfs/)
    await fails({ type: 'ext4', device: '/no/such/device' }, 'VOLUME_FAILED', /\/no\/such\/device/)
    await fails({ type: 'tmpfs', o: 'sise=1m' }, 'VOLUME_FAILED', /sise/)
    await fails(
      { type: 'nfs', device: '127.0.0.1:/export', o: 'vers=4.2' },
      readFileSync('/proc/filesystems', 'utf8').includes('nfs') ? 'VOLUME_FAILED' : 'KERNEL_UNSUPPORTED',
      /nfs/,
    )
    await writeFile(join(root, 'rubbish'), Buffer.alloc(65536))
    await fails({ type: 'ext4', device: join(root, 'rubbish') }, 'VOLUME_FAILED', /file system ext4 on it/)
    for (const [options, message] of [
      [{ typ: 'tmpfs' }, /did you mean type/],
      [{ device: '/x' }, /options\.device/],
      [{ o: 'noexec' }, /needs options\.type/],
      [{ type: 'none', o: 'bind' }, /absolute path/],
      [{ type: 'ext4' }, /options\.device/],
      [{ o: 'bind,size=1', device: '/x' }, /no effect on a bind/],
    ] as const) {
      await t.rejects(volumes.create({ name: 'wrong', options }), { code: 'INVALID_OPTION', message })
      await t.rejects(volumes.get('wrong'), { code: 'VOLUME_NOT_FOUND' })
    }
  })

  t.test('encrypted: nothing can be read on the disk', async (t) => {
    const volume = await volumes.create({ name: 'secret', encryptionKey: KEY })
    t.match(volume, { encrypted: true, path: undefined, driver: 'local' })
    const name = SECRET.slice(0, 15)
    await using container = await runtime.run({
      image: withData,
      volumes: ['secret:/data'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.equal(
      (await container.exec(['sh', '-c', 'cat /data/*; stat -c "%u %a" /data /data/*'])).stdout,
      `${SECRET}\n1000 750\n7 640\n`,
    )
    await container.exec([
      'sh',
      '-c',
      `echo ${SECRET} >"/data/a name of its own"; mkdir -p /data/sub; ln -s "${SECRET}" /data/sub/link`,
    ])
    await using user = await runtime.run({
      image,
      volumes: ['secret:/x'],
      user: '5:5',
      network: 'none',
      command: ['sleep', '1000'],
    })
    t.match(await user.exec(['ls', '/x']), { stderr: /Permission denied/ }, 'owners and modes count')

    const disk = execFileSync('tar', ['-c', '-C', join(root, 'volumes', 'secret'), '.']).toString('latin1')
    for (const word of ['quick brown', name, 'name of its own', SECRET]) t.notOk(disk.includes(word), word)
    t.notOk(
      execFileSync('sh', ['-c', `grep -rlaF -e "${KEY}" -e "${Buffer.from(KEY).toString('hex')}" "${root}" || true`])
        .toString()
        .trim(),
      'nor the key',
    )
    t.strictSame(hostMounts(), [], 'nothing is mounted on the host')

    const servers = keepers()
    t.equal(servers.length, 2, 'a keeper and gocryptfs')
    for (const pid of servers) {
      t.notOk(readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(KEY), 'the key is on no command line')
      t.notOk(readFileSync(`/proc/${pid}/environ`, 'latin1').includes(KEY), 'nor in an environment')
    }
    await container.remove({ force: true })
    t.match(await user.exec(['ls', '/']), { exitCode: 0 })
    await user.remove({ force: true })
    t.strictSame(await noKeepers(), [], 'the server ends with its containers')
    t.equal(
      await output({ volumes: ['secret:/data'] }, 'cat "/data/a name of its own"; readlink /data/sub/link'),
      `${SECRET}\n${SECRET}`,
    )
    await noKeepers()
    t.equal(
      execFileSync('gocryptfs', ['-info', join(root, 'volumes/secret/cipher')])
        .toString()
        .includes('ScryptObject'),
      true,
    )
  })

  t.test('the key is needed again, and must be the right one', async (t) => {
    const other = await Runtime.open({ root })
    t.teardown(() => other.close())
    await t.rejects(output({ volumes: ['secret:/v'] }, 'true', other), { code: 'VOLUME_LOCKED', message: /unlock/ })
    const wrong = 'quite another passphrase'
    const failure = await other.volumes.unlock('secret', wrong).catch((error: unknown) => error)
    t.match(failure, { code: 'VOLUME_KEY_WRONG' })
    t.notMatch(String(failure), wrong)
    await t.rejects(output({ volumes: ['secret:/v'] }, 'true', other), { code: 'VOLUME_LOCKED' })
    await other.volumes.unlock('secret', KEY)
    t.equal(await output({ volumes: ['secret:/v'] }, 'cat "/v/a name of its own"', other), SECRET)
    await t.rejects(
      other.volumes.unlock('secret', wrong),
      { code: 'VOLUME_KEY_WRONG' },
      'also right after the right one',
    )
    await other.volumes.lock('secret')
    await t.rejects(output({ volumes: ['secret:/v'] }, 'true', other), { code: 'VOLUME_LOCKED' })
    await t.rejects(other.volumes.unlock('fast', KEY), { code: 'INVALID_OPTION' })
    for (const key of ['', 'two\nlines', new Uint8Array(3), 7 as unknown as string]) {
      await t.rejects(volumes.create({ name: 'bad-key', encryptionKey: key }), {
        code: 'INVALID_OPTION',
        message: /encryptionKey/,
      })
    }
    const bytes = Buffer.from('00ff0a0d'.repeat(8), 'hex')
    await volumes.create({ name: 'bytes', encryptionKey: bytes })
    t.equal(await output({ volumes: ['bytes:/v'] }, 'echo x >/v/x; cat /v/x'), 'x')
    await volumes.remove('secret')
    t.notOk(existsSync(join(root, 'volumes/secret')))
    await noKeepers()
  })

  t.test('a server that is killed', async (t) => {
    await using container = await runtime.run({
      image,
      volumes: ['bytes:/v'],
      network: 'none',
      command: ['sleep', '1000'],
    })
    const server = keepers().find((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('/usr/bin/gocryptfs'),
    )
    process.kill(Number(server), 'SIGKILL')
    t.strictSame(await noKeepers(), [])
    t.match(await container.exec(['ls', '/v']), { stderr: /not connected|Transport endpoint/ })
    t.equal((await container.exec(['echo', 'here'])).stdout, 'here\n')
    t.equal(await output({ volumes: ['bytes:/v'] }, 'cat /v/x'), 'x', 'the next container gets another')
    await noKeepers()
  })

  t.test('a host that is killed leaves no server', async (t) => {
    await volumes.create({ name: 'fast2', options: { type: 'tmpfs' } })
    const directory = await mkdtemp(join(tmpdir(), 'podling-host-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const host = startHost(root, 'volumes')
    await host.saw('running')
    t.ok(keepers().length >= 3, 'two keepers and a gocryptfs')
    await host.end('SIGKILL')
    t.strictSame(await noKeepers(), [])
    const next = await Runtime.open({ root })
    t.strictSame(await readdir(join(root, 'run', 'v')), [])
    await next.close()
  })

  t.test('nothing is left of all this', async (t) => {
    await runtime.close()
    t.strictSame(await settledLeftovers(root, 'podling-no-marker'), nothing)
    t.strictSame(hostMounts(), [])
    await readFile(join(root, 'database', 'state.mdb'))
    await mkdir(join(root, 'volumes'), { recursive: true })
    t.strictSame((await readdir(join(root, 'volumes'))).sort(), [
      '.removed',
      'absent',
      'bytes',
      'disk',
      'encrypted',
      'fast',
      'fast2',
      'owned',
    ])
  })
})
