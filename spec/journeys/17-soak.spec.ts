/**
 * Containers are started, used, stopped and removed, again and again, and the machine is as it was: `npm run soak` for 2,000 of
 * them, the number of cycles as an argument for others.
 */
import { execFileSync } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type { Runtime } from 'podling'
import { containerFiles, descendants, leftovers, within } from '../fixtures/leftovers.js'
import { networkSnapshot } from '../fixtures/network-snapshot.js'
import { givenArguments, inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const cycles = Number(givenArguments()[0] ?? 200)
/** Until all that is made once and kept is there. */
const WARM_UP = 50
/** Of both files of the journal, as its own header says. */
const JOURNAL_LIMIT = 2 * (4 << 20)
const recordKeys = fileURLToPath(new URL('../fixtures/record-keys.js', import.meta.url))
const databaseOf = (root: string) => join(root, 'database', 'state.mdb')

// What others mount meanwhile is not to be counted.
if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test(
    `after ${String(cycles)} cycles`,
    { ...needs('root', 'busybox', 'iproute2', 'nftables'), timeout: 0 },
    async (t) => {
      const { runtime, root, ...setup } = await testRuntime()
      t.teardown(() => setup[Symbol.asyncDispose]())
      await live(runtime, WARM_UP)
      // The worker that brought the image in has descriptors, too, and ends after five seconds without work.
      await sleep(7000)
      const before = await settled(root)
      const { size: pages } = await stat(databaseOf(root))
      const begin = performance.now()
      await live(runtime, cycles)
      t.comment(`${((performance.now() - begin) / cycles).toFixed(1)} ms each`)
      const after = await within(
        10_000,
        () => look(root),
        (now) => isDeepStrictEqual(now, before),
      )
      t.strictSame(after, before, 'all is as it was')
      // LMDB uses pages again, and holds as many as were ever in use at once.
      const { size } = await stat(databaseOf(root))
      t.ok(size <= pages + 64 * 4096, `the database is bounded: ${String(pages)} bytes, and then ${String(size)}`)
      const journal = await sizes(join(root, 'events'))
      t.ok(total(journal) <= JOURNAL_LIMIT, `the journal of events is bounded: ${JSON.stringify(journal)}`)
    },
  )
}

/** Two at a time; every fourth on a bridge. */
async function live(runtime: Runtime, count: number): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const network = next++ % 4 === 0 ? 'bridge' : 'none'
      await using container = await runtime.run({
        image: 'busybox:test',
        command: ['sleep', '1000'],
        network,
        memory: '64m',
        volumes: ['/data'],
      })
      const { stdout } = await container.exec(['echo', 'here'])
      if (stdout !== 'here\n') throw new Error(`exec gave ${JSON.stringify(stdout)}`)
      await container.stop()
    }
  }
  await Promise.all([lane(), lane()])
}

/** What the machine and the root hold that must be as much after many containers as it was before. */
async function look(root: string) {
  const { processes, cgroups, mounts } = await leftovers(root, root)
  const own = (await descendants(process.pid)).map((one) => one.split('@')[0] ?? '')
  const state = Object.entries(await sizes(root)).filter(([path]) => !/^(events|database)\//.test(path))
  return {
    processes: [own.length, processes.length],
    descriptors: await Promise.all([String(process.pid), ...own].map(openFiles)),
    cgroups: cgroups.length,
    mounts: [mounts.length, (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').length],
    network: networkSnapshot(),
    files: await containerFiles(root),
    state: Object.fromEntries(state),
    records: JSON.parse(
      execFileSync(process.execPath, [recordKeys, databaseOf(root)], { encoding: 'utf8' }),
    ) as string[],
  }
}

/** The same, once nothing is made ahead or cleared away any more. */
async function settled(root: string): Promise<Awaited<ReturnType<typeof look>>> {
  let last = await look(root)
  for (;;) {
    await sleep(300)
    const now = await look(root)
    if (isDeepStrictEqual(now, last)) return now
    last = now
  }
}

async function openFiles(pid: string): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

/** Files below a directory and their bytes: addresses and names that are given away are files, too. */
async function sizes(directory: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found[path.slice(directory.length + 1)] = (await stat(path)).size
  }
  return found
}

function total(files: Readonly<Record<string, number>>): number {
  return Object.values(files).reduce((sum, size) => sum + size, 0)
}
