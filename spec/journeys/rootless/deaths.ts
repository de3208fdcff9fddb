/** Hosts of a user that are killed: their containers end, and the namespaces that all share last as long as anybody in them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime, type ContainerOptions } from 'podling'
import { within } from '../../fixtures/leftovers.js'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const host = fileURLToPath(new URL('../../fixtures/rootless-host.js', import.meta.url))
const first = await Runtime.open()
const image = await first.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
const options = { image: 'busybox:test', command: ['sleep', '1000'], network: 'none' } as const

async function startHost(more: Partial<ContainerOptions> = {}): Promise<{ child: ChildProcess; id: string }> {
  const child = spawn(process.execPath, [host, JSON.stringify({ ...options, ...more })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, id: (JSON.parse(line) as { id: string }).id }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** Processes of this user in a user namespace. */
function inNamespace(space: string): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && namespaceOf(pid) === space)
}

function namespaceOf(pid: number | string | undefined): string {
  try {
    return readlinkSync(`/proc/${String(pid)}/ns/user`)
  } catch {
    return ''
  }
}

function gone(space: string): Promise<string[]> {
  const look = (): Promise<string[]> => Promise.resolve(inNamespace(space))
  return within(10_000, look, (left) => left.length === 0)
}

const own = await first.run({ ...options, image })
const space = namespaceOf(own.pid)

t.test('a host that is killed takes its containers along, and nothing of another’s', async (t) => {
  const { child, id } = await startHost()
  const container = await first.containers.get(id)
  t.equal(namespaceOf(container.pid), space, 'all are in one namespace')
  t.not(namespaceOf('self'), space)
  const ended = new Promise((resolve) => container.once('exit', resolve))
  await kill(child)
  await ended
  t.equal(container.status, 'exited')
  t.match(await own.exec(['echo', 'alive']), { stdout: 'alive\n' })
})

t.test('a detached one holds the namespaces, for the next runtime to enter', async (t) => {
  const { child, id } = await startHost({ detach: true })
  await kill(child)
  await first.close()
  await using next = await Runtime.open()
  const container = await next.containers.get(id)
  t.match(await container.exec(['id', '-u']), { stdout: '0\n' })
  await using beside = await next.run(options)
  t.equal(namespaceOf(beside.pid), space)
  t.strictSame(next.recovered.failures, [])
  await container.remove({ force: true })
})

t.test('the last one to go takes them along', async (t) => {
  t.strictSame(await gone(space), [])
  const { child, id } = await startHost()
  await using watcher = await Runtime.open()
  const container = await watcher.containers.get(id)
  const later = namespaceOf(container.pid)
  await watcher.close()
  await kill(child)
  t.strictSame(await gone(later), [], 'however its host ends')
  await using after = await Runtime.open()
  t.strictSame(await after.containers.list(), [])
})
