/**
 * A container that swaps its directories for links while files are copied into and out of it (CVE-2018-15664): what is
 * read and written is always its own. And one that brings libraries of its own for whoever enters it (CVE-2019-14271).
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { PodlingError } from 'podling'
import t from 'tap'
import { pack } from 'tar-stream'
import { findHelper } from '../../lib/launch/helper-path.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const attempts = 150

t.test('a copier that looks up paths as any other program of the host', needs('root', 'busybox'), async (t) => {
  await using world = await testRuntime()
  const outside = await mkdtemp(join(tmpdir(), 'podling-outside-'))
  t.teardown(() => rm(outside, { recursive: true, force: true }))
  await writeFile(join(outside, 'file'), 'of the host')
  const line = `mkdir -p ${outside}; echo of the container >${outside}/file; ln -s ${outside} /place; echo ready; sleep 1000`
  await using container = await world.runtime.run({
    image: world.image,
    command: ['sh', '-c', line],
    network: 'none',
    ready: { log: /ready/ },
  })
  const place = `/proc/${String(container.pid)}/root/place`
  t.equal(await readFile(`${place}/file`, 'utf8'), 'of the host', 'it reads of the host')
  await writeFile(`${place}/made`, 'evil')
  t.strictSame((await readdir(outside)).sort(), ['file', 'made'], 'and writes there')
  t.ok((await buffer(await container.copyFrom('/place/file'))).includes('of the container'), 'Podling reads its own')
})

t.test('links that come and go', needs('root', 'busybox'), async (t) => {
  await using world = await testRuntime()
  // A place that both have: the host's holds a secret, the container's its own word.
  const outside = await mkdtemp(join(tmpdir(), 'podling-outside-'))
  t.teardown(() => rm(outside, { recursive: true, force: true }))
  await writeFile(join(outside, 'file'), 'of the host')
  const up = `${'../'.repeat(20)}${outside.slice(1)}`
  const line = [
    `mkdir -p ${outside} /safe/place; echo of the container >${outside}/file; echo safe >/safe/place/file; cd /safe`,
    `ln -s ${outside} absolute; ln -s ${up} relative; ln -s /proc/self/root${outside} magic; mkdir real; echo safe >real/file`,
    'echo ready; while :; do for next in absolute relative magic real; do rm -rf place; cp -a $next place; done; done',
  ].join('\n')
  await using container = await world.runtime.run({
    image: world.image,
    command: ['sh', '-c', line],
    network: 'none',
    ready: { log: /ready/ },
  })
  const seen = new Map<string, number>()
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1)
  const told = (error: unknown): void => {
    t.ok(error instanceof PodlingError && error.code !== 'SYSTEM_CALL_FAILED', String(error))
    count('refused')
  }
  const met = (): boolean => ['through a link', 'directly'].every((way) => seen.has(way))
  // So many, and until both are met: which attempt meets what is chance.
  for (let attempt = 0; attempt < attempts || !met(); attempt += 1) {
    try {
      const tar = await buffer(await container.copyFrom('/safe/place/file', { follow: attempt % 2 === 0 }))
      t.notOk(tar.includes('of the host'), 'never the host’s')
      count(tar.includes('of the container') ? 'through a link' : 'directly')
    } catch (error) {
      told(error)
    }
    const given = pack()
    given.entry({ name: 'given', mode: 0o600 }, 'given')
    given.entry({ name: 'sub/given' }, 'given')
    given.finalize()
    await container.copyTo(Readable.from(given), '/safe/place').catch(told)
    const walk = await container.copyFrom('/safe').catch(told)
    if (walk) t.notOk((await buffer(walk).catch(() => Buffer.alloc(0))).includes('of the host'))
  }
  t.strictSame(await readdir(outside), ['file'], 'nothing is written outside')
  t.equal(await readFile(join(outside, 'file'), 'utf8'), 'of the host')
  t.ok((seen.get('through a link') ?? 0) > 0 && (seen.get('directly') ?? 0) > 0, JSON.stringify([...seen]))
})

t.test('whoever enters a container loads nothing of it', needs('root'), async (t) => {
  const linked = async (program: string): Promise<boolean> => {
    const { stdout } = await promisify(execFile)('readelf', ['--program-headers', '--dynamic', program])
    t.match(stdout, /LOAD/)
    return /INTERP|NEEDED/.test(stdout)
  }
  t.ok(await linked('/bin/tar'), 'a copier that is linked would load them')
  t.notOk(await linked(findHelper()), 'the helper is static')
})

t.test('nor libraries that the container says it needs', needs('root', 'busybox'), async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'podling-nss-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const run = promisify(execFile)
  // Whoever looks up a user in there loads what its nsswitch.conf(5) names, with the rights of whoever that is.
  await writeFile(
    join(directory, 'evil.c'),
    '#include <fcntl.h>\n__attribute__((constructor)) static void load(void) { creat("/loaded", 0600); }\n',
  )
  await run('cc', ['-shared', '-fPIC', '-o', join(directory, 'evil.so'), join(directory, 'evil.c')])
  await writeFile(
    join(directory, 'copier.c'),
    '#include <pwd.h>\n#include <unistd.h>\nint main(int c, char **v) { return c < 2 || chroot(v[1]) || !getpwnam("app"); }\n',
  )
  await run('cc', ['-o', join(directory, 'copier'), join(directory, 'copier.c')])
  const library = await readFile(join(directory, 'evil.so'))
  const multiarch = (await run('cc', ['-print-multiarch'])).stdout.trim()
  await using world = await testRuntime()
  const image = await world.runtime.images.import(
    await busyboxRootfs({
      add: [
        { name: 'etc/nsswitch.conf', content: 'passwd: evil\ngroup: evil\n' },
        ...['lib', `lib/${multiarch}`, 'usr/lib', `usr/lib/${multiarch}`].map((place) => ({
          name: `${place}/libnss_evil.so.2`,
          mode: 0o755,
          content: library,
        })),
      ],
    }),
    { ref: 'nss:1' },
  )
  await using container = await world.runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  const loaded = async () => (await container.exec(['sh', '-c', 'ls /loaded; rm -f /loaded'])).stdout
  await run(join(directory, 'copier'), [`/proc/${String(container.pid)}/root`]).catch(() => undefined)
  t.equal(await loaded(), '/loaded\n', 'a copier that is linked loads them')
  const given = pack()
  given.entry({ name: 'given', uid: 1000, uname: 'app', gname: 'app' }, 'given')
  given.finalize()
  await container.copyTo(Readable.from(given), '/var')
  await buffer(await container.copyFrom('/etc'))
  await container.exec(['true'], { user: 'app' })
  t.equal(await loaded(), '', 'Podling doesn’t')
})
