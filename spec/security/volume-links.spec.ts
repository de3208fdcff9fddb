/**
 * Links that a container puts into a volume, also in the very moment of another's start (CVE-2017-1002101, CVE-2021-25741):
 * nothing outside of the volume is mounted, read, made or given away.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PodlingError } from 'podling'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'

const { runtime, image, root, ...setup } = await testRuntime()
const outside = await mkdtemp(join(tmpdir(), 'podling-outside-'))
t.teardown(async () => {
  await setup[Symbol.asyncDispose]()
  await rm(outside, { recursive: true })
})
await writeFile(join(outside, 'secret'), 'of the host\n')
const up = `${'../'.repeat(20)}${outside.slice(1)}`

/** What a container sees of a path in a volume. */
async function look(subpath: string): Promise<string> {
  try {
    await using container = await runtime.run({
      image,
      mounts: [{ type: 'volume', source: 'hostile', target: '/part', subpath }],
      network: 'none',
      command: ['sh', '-c', 'cat /part/secret /part; touch /part/new'],
    })
    await container.wait()
    const lines: string[] = []
    for await (const { text, stream } of container.logs()) if (stream === 'stdout') lines.push(text)
    return lines.join('\n')
  } catch (error) {
    // A link that swings may point at nothing for a moment: to say so is right.
    if (error instanceof PodlingError && ['MOUNT_SOURCE_NOT_FOUND', 'START_FAILED'].includes(error.code))
      return error.code
    throw error
  }
}

async function untouched(t: Tap): Promise<void> {
  t.strictSame(await readdir(outside), ['secret'])
  t.equal(await readFile(join(outside, 'secret'), 'utf8'), 'of the host\n')
  const { uid, mode } = await stat(outside)
  t.strictSame([uid, mode & 0o777], [0, 0o700])
}
type Tap = Pick<typeof t, 'strictSame' | 'equal'>

t.test('a subpath through links', async (t) => {
  const { path = '' } = await runtime.volumes.create({ name: 'hostile' })
  await mkdir(join(path, 'real'))
  await writeFile(join(path, 'real', 'secret'), 'of the volume\n')
  await symlink('real', join(path, 'inside'))
  await symlink(outside, join(path, 'absolute'))
  await symlink(up, join(path, 'upward'))
  await symlink('/proc/self/root', join(path, 'magic'))
  await symlink('.', join(path, 'self'))
  await using plain = await runtime.run({
    image,
    // By its path on the host, as any other: what a volume's subpath must not be.
    mounts: [{ type: 'bind', source: join(path, 'absolute'), target: '/part', readOnly: true }],
    network: 'none',
    command: ['sleep', '1000'],
  })
  t.equal(
    (await plain.exec(['cat', '/part/secret'])).stdout,
    'of the host\n',
    'looked up as any other path, it is followed',
  )
  t.equal(await look('inside'), 'of the volume')
  t.equal(await look('self/self/real'), 'of the volume')
  t.equal(await look('../../real'), 'of the volume', 'the volume is its own root')
  for (const subpath of ['absolute', 'upward', 'upward/secret', `magic${outside}`, `..${'/..'.repeat(20)}${outside}`]) {
    t.match(await look(subpath), /^(MOUNT_SOURCE_NOT_FOUND|START_FAILED)$/, subpath)
  }
  await untouched(t)
})

t.test('a subpath that a container swings between a directory and a link, all the time', async (t) => {
  await using swinger = await runtime.run({
    image,
    volumes: ['hostile:/v'],
    network: 'none',
    command: [
      'sh',
      '-c',
      `cd /v; mkdir dir; echo of the volume >dir/secret; ln -s ${outside} link; touch ready
       while :; do mv -T dir swing; mv -T swing back; mv -T link swing; mv -T swing link; mv -T back dir; done`,
    ],
  })
  while (!(await readdir(join(root, 'volumes/hostile/_data'))).includes('ready')) await new Promise(setImmediate)
  const seen = new Set<string>()
  for (let i = 0; i < 40; i++) seen.add(await look('swing'))
  t.notOk(
    [...seen].some((text) => text.includes('of the host')),
    [...seen].join(', '),
  )
  t.equal(swinger.status, 'running')
  await untouched(t)
})

t.test('a first use while another container swings links in the volume', async (t) => {
  const data = await runtime.images.import(
    await busyboxRootfs({
      add: [
        { name: 'data', type: 'directory', mode: 0o777, uid: 1000 },
        ...Array.from(
          { length: 20 },
          (_, i) => ({ name: `data/d${String(i)}`, type: 'directory', mode: 0o777, uid: 1000 }) as const,
        ),
        ...Array.from({ length: 20 }, (_, i) => ({
          name: `data/d${String(i)}/secret`,
          mode: 0o777,
          uid: 1000,
          content: 'of the image\n',
        })),
        ...Array.from(
          { length: 20 },
          (_, i) => ({ name: `data/d${String(i)}/fifo`, type: 'fifo', mode: 0o777, uid: 1000 }) as const,
        ),
      ],
    }),
    { ref: 'data:1' },
  )
  await using swinger = await runtime.run({
    image,
    volumes: ['first:/v:nocopy'],
    // The volume's own tree alone is within its reach; it makes of it what it can.
    network: 'none',
    command: [
      'sh',
      '-c',
      `cd /v; while :; do for i in d*; do rm -rf $i; ln -s ${outside} $i; rm -f $i; done; done 2>/dev/null`,
    ],
  })
  for (let i = 0; i < 15; i++) {
    await using user = await runtime.run({ image: data, volumes: ['first:/data'], network: 'none', command: ['true'] })
    await user.wait()
  }
  await using given = await runtime.run({
    image: data,
    volumes: ['first:/data:U'],
    user: '1000:1000',
    network: 'none',
    command: ['true'],
  })
  await given.wait()
  t.equal(swinger.status, 'running')
  await untouched(t)
})
