/** Containers that are written down and go on elsewhere, by a real CRIU. */
import { createWriteStream } from 'node:fs'
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { pack, type Header } from 'tar-stream'
import type { Container, ContainerOptions, Runtime } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const counting = 'i=0; while true; do i=$((i+1)); echo $i > /tmp/count.new; mv /tmp/count.new /tmp/count; echo $i; sleep 0.02; done' // prettier-ignore
const counter: ContainerOptions = { image: 'busybox:test', command: ['sh', '-c', counting], network: 'none' }

const count = async (container: Container): Promise<number> =>
  Number((await container.exec(['cat', '/tmp/count'])).stdout)

async function lines(container: Container): Promise<number[]> {
  const found: number[] = []
  for await (const { text } of container.logs()) found.push(Number(text))
  return found
}

/** A counter that has come to `least` at least. */
async function counted(runtime: Runtime, options: Partial<ContainerOptions> = {}): Promise<Container> {
  const container = await runtime.run({ ...counter, ...options, ready: { log: /^5$/ } })
  return container
}

t.test('checkpoints', needs('root', 'busybox', 'criu'), async (t) => {
  await t.test('one that was written down goes on, once and again, each by itself', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const first = await counted(runtime, { name: 'first', labels: { app: 'counter' }, tmpfs: ['/scratch'] })
    await first.exec(['sh', '-c', 'echo kept > /scratch/file; echo written > /root/file; rm /etc/group'])
    const { path } = await first.checkpoint({ path: `${root}/checkpoint` })
    t.equal(path, `${root}/checkpoint`)
    t.match(await first.wait(), { exitCode: 137, signal: 'SIGKILL' })
    const last = (await lines(first)).at(-1)!
    const restored = [
      await runtime.containers.restore({ path, name: 'second' }),
      await runtime.containers.restore({ path, name: 'third' }),
    ]
    for (const container of restored) {
      t.equal(container.status, 'running')
      t.same(container.labels, { app: 'counter' })
      t.match((await container.exec(['cat', '/scratch/file', '/root/file'])).stdout, 'kept\nwritten\n')
      t.not((await container.exec(['test', '-e', '/etc/group'])).exitCode, 0, 'what was removed stays so')
      for (const deadline = Date.now() + 20_000; (await lines(container)).length < 3 && Date.now() < deadline;)
        await sleep(20)
      const [begin, ...rest] = await lines(container)
      t.ok(begin! === last || begin! === last + 1, `it goes on with ${begin} after ${last}`)
      t.same(
        rest,
        rest.map((_, i) => begin! + 1 + i),
      )
      const [status] = await Promise.all([readFile(`/proc/${container.pid}/status`, 'utf8')])
      t.match(status, /^Seccomp:\t2$/m)
      t.match(status, /^CapEff:\t00000000800405fb$/m)
      t.match(await container.stop({ timeout: 0 }), { exitCode: 137 })
      t.match(container.inspect().name, /second|third/)
    }
    await first.start()
    t.ok((await count(first)) < last, 'the old one begins anew')
  })

  await t.test('one goes on behind a checkpoint, its memory and files of one moment', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const container = await counted(runtime, { name: 'one' })
    await container.checkpoint({ path: `${root}/a.tar`, leaveRunning: true })
    t.equal(container.status, 'running')
    const then = await count(container)
    while ((await count(container)) <= then) await sleep(10)
    await container.pause()
    await container.checkpoint({ path: `${root}/b`, leaveRunning: true })
    t.equal(container.status, 'paused', 'one that was paused stays so')
    const clone = await runtime.containers.restore({ path: `${root}/a.tar`, name: 'clone' })
    t.ok((await count(clone)) >= 5)
    t.same(
      (await readdir(root)).filter((name) => name.startsWith('checkpoint-') || name.startsWith('.')),
      [],
    )
    await t.rejects(container.checkpoint({ path: `${root}/b` }), { code: 'INVALID_OPTION', message: /something is at/ })
    await container.unpause()
    await container.stop({ timeout: 0 })
    await t.rejects(container.checkpoint({ path: `${root}/c` }), { code: 'INVALID_STATE', message: /it is exited/ })
  })

  await t.test('what comes from outside is put in its place again', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    await mkdir(`${root}/shared`)
    await writeFile(`${root}/shared/file`, 'of the host')
    const container = await counted(runtime, { volumes: ['data:/data', `${root}/shared:/shared:ro`] })
    await container.exec(['sh', '-c', 'echo mine > /data/file'])
    await container.checkpoint({ path: `${root}/checkpoint` })
    const again = await runtime.containers.restore({ path: `${root}/checkpoint` })
    t.equal((await again.exec(['cat', '/data/file', '/shared/file'])).stdout, 'mine\nof the host')
    t.not((await again.exec(['touch', '/shared/new'])).exitCode, 0, 'read-only still')
    await t.rejects(runtime.containers.restore({ path: `${root}/checkpoint`, volumes: [] }), {
      code: 'CHECKPOINT_INVALID',
      message: /a mount at \/(data|shared), and the container has none/,
    })
    t.equal((await runtime.containers.list()).length, 2, 'nothing is left of one that failed')
  })

  await t.test('one with a terminal has a new one, and one with files of an image has them again', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const lists = 'i=0; while read line; do i=$((i+1)); echo "$i: $line"; done'
    const terminal = await runtime.run({ ...counter, command: ['sh', '-c', `echo ready; ${lists}`], tty: true, stdin: true, ready: { log: /ready/ } }) // prettier-ignore
    await terminal.checkpoint({ path: `${root}/terminal` })
    const again = await runtime.containers.restore({ path: `${root}/terminal` })
    const streams = await again.attach()
    let said = ''
    streams.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    streams.stdin.write('hello\n')
    for (const deadline = Date.now() + 20_000; !said.includes('1: hello') && Date.now() < deadline;) await sleep(20)
    t.match(said, /1: hello/)
    await again.resize({ columns: 91, rows: 17 })
    t.equal((await again.exec(['sh', '-c', 'stty size < /proc/1/fd/0'])).stdout, '17 91\n')

    const mounts = [{ type: 'image', source: 'busybox:test', target: '/image' }] as const
    const first = await counted(runtime, { mounts })
    await first.checkpoint({ path: `${root}/image` })
    const second = await runtime.containers.restore({ path: `${root}/image` })
    const then = await count(second)
    while ((await count(second)) <= then) await sleep(10)
    t.equal((await second.exec(['test', '-e', '/image/bin/busybox'])).exitCode, 0)
    const refused = await counted(runtime, { init: true, tmpfs: ['/dev:mode=755,noexec'] })
    await t.rejects(refused.checkpoint({ path: `${root}/refused` }), {
      code: 'CHECKPOINT_FAILED',
      message: /init: it runs from memory/,
    })
    t.equal(refused.status, 'running')
  })

  await t.test('one that was restored is a container like any other', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const health = { command: ['test', '-e', '/tmp/count'], interval: '100ms' }
    const container = await runtime.run({ ...counter, health, ready: { healthy: true } })
    await container.checkpoint({ path: `${root}/checkpoint` })
    const again = await runtime.containers.restore({ path: `${root}/checkpoint` })
    await again.wait({ condition: 'healthy' })
    await again.pause()
    t.equal(again.status, 'paused')
    await again.unpause()
    await again.update({ memory: '64m' })
    t.equal((await again.stats()).memory?.limit, 64 << 20)
    const before = again.pid
    await again.restart({ timeout: 0 })
    t.equal(again.status, 'running')
    t.not(again.pid, before)
    await again.wait({ condition: 'healthy' })
    const bare = await runtime.containers.restore({ path: `${root}/checkpoint`, health: 'none' })
    t.equal(bare.inspect().health, undefined)
    t.equal(bare.status, 'running')
  })

  await t.test('what CRIU can not dump is told in its words, and goes on', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const container = await runtime.run({
      ...counter,
      command: ['sh', '-c', `nc -l -p 1 -e true & ${counting}`],
      ready: { log: /^5$/ },
    })
    const failure = await container.checkpoint({ path: `${root}/checkpoint` }).catch((error: unknown) => error)
    if (failure instanceof Error) {
      t.match(failure, { code: 'CHECKPOINT_FAILED', message: /CRIU failed: .*(sock|inet|PASSCRED)/i })
      t.equal(container.status, 'running')
      const then = await count(container)
      while ((await count(container)) <= then) await sleep(10)
      t.notOk(
        (await readdir(root)).some((name) => name.includes('checkpoint')),
        'and leaves nothing half done',
      )
    } else {
      const again = await runtime.containers.restore({ path: `${root}/checkpoint`, name: 'again' })
      t.match((await again.exec(['cat', '/proc/net/tcp', '/proc/net/tcp6'])).stdout, /:0001 /, 'it listens again')
    }
  })

  await t.test('a checkpoint from elsewhere gives no rights', async (t) => {
    await using here = await testRuntime()
    await using there = await testRuntime()
    const directory = await temporaryDirectory(t)
    const path = `${directory}/harmless.tar`
    await there.runtime.images.save(['busybox:test'], `${directory}/image.tar`)
    await here.runtime.images.load(`${directory}/image.tar`)
    await (await counted(there.runtime, { env: { A: 'b' } })).checkpoint({ path })
    const moved = await here.runtime.containers.restore({ path, name: 'moved' })
    t.ok((await count(moved)) >= 5, 'one that has none goes on anywhere')

    await writeFile(`${directory}/secret`, 'of the host')
    const strong = await counted(there.runtime, {
      capAdd: ['SYS_ADMIN'],
      volumes: [`${directory}:/host`],
    })
    await strong.checkpoint({ path: `${directory}/strong` })
    const { containers } = here.runtime
    await t.rejects(containers.restore({ path: `${directory}/strong` }), {
      code: 'CHECKPOINT_INVALID',
      message: /must be given again, or given up.*capAdd \(it had .*SYS_ADMIN.*volumes \(it had/s,
    })
    await t.rejects(containers.restore({ path: `${directory}/strong`, capAdd: undefined, volumes: [`${directory}:/host`] } as never), {
      code: 'CHECKPOINT_INVALID',
      message: /capabilities beyond|other seccomp filters/,
    }) // prettier-ignore
    t.same(
      (await containers.list()).map(({ name }) => name),
      ['moved'],
    )
    const given = { capAdd: ['SYS_ADMIN'], volumes: [`${directory}:/host`] }
    const trusted = await containers.restore({ path: `${directory}/strong`, ...given })
    t.equal((await trusted.exec(['cat', '/host/secret'])).stdout, 'of the host')

    // The root that made it believes it no more once a byte was changed.
    const image = `${directory}/strong/changes.tar`
    await writeFile(image, Buffer.concat([await readFile(image), Buffer.alloc(512)]))
    await t.rejects(there.runtime.containers.restore({ path: `${directory}/strong` }), { code: 'CHECKPOINT_INVALID' })
  })

  await t.test('processes beyond what the container may be are ended before they run', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const loose = await counted(runtime, { seccomp: 'unconfined' })
    await loose.checkpoint({ path: `${root}/loose` })
    await t.rejects(runtime.containers.restore({ path: `${root}/loose`, seccomp: undefined } as never), {
      code: 'CHECKPOINT_INVALID',
      message: /seccomp filter/,
    })
    const confined = await counted(runtime, { noNewPrivileges: false })
    await confined.checkpoint({ path: `${root}/confined` })
    await t.rejects(runtime.containers.restore({ path: `${root}/confined`, noNewPrivileges: true }), {
      code: 'CHECKPOINT_INVALID',
      message: /can gain privileges|other seccomp filters/,
    })
    await t.rejects(runtime.containers.restore({ path: `${root}/confined`, capDrop: ['CHOWN'] }), {
      code: 'CHECKPOINT_INVALID',
      message: /capabilities beyond/,
    })
  })

  await t.test('hostile archives', async (t) => {
    await using test = await testRuntime()
    const { runtime } = test
    const directory = await temporaryDirectory(t)
    const archive = async (name: string, entries: readonly (Partial<Header> & { name: string; body?: string })[]) => {
      const tar = pack()
      for (const { body, ...header } of entries) {
        if (body === undefined) tar.entry(header)
        else tar.entry(header, body)
      }
      tar.finalize()
      await pipeline(tar, createWriteStream(`${directory}/${name}.tar`))
      return `${directory}/${name}.tar`
    }
    const cases = {
      'a way out': [{ name: '../../outside', body: 'x' }],
      'a way out of the images': [{ name: 'images/../../outside', body: 'x' }],
      'an absolute name': [{ name: '/tmp/outside', body: 'x' }],
      'a link': [{ name: 'images', type: 'symlink', linkname: '/etc' } as const],
      'a link among the images': [{ name: 'images/core-1.img', type: 'symlink', linkname: '/etc/passwd' } as const],
      'a device': [{ name: 'container.json', type: 'character-device', devmajor: 1, devminor: 3 } as const],
      'two of a name': [
        { name: 'container.json', body: '{}' },
        { name: 'container.json', body: '{}' },
      ],
      'no description': [{ name: 'changes.tar', body: '' }],
      'a description of nothing': [{ name: 'container.json', body: 'null\n' }],
      'no JSON': [{ name: 'container.json', body: '{"version"' }],
      'another version': [{ name: 'container.json', body: '{"version":99}' }],
    } satisfies Record<string, readonly (Partial<Header> & { name: string; body?: string })[]>
    for (const [what, entries] of Object.entries(cases)) {
      const path = await archive(what.replaceAll(' ', '-'), entries)
      await t.rejects(runtime.containers.restore({ path }), { code: 'CHECKPOINT_INVALID' }, what)
    }
    await writeFile(`${directory}/rubbish.tar`, 'no tar at all, but longer than a block of one '.repeat(20))
    await t.rejects(runtime.containers.restore({ path: `${directory}/rubbish.tar` }), { code: 'CHECKPOINT_INVALID' })
    await t.rejects(runtime.containers.restore({ path: `${directory}/nowhere` }), { code: 'CHECKPOINT_INVALID' })
    await t.rejects(runtime.containers.restore({ path: 7 } as never), { code: 'INVALID_OPTION' })
    t.same(
      (await readdir(test.root)).filter((name) => name.startsWith('checkpoint-')),
      [],
    )
  })

  await t.test('images that CRIU can not read are its failure, and leave nothing', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const container = await counted(runtime)
    await container.checkpoint({ path: `${root}/checkpoint` })
    await container.remove()
    await cp(`${root}/checkpoint`, `${root}/damaged`, { recursive: true })
    await writeFile(`${root}/damaged/images/pstree.img`, 'rubbish')
    const before = (await readdir(root)).sort()
    await t.rejects(runtime.containers.restore({ path: `${root}/damaged` }), {
      code: 'CHECKPOINT_FAILED',
      message: /CRIU failed: /,
    })
    t.same(await runtime.containers.list(), [])
    t.same((await readdir(root)).sort(), before)
    await runtime.images.remove('busybox:test', { force: true })
    await runtime.prune({ images: 'all' })
    await t.rejects(runtime.containers.restore({ path: `${root}/checkpoint` }), {
      code: 'IMAGE_NOT_FOUND',
      message: /busybox:test.*pull or load it first/,
    })
  })
})
