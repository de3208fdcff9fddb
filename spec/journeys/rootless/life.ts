/** From an image to its removal, on the default root of an ordinary user. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const home = process.env['HOME'] ?? ''
const runtime = await Runtime.open()
const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })

t.test('root and runRoot are where the user keeps such things', async (t) => {
  const { root, runRoot, storageDriver } = await runtime.info()
  t.equal(root, join(home, '.local/share/podling'))
  t.equal(runRoot, join(home, 'run/podling'))
  t.equal(storageDriver, 'overlay')
})

t.test('a command runs as root of a user namespace and nothing more', async (t) => {
  const show = 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; echo to-the-other-stream >&2; exit 7'
  await using container = await runtime.run({ image, command: ['sh', '-c', show], network: 'none' })
  const { exitCode } = await container.wait()
  t.equal(exitCode, 7)
  const lines: string[] = []
  for await (const { text, stream } of container.logs()) lines.push(`${stream} ${text.trim().replace(/\s+/g, ' ')}`)
  const range = (file: string): string => {
    const [, first = '', count = ''] =
      /^podling-[^:]*:(\d+):(\d+)$/m.exec(
        linesOf(file)
          .filter((line) => line.startsWith(`${userName()}:`))
          .join('\n'),
      ) ?? []
    return `stdout 1 ${first} ${count}`
  }
  t.strictSame(
    lines.filter((line) => line.startsWith('stdout')),
    [
      'stdout 0',
      'stdout 0',
      `stdout 0 ${String(process.getuid?.())} 1`,
      range('/etc/subuid'),
      `stdout 0 ${String(process.getgid?.())} 1`,
      range('/etc/subgid'),
    ],
  )
  t.ok(lines.includes('stderr to-the-other-stream'))
})

t.test('exec, users of the image, signals and stop', async (t) => {
  await using container = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  t.match(await container.exec(['id', '-u'], { user: 'app' }), { exitCode: 0, stdout: '1000\n' })
  t.match(
    await container.exec(['sh', '-c', 'echo x > /dev/null && cat /dev/zero | head -c 3 | wc -c && ls /dev/pts']),
    {
      exitCode: 0,
      stdout: '3\nptmx\n',
    },
  )
  t.match(await container.exec(['mknod', '/tmp/disk', 'b', '8', '0']), { exitCode: 1 }, 'devices are not to be had')
  await container.stop({ timeout: 0 })
  t.match(await container.wait(), { exitCode: 137, signal: 'SIGKILL' })
})

t.test('many files of many owners, closed to others, are what the image says', async (t) => {
  const ids = [1, 1000, 65_000]
  const add = ids.flatMap((uid) => [
    { name: `srv/${String(uid)}`, type: 'directory', mode: 0o700, uid, gid: uid } as const,
    { name: `srv/${String(uid)}/file`, mode: 0o600, uid, gid: uid, content: `of ${String(uid)}` },
  ])
  const many = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'many:test' })
  const list = ['sh', '-c', 'for f in /srv/* /srv/*/file; do stat -c "%n %u %g %a" $f; done; cat /srv/*/file']
  await using container = await runtime.run({ image: many, command: list, network: 'none' })
  await container.wait()
  const texts: string[] = []
  for await (const { text } of container.logs()) texts.push(text)
  t.strictSame(texts, [
    ...[1, 1000, 65_000].map((uid) => `/srv/${String(uid)} ${String(uid)} ${String(uid)} 700`),
    ...[1, 1000, 65_000].map((uid) => `/srv/${String(uid)}/file ${String(uid)} ${String(uid)} 600`),
    'of 1of 1000of 65000',
  ])
  await container.remove({ force: true })
  await runtime.images.remove(many)
})

t.test('closing leaves nothing', async (t) => {
  const { root, runRoot } = await runtime.info()
  await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  await runtime.close()
  t.strictSame(readdirSync(join(root, 'containers')), [])
  t.strictSame(readdirSync(join(runRoot, 'c')), [])
  t.strictSame(readdirSync(join(runRoot, 'owners')), [])
})

function userName(): string {
  const uid = String(process.getuid?.())
  return (
    linesOf('/etc/passwd')
      .find((line) => line.split(':')[2] === uid)
      ?.split(':')[0] ?? ''
  )
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n')
}
