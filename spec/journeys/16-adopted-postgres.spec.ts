/** A host dies in the middle of its queries; the next one goes on with the database that it left running. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { services } from '../fixtures/services.js'
import { needs } from '../peers.js'

t.test('PostgreSQL is adopted', needs('root', 'postgresql'), async (t) => {
  const { postgres } = services
  const root = await temporaryDirectory(t)
  const program = fileURLToPath(new URL('../fixtures/postgres-host.js', import.meta.url))
  const host = spawn(process.execPath, [program, root], { stdio: ['ignore', 'pipe', 'inherit'] })
  const kept: string[] = []
  createInterface({ input: host.stdout }).on('line', (word) => kept.push(word))
  await within(
    60_000,
    async () => kept.length,
    (count) => count >= 6 || host.exitCode !== null,
  )
  host.kill('SIGKILL')
  await once(host, 'close')
  t.ok(kept.length >= 6)

  const runtime = await Runtime.open({ root })
  t.strictSame(runtime.recovered.containers, [], 'a detached one is no leftover')
  const container = await runtime.containers.get('database')
  t.match(container, { status: 'running', restartCount: 0 })
  const lines: string[] = []
  const followed = follow()
  async function follow(): Promise<void> {
    for await (const { text } of container.logs({ follow: true })) lines.push(text)
  }

  // What was under way when the host died may have been kept without its hearing of it: one word of each of its lanes.
  const found = await postgres.words(container)
  t.strictSame(
    kept.filter((word) => !found.includes(word)),
    [],
    'all that it was told is kept is there',
  )
  t.ok(found.length <= kept.length + 3)
  const clients = async () => (await container.top(['args'])).filter(({ args }) => args.startsWith('psql'))
  t.strictSame(
    await within(10_000, clients, ({ length }) => length === 0),
    [],
    'the commands of the dead host have ended',
  )
  await postgres.put(container, 'after')
  t.ok((await postgres.words(container)).includes('after'))

  t.match(await container.stop(), { exitCode: 0, stoppedByUser: true })
  await followed
  t.match(lines.join('\n'), /ready to accept connections/, 'its log begins before the host died')
  t.match(lines.at(-1), postgres.goodbye, 'and is followed to the end')
  await container.remove()
  await runtime.close()
  t.strictSame(await settledLeftovers(root, root), nothing)
})
