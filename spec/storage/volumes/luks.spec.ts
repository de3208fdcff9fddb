/** Volumes of LUKS: nothing readable on the disk, and nothing left of mappings and loop devices, however their users end. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { within } from '../../fixtures/leftovers.js'
import { busyboxRootfs, testRuntime } from '../../fixtures/runtime.js'
import { impossible, needs } from '../../peers.js'

const PASSPHRASE = 'correct horse battery staple'
const KEY = Buffer.from('sixteen or more.', 'latin1')
const SECRET = 'the quick brown fox jumps over the lazy dog'
const luks = { encryption: 'luks' } as const
const mapper = readFileSync('/proc/misc', 'utf8').includes('device-mapper')
const needed = needs('root', 'busybox', 'cryptsetup', 'e2fsprogs')

t.test(
  'without device mapper it is refused, and nothing is left',
  { ...needed, ...impossible(mapper && 'it has device mapper') },
  async (t) => {
    await using setup = await testRuntime()
    const { volumes } = setup.runtime
    await t.rejects(volumes.create({ name: 'vault', encryptionKey: KEY, ...luks }), {
      code: 'KERNEL_UNSUPPORTED',
      message: /create volume vault: .*device-mapper.*modprobe dm-crypt.*gocryptfs/,
    })
    await t.rejects(volumes.get('vault'), { code: 'VOLUME_NOT_FOUND' })
    t.strictSame(readdirSync(join(setup.root, 'volumes')), ['.removed'])
  },
)

t.test('volumes of LUKS', { ...needed, ...impossible(!mapper && 'its kernel has no device mapper') }, async (t) => {
  const { runtime, root, ...setup } = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { volumes } = runtime
  const withData = await runtime.images.import(
    await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', mode: 0o750, uid: 1000, gid: 50 },
        { name: 'data/a file of the image', mode: 0o640, uid: 7, content: `${SECRET}\n` },
      ],
    }),
    { ref: 'with-data:1' },
  )
  const file = (name: string) => join(root, 'volumes', name, 'luks')
  const idle = (volume: string, options: Partial<ContainerOptions> = {}, on = runtime) =>
    on.run({ image: 'busybox:test', volumes: [volume], network: 'none', command: ['sleep', '1000'], ...options })

  /** What the kernel has of this root's volumes: mappings, and loop devices. */
  function devices(): string[] {
    return readdirSync('/sys/block').flatMap((name) => {
      const read = (what: string) =>
        spawnSync('cat', [`/sys/block/${name}/${what}`])
          .stdout.toString()
          .trim()
      const mapping = name.startsWith('dm-') ? read('dm/name') : ''
      const backing = name.startsWith('loop') ? read('loop/backing_file') : ''
      return mapping.startsWith('podling-') || backing.startsWith(root) ? [mapping + backing] : []
    })
  }
  const noDevices = () => within(20_000, () => Promise.resolve(devices()), (found) => found.length === 0) // prettier-ignore
  const keepers = () =>
    readdirSync('/proc').filter((pid) => {
      const words = /^\d+$/.test(pid) ? spawnSync('cat', [`/proc/${pid}/cmdline`]).stdout.toString('latin1') : ''
      return words.includes(root) && words.includes('\0keep\0')
    })

  t.test('begins with what the image has, and nothing can be read on the disk', async (t) => {
    const volume = await volumes.create({
      name: 'secret',
      encryptionKey: KEY,
      ...luks,
      options: { size: '64m' },
    })
    t.match(volume, { encrypted: true, encryption: 'luks', path: undefined, driver: 'local', options: { size: '64m' } })
    t.strictSame(await noDevices(), [], 'it is closed when it has been made')
    {
      await using container = await idle('secret:/data', { image: withData })
      const list = await container.exec(['sh', '-c', 'cat /data/*; stat -c "%u %a" /data /data/*; ls /data'])
      t.equal(list.stdout, `${SECRET}\n1000 750\n7 640\na file of the image\n`)
      await container.exec([
        'sh',
        '-c',
        `echo ${SECRET} > "/data/a name of its own"; mkdir /data/sub; echo in > /data/sub/x`,
      ])
      t.match(
        (await container.exec(['grep', ' /data ', '/proc/mounts'])).stdout,
        /^\/dev\/mapper\/podling-\S+ \/data ext4 rw,nosuid,nodev/,
      )
      t.equal(devices().length, 2, 'a mapping and a loop device')
      await using reader = await idle('secret:/r:ro')
      t.match(await reader.exec(['sh', '-c', 'cat "/r/a name of its own"; touch /r/x']), {
        stdout: `${SECRET}\n`,
        stderr: /Read-only/,
      })
      await using part = await runtime.run({
        image: 'busybox:test',
        network: 'none',
        mounts: [{ type: 'volume', source: 'secret', target: '/part', subpath: 'sub' }],
        command: ['sleep', '1000'],
      })
      t.equal((await part.exec(['cat', '/part/x'])).stdout, 'in\n')
      t.equal(devices().length, 2, 'opened once for all')
      t.notOk(readFileSync('/proc/self/mountinfo', 'utf8').includes(root), 'nothing is mounted on the host')
      for (const pid of keepers()) {
        for (const what of ['cmdline', 'environ']) {
          t.notOk(
            readFileSync(`/proc/${pid}/${what}`, 'latin1').includes(KEY.toString('latin1')),
            `the key is not in its ${what}`,
          )
        }
      }
      t.equal(keepers().length, 1)
    }
    t.strictSame(await noDevices(), [], 'closed with the last container')
    const { size, blocks } = statSync(file('secret'))
    t.equal(size, 64 * 1024 * 1024)
    t.ok(blocks * 512 < size, 'with holes')
    for (const word of ['quick brown', 'file of the image', 'name of its own', 'lost+found', 'busybox']) {
      t.equal(spawnSync('grep', ['-cF', word, file('secret')]).stdout.toString(), '0\n', word)
    }
    t.equal(
      spawnSync('grep', ['-rlaF', KEY.toString('latin1'), root]).stdout.toString(),
      '',
      'the key is nowhere below the root',
    )
  })

  t.test('the key is needed again, and must be the right one', async (t) => {
    const other = await Runtime.open({ root })
    t.teardown(() => other.close())
    await t.rejects(idle('secret:/v', {}, other), { code: 'VOLUME_LOCKED', message: /unlock/ })
    const wrong = Buffer.from('quite another one', 'latin1')
    const failure = await other.volumes.unlock('secret', wrong).catch((error: unknown) => error)
    t.match(failure, { code: 'VOLUME_KEY_WRONG' })
    t.notMatch(String(failure), 'quite another')
    await other.volumes.unlock('secret', KEY)
    {
      await using container = await idle('secret:/v', {}, other)
      t.equal((await container.exec(['cat', '/v/a name of its own'])).stdout, `${SECRET}\n`)
      await t.rejects(other.volumes.unlock('secret', wrong), { code: 'VOLUME_KEY_WRONG' }, 'also while it is in use')
    }
    await noDevices()
    await volumes.remove('secret')
    t.notOk(existsSync(join(root, 'volumes/secret')))
  })

  t.test('a passphrase, by another cryptsetup than ours', async (t) => {
    await volumes.create({ name: 'spoken', encryptionKey: PASSPHRASE, ...luks, options: { size: '32m' } })
    const open = (input: string) =>
      spawnSync('cryptsetup', ['open', '--test-passphrase', file('spoken')], {
        input,
        stdio: ['pipe', 'ignore', 'ignore'],
      }).status
    t.equal(open(PASSPHRASE), 0)
    await t.rejects(volumes.unlock('spoken', 'quite another'), { code: 'VOLUME_KEY_WRONG' })
    t.equal(spawnSync('grep', ['-rlaF', PASSPHRASE, root]).stdout.toString(), '', 'it is nowhere below the root')
    await noDevices()
    await volumes.remove('spoken')
  })

  t.test('it holds no more than its size', async (t) => {
    await volumes.create({ name: 'small', encryptionKey: KEY, ...luks, options: { size: '32m' } })
    await using container = await idle('small:/v')
    t.match(await container.exec(['dd', 'if=/dev/zero', 'of=/v/zeros', 'bs=1M', 'count=32']), {
      stderr: /No space left/,
      exitCode: 1,
    })
    t.equal((await container.exec(['sh', '-c', 'rm /v/zeros; echo word > /v/word; cat /v/word'])).stdout, 'word\n')
  })

  t.test('a keeper that is killed leaves no mapping and no loop device', async (t) => {
    const container = await idle('small:/v')
    for (const pid of keepers()) process.kill(Number(pid), 'SIGKILL')
    t.equal((await container.exec(['cat', '/v/word'])).stdout, 'word\n', 'the container still has it')
    await container.remove({ force: true })
    t.strictSame(await noDevices(), [])
  })

  /** A cryptsetup whose parent, the keeper, is killed as soon as there is a mapping. */
  async function deadlyPath(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'podling-cryptsetup-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const script = `#!/bin/sh\n/usr/sbin/cryptsetup "$@" || exit\n[ "$2" != --type ] || kill -9 $PPID\n`
    await writeFile(join(directory, 'cryptsetup'), script)
    await chmod(join(directory, 'cryptsetup'), 0o755)
    return directory
  }

  t.test(
    'one that is killed before it has mounted leaves a mapping, which the next open takes away, or the next use',
    async (t) => {
      const before = process.env['PATH']
      process.env['PATH'] = `${await deadlyPath()}${delimiter}${before ?? ''}`
      t.teardown(() => (process.env['PATH'] = before))
      const deadly = await Runtime.open({ root })
      process.env['PATH'] = before
      await deadly.volumes.unlock('small', KEY)
      await t.rejects(idle('small:/v', {}, deadly), { code: 'VOLUME_FAILED' })
      t.equal(devices().length, 2, 'a mapping and its loop device are left')
      await (await Runtime.open({ root })).close()
      t.strictSame(await noDevices(), [], 'the next open has removed them')
      await t.rejects(idle('small:/v', {}, deadly), { code: 'VOLUME_FAILED' })
      await deadly.close()
      t.equal(devices().length, 2)
      {
        await using container = await idle('small:/v')
        t.equal((await container.exec(['cat', '/v/word'])).stdout, 'word\n', 'the next use did too')
      }
      t.strictSame(await noDevices(), [])
    },
  )

  t.test('room is reported, and nothing stays', async (t) => {
    const taken = statSync(file('small')).blocks * 512
    t.match(await runtime.prune({ volumes: 'all' }), { volumes: [{ name: 'small', bytes: taken }] })
    t.strictSame(await noDevices(), [])
    t.strictSame(
      readdirSync('/dev/mapper').filter((name) => name.startsWith('podling-')),
      [],
    )
    t.equal(execFileSync('losetup', ['-a']).toString().includes(root), false)
  })
})
