/** Copies that the caller cancels, whatever they wait for: they end at once, and no process, mount or hold is left of them. */
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Container, PodlingError } from 'podling'
import { descendants, within } from '../fixtures/leftovers.js'
import { makeTar } from '../fixtures/images.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const message = /aborted by the caller/
const reason = new Error('enough')

/** A tar whose file never comes to its end, a megabyte at each pause. */
async function* endless(pause: number): AsyncGenerator<Buffer> {
  const tar = await makeTar([{ name: 'big', content: 'x' }])
  const head = Buffer.from(tar.subarray(0, 512))
  // Eight gigabytes, by its header: the size in octal, and the sum over all of it (tar(5)).
  head.write('77777777777\0', 124, 'latin1')
  head.fill(' ', 148, 156)
  head.write(
    `${head
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  )
  yield head
  for (;;) {
    yield Buffer.alloc(1 << 20)
    await sleep(pause)
  }
}

async function* silent(): AsyncGenerator<Buffer> {
  await new Promise(() => undefined)
  yield Buffer.alloc(0)
}

t.test('cancelled', needs('root', 'busybox'), async (t) => {
  await using made = await testRuntime()
  const { runtime, root } = made
  const container = await runtime.containers.create({
    image: 'busybox:test',
    command: ['sleep', '86399'],
    network: 'none',
  })
  await container.copyTo(async function* () { yield await makeTar([{ name: 'big', content: Buffer.alloc(30_000_000, 1) }]) }(), '/') // prettier-ignore
  await cases(t, container, root)
  await container.start()
  await cases(t, container, root)
})

/** Copiers, and what stands for a root that is held. */
async function leftOf(root: string): Promise<string[]> {
  const found: string[] = []
  for (const one of await descendants(process.pid)) {
    const name = await readFile(`/proc/${one.split('@')[0]!}/comm`, 'utf8').catch(() => '')
    if (name.trim() === 'podling-copy') found.push(one)
  }
  const held = (await readdir(`${root}/run/c`, { recursive: true })).filter((path) => path.includes('/view.'))
  return [...found, ...held]
}

async function cases(t: Test, container: Container, root: string): Promise<void> {
  const { status } = container
  const nothingStays = async (what: string): Promise<void> => {
    t.strictSame(await within(10_000, () => leftOf(root), (left) => left.length === 0), [], `${status}, ${what}: left`) // prettier-ignore
  }
  const cancelled = async (what: string, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> => {
    const done = work(AbortSignal.abort(reason))
    await t.rejects(done, { code: 'ABORTED', message, cause: reason }, `${status}, ${what}: before it begins`)
    const controller = new AbortController()
    const failed = t.rejects(work(controller.signal), { code: 'ABORTED', message }, `${status}, ${what}`)
    await sleep(100)
    t.not((await within(10_000, () => leftOf(root), (left) => left.length > 0)).length, 0, 'it is under way') // prettier-ignore
    controller.abort(reason)
    await failed
    await nothingStays(what)
  }
  await cancelled('nothing comes', (signal) => container.copyTo(silent(), '/tmp', { signal }))
  await cancelled('it comes slowly', (signal) => container.copyTo(endless(50), '/tmp', { signal }))
  const unread = (open: (signal: AbortSignal) => Promise<Readable>) => async (signal: AbortSignal) => {
    const stream = await open(signal)
    const [error] = (await once(stream, 'error')) as [PodlingError]
    t.ok(stream.destroyed)
    throw error
  }
  await cancelled(
    'nobody reads',
    unread((signal) => container.copyFrom('/big', { signal })),
  )
  await cancelled(
    'nobody reads all',
    unread((signal) => container.export({ signal })),
  )
  await cancelled('it is read slowly', async (signal) => {
    for await (const _ of await container.copyFrom('/big', { signal })) await sleep(20)
  })
  // A signal that comes too late does nothing.
  const controller = new AbortController()
  let bytes = 0
  for await (const chunk of await container.copyFrom('/big', { signal: controller.signal }))
    bytes += (chunk as Buffer).length
  controller.abort()
  t.ok(bytes > 30_000_000)
  await t.rejects(container.export({ signals: controller.signal } as object), {
    code: 'INVALID_OPTION',
    message: /signal/,
  })
  await nothingStays('whole')
}
