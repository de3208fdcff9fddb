/** Layers that are unpacked while they come, in every format of layers. */
import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { ContentStore } from '../../lib/storage/content.js'
import { Database } from '../../lib/storage/database.js'
import { Images } from '../../lib/storage/images.js'
import { directoryFormat, erofsFormat, type LayerFormat } from '../../lib/storage/layer-format.js'
import { Layers } from '../../lib/storage/layers.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { startServer, type HttpFixture } from '../fixtures/servers.js'
import { openUnpacker } from '../fixtures/unpacker.js'

interface World {
  readonly images: Images
  readonly layers: Layers
  /** Names in its directories of blobs, half ones too, and of layers. */
  readonly files: () => Promise<string[]>
}

async function world(t: Test, format: LayerFormat, directory?: string): Promise<World> {
  const root = directory ?? (await temporaryDirectory(t))
  const database = await Database.open(join(root, 'db'))
  const layers = await Layers.open(join(root, 'layers'), database, openUnpacker, format)
  t.teardown(async () => {
    await layers.close()
    await database.close()
  })
  const content = await ContentStore.open(join(root, 'blobs'))
  const images = await Images.open({ directory: root, database, content, layers, authFiles: [] })
  const files = async (): Promise<string[]> =>
    (
      await Promise.all(
        ['blobs/sha256', 'blobs/partial', 'layers', 'layers/tmp'].map((place) => readdir(join(root, place))),
      )
    ).flat()
  return { images, layers, files }
}

type Send = (bytes: Buffer, request: IncomingMessage, response: ServerResponse) => void

/** A registry of one image, which sends the blobs of its layers in these ways. */
async function registry(t: Test, layers: readonly Buffer[], sends: readonly Send[] = []): Promise<HttpFixture> {
  const directory = await temporaryDirectory(t)
  const layout = await makeLayout(directory, [{ layers }])
  return startServer(t, (request, response) => {
    const asked = /sha256:[0-9a-f]{64}$/.exec(request.url ?? '')?.[0]
    const digest = request.url?.includes('/manifests/') ? layout.digest : (asked ?? '')
    const answer = async (): Promise<void> => {
      const bytes = await readFile(join(directory, 'blobs/sha256', digest.slice(7)))
      const send = sends[layout.images[0]!.layers.indexOf(digest)] ?? whole
      send(bytes, request, response)
    }
    void answer()
  })
}

const whole: Send = (bytes, _request, response) => response.end(bytes)

/** What is asked for, as far as to this byte; then nothing more comes, unless that was the end. */
function sendRange(bytes: Buffer, request: IncomingMessage, response: ServerResponse, to: number): void {
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
  response.writeHead(from > 0 ? 206 : 200, {
    'Content-Length': bytes.length - from,
    ...(from > 0
      ? { 'Content-Range': `bytes ${String(from)}-${String(bytes.length - 1)}/${String(bytes.length)}` }
      : {}),
  })
  response.write(bytes.subarray(from, to))
  if (to === bytes.length) response.end()
}

/** Bytes that don't pack. */
const big = (name: string): Promise<Buffer> => makeTar([{ name, content: randomBytes(3_000_000) }])

for (const format of [directoryFormat, erofsFormat]) {
  t.test(`${format.name}: a layer is unpacked while it comes`, async (t) => {
    let goOn: (() => void) | undefined
    const server = await registry(
      t,
      [await big('a')],
      [
        (bytes, _request, response) => {
          response.writeHead(200, { 'Content-Length': bytes.length })
          response.write(bytes.subarray(0, 2_000_000))
          goOn = () => response.end(bytes.subarray(2_000_000))
        },
      ],
    )
    const { images } = await world(t, format)
    const unpacked: number[] = []
    await images.pull(`${server.host}/app:1`, {
      onProgress({ phase, current }) {
        if (phase !== 'unpack') return
        unpacked.push(current)
        // Without a part that is unpacked before all of it is there, it never comes to its end.
        goOn?.()
        goOn = undefined
      },
    })
    t.ok(unpacked[0]! <= 2_000_000, `${String(unpacked[0])} bytes`)
  })

  t.test(`${format.name}: wrong bytes are the registry's fault, and leave nothing`, async (t) => {
    const wrong: Send = (bytes, _request, response) => {
      const other = Buffer.from(bytes)
      other.fill(0, 1_000_000, 1_100_000)
      response.end(other)
    }
    const half: Send = (bytes, _request, response) => {
      response.writeHead(200, { 'Content-Length': bytes.length })
      response.write(bytes.subarray(0, 2_000_000))
    }
    const layers = await Promise.all(['a', 'b', 'c'].map(big))
    // One is whole by then or not, another certainly not.
    const server = await registry(t, layers, [whole, half, wrong])
    const { images, files } = await world(t, format)
    await t.rejects(images.pull(`${server.host}/app:1`), { code: 'DIGEST_MISMATCH', message: /the registry sent/ })
    t.strictSame(await files(), ['tmp'])
  })

  t.test(`${format.name}: what an interrupted pull left is gone on with, and begun anew when it is bad`, async (t) => {
    const ranges: (string | undefined)[] = []
    let cut = true
    const server = await registry(
      t,
      [await big('a')],
      [
        (bytes, request, response) => {
          ranges.push(request.headers.range)
          sendRange(bytes, request, response, cut ? 1_000_000 : bytes.length)
        },
      ],
    )
    const directory = await temporaryDirectory(t)
    const { images } = await world(t, format, directory)
    const partial = join(directory, 'blobs/partial')
    const interrupt = async (): Promise<void> => {
      const controller = new AbortController()
      const pull = images.pull(`${server.host}/app:1`, {
        signal: controller.signal,
        onProgress({ phase, current }) {
          if (phase === 'download' && current >= 1_000_000) controller.abort()
        },
      })
      await t.rejects(pull, { code: 'ABORTED' })
    }
    await interrupt()
    t.equal((await readdir(partial)).length, 1)
    cut = false
    await images.pull(`${server.host}/app:1`)
    t.strictSame(ranges, [undefined, 'bytes=1000000-'])
    await images.remove(`${server.host}/app:1`)
    cut = true
    await interrupt()
    const [left] = await readdir(partial)
    await writeFile(join(partial, left!), Buffer.alloc(1_000_000))
    cut = false
    const image = await images.pull(`${server.host}/app:1`)
    t.strictSame(ranges.slice(2), [undefined, 'bytes=1000000-', undefined])
    t.ok(image.chainId)
  })

  t.test(`${format.name}: a whole blob of an interrupted pull is not downloaded again`, async (t) => {
    const asked: string[] = []
    let cut = true
    const send =
      (name: string): Send =>
      (bytes, request, response) => {
        asked.push(name)
        sendRange(bytes, request, response, cut && name === 'b' ? 1_000_000 : bytes.length)
      }
    const server = await registry(t, await Promise.all(['a', 'b'].map(big)), [send('a'), send('b')])
    const directory = await temporaryDirectory(t)
    const { images } = await world(t, format, directory)
    const controller = new AbortController()
    const pull = images.pull(`${server.host}/app:1`, { signal: controller.signal })
    const names = (place: string) => readdir(join(directory, 'blobs', place))
    const sizes = async () =>
      Promise.all((await names('sha256')).map(async (name) => (await stat(join(directory, 'blobs/sha256', name))).size))
    while (asked.length < 2 || !(await sizes()).some((size) => size > 1_000_000)) await sleep(20)
    controller.abort()
    await t.rejects(pull, { code: 'ABORTED' })
    t.strictSame(await names('sha256'), [], 'no blob without an image')
    t.equal((await names('partial')).length, 2, 'kept like what is not whole')
    cut = false
    await images.pull(`${server.host}/app:1`)
    t.strictSame(asked.toSorted(), ['a', 'b', 'b'])
    t.strictSame(await names('partial'), [])
    await images.remove(`${server.host}/app:1`)
    t.strictSame([...(await names('sha256')), ...(await names('partial'))], [], 'what is removed is not kept')
  })

  t.test(`${format.name}: an image that many pull at once is downloaded once`, async (t) => {
    const server = await registry(t, [await big('a'), await big('b'), await big('c')])
    const directory = await temporaryDirectory(t)
    const here = await world(t, format, directory)
    const module = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href)
    const script = `
      const { Database } = await import(${module('../../lib/storage/database.js')})
      const { Layers } = await import(${module('../../lib/storage/layers.js')})
      const { Images } = await import(${module('../../lib/storage/images.js')})
      const { ContentStore } = await import(${module('../../lib/storage/content.js')})
      const formats = await import(${module('../../lib/storage/layer-format.js')})
      const { openUnpacker } = await import(${module('../fixtures/unpacker.js')})
      const root = ${JSON.stringify(directory)}
      const database = await Database.open(root + '/db')
      const layers = await Layers.open(root + '/layers', database, openUnpacker, formats.${format.name}Format)
      const content = await ContentStore.open(root + '/blobs')
      const images = await Images.open({ directory: root, database, content, layers, authFiles: [] })
      await Promise.all([1, 2].map(() => images.pull(${JSON.stringify(`${server.host}/app:1`)})))
      await layers.close()
      await database.close()`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
    const ended = once(child, 'exit') as Promise<[number]>
    const ref = `${server.host}/app:1`
    const pulled = await Promise.all([here.images.pull(ref), here.images.pull(ref)])
    t.equal((await ended)[0], 0)
    t.equal(new Set(pulled.map(({ id }) => id)).size, 1)
    const blobs = server.requests.filter((request) => request.includes('/blobs/'))
    t.equal(blobs.length, 4, 'the config and three layers')
    t.equal(new Set(blobs).size, 4)
    t.equal(here.layers.list().length, 3)
    await here.images.remove(ref)
    t.strictSame(await here.files(), ['tmp'])
  })

  t.test(`${format.name}: of an image whose layer is bad nothing is left`, async (t) => {
    const bad = Buffer.concat([await big('a'), Buffer.from('x'.repeat(512))])
    const escape = await makeTar([{ name: '../../x', content: 'evil' }])
    for (const layer of [escape, bad.subarray(0, 2_000_000)]) {
      const server = await registry(t, [await big('a'), layer, await big('b')])
      const { images, layers, files } = await world(t, format)
      await t.rejects(images.pull(`${server.host}/app:1`), { code: 'LAYER_INVALID' })
      t.strictSame(layers.list(), [])
      const left = await files()
      t.strictSame(
        left.filter((name) => !name.startsWith('sha256-')),
        ['tmp'],
        'but what may be gone on with',
      )
    }
  })
}

t.test('when the thread that fetches dies, the pull fails, and another one goes on where it was', async (t) => {
  const ranges: (string | undefined)[] = []
  let cut = true
  const send: Send = (bytes, request, response) => {
    ranges.push(request.headers.range)
    sendRange(bytes, request, response, cut ? 1_000_000 : bytes.length)
  }
  const server = await registry(t, [await big('a')], [send])
  const { images } = await world(t, directoryFormat)
  const begun = once(process, 'worker') as Promise<[Worker]>
  const pull = images.pull(`${server.host}/app:1`, {
    onProgress({ phase, current }) {
      if (phase === 'download' && current >= 1_000_000) void begun.then(([thread]) => thread.terminate())
    },
  })
  await t.rejects(pull, { code: 'SYSTEM_CALL_FAILED', message: /the thread that fetched an image died/ })
  cut = false
  await images.pull(`${server.host}/app:1`)
  t.strictSame(ranges, [undefined, 'bytes=1000000-'])
  await images.close()
})

/** Nice values (proc_pid_stat(5)) of the threads of this process, by their ids. At once: no thread is let go of meanwhile. */
function niceValues(): Map<string, number> {
  const values = new Map<string, number>()
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      values.set(thread, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))
    } catch {
      // One of another test that ends.
    }
  }
  return values
}

t.test('the threads of a pull leave the CPU to the one of the event loop', async (t) => {
  const server = await registry(t, [await big('a')])
  const { images } = await world(t, directoryFormat)
  const before = niceValues()
  const usual = getPriority()
  await images.pull(`${server.host}/app:1`)
  // They wait for more to do.
  const after = niceValues()
  const threads = [...after].filter(([thread, nice]) => !before.has(thread) && nice === Math.min(usual + 5, 19))
  t.ok(threads.length >= 2, JSON.stringify([...after]))
  for (const [thread, nice] of before) if (after.has(thread)) t.equal(after.get(thread), nice)
  await images.close()
})
