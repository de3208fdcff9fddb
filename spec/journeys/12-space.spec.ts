/** What images, containers and volumes take up, and giving it back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import t from 'tap'
import { pack } from 'tar-stream'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

function layer(name: string, size: number): Readable {
  const tar = pack()
  tar.entry({ name }, Buffer.alloc(size, name))
  tar.finalize()
  return Readable.from(tar)
}

t.test('space', needs('root', 'busybox'), async (t) => {
  await using world = await testRuntime()
  const { runtime } = world
  const { images, containers, volumes } = runtime
  const busybox = await images.get('busybox:test')
  const packed = busybox.size
  t.ok(busybox.space.own > packed, 'unpacked, too')
  t.equal(busybox.space.shared, 0)
  t.equal((await images.list())[0]!.space.own, busybox.space.own)

  const options = { image: 'busybox:test', network: 'none' } as const
  const writer = await runtime.run({ ...options, name: 'writer', command: ['sh', '-c', 'dd if=/dev/zero of=/big bs=1000 count=500; ln /big /same'] }) // prettier-ignore
  await writer.wait()
  t.match(await writer.space(), { own: 500_000, shared: busybox.space.own - packed })
  const made = await writer.commit({ ref: 'made:1', config: { labels: { of: 'space' } } })
  t.ok(made.space.own > 500_000 && made.space.own < 600_000, String(made.space.own))
  t.ok(made.space.shared >= busybox.space.own - 5000, 'all of the image below')
  t.ok((await images.get('busybox:test')).space.own < 5000, 'whose layers are not its own any more')

  await t.test('prune', async (t) => {
    await using running = await runtime.run({ ...options, name: 'running', command: ['sleep', '1000'], volumes: ['/anonymous', 'named:/named'] }) // prettier-ignore
    await containers.create({ ...options, name: 'created', command: ['true'] })
    await volumes.create({ name: 'unused' })
    const unnamed = await images.import(layer('unnamed', 70_000))
    t.same(await runtime.prune({ containers: false, images: false }), {
      containers: [],
      images: [],
      pods: [],
      volumes: [],
      bytes: 0,
    })
    const hour = await runtime.prune({ images: 'all', volumes: 'all', filters: { until: '1h' } })
    t.same(hour, { containers: [], images: [], pods: [], volumes: [], bytes: 0 }, 'nothing is that old')
    t.same((await runtime.prune({ filters: { label: 'of=other' } })).bytes, 0)

    const first = await runtime.prune()
    t.match(first.containers, [{ name: 'writer', bytes: 500_000 }])
    t.match(first.images, [{ id: unnamed.id, names: [] }])
    t.ok(first.images[0]!.bytes > 140_000)
    t.equal(first.bytes, 500_000 + first.images[0]!.bytes)
    t.same((await images.list()).length, 2)

    const labelled = await runtime.prune({ images: 'all', filters: { label: ['of=space'] } })
    t.match(labelled, { containers: [], images: [{ names: ['docker.io/library/made:1'] }] })
    await sleep(2)
    const all = await runtime.prune({ images: 'all', volumes: 'all', filters: { until: new Date() } })
    t.match(all, { containers: [], images: [], volumes: [{ name: 'unused', bytes: 0 }] }, 'what is used stays')
    t.same((await containers.list()).map(({ name }) => name).sort(), ['created', 'running'])
    t.equal((await running.exec(['true'])).exitCode, 0)
    await t.rejects(runtime.prune({ images: 'some' as 'all' }), {
      code: 'INVALID_OPTION',
      message: /images: must be true, false, "?'?all/,
    })
    await t.rejects(runtime.prune({ filters: { until: 'yesterday' } }), {
      code: 'INVALID_OPTION',
      message: /a Date, or/,
    })
    await t.rejects(runtime.prune({ image: true } as object), {
      code: 'INVALID_OPTION',
      message: /did you mean images/,
    })
  })
  await (await containers.get('created')).remove()
  t.same((await runtime.check()).problems, [])
})
