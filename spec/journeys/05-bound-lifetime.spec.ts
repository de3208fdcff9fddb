import { open, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Runtime } from 'podling'
import { startHost, type Host } from '../fixtures/host.js'
import { containerFiles, holdersOfNetwork, identity, nothing, settledLeftovers, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'

const MARKER = '86399'
const setup = await testRuntime()
const { root } = setup
// The image stays on the root; the hosts of this spec are processes of their own.
await setup.runtime.close()
t.teardown(() => setup[Symbol.asyncDispose]())

/** Nothing runs any more; the next open reports what it cleans, and after it nothing lies on disk either. */
async function allGone(t: Test, reported: number, before: readonly string[] = []): Promise<void> {
  t.strictSame(await settledLeftovers(root, MARKER), nothing, 'no process, cgroup or mount is left')
  t.strictSame(await survivors(before), [], 'nothing that the host had started lives')
  const runtime = await Runtime.open({ root })
  t.equal(runtime.recovered.containers.length, reported, 'the next open reports what was left')
  t.strictSame(await runtime.containers.list(), [])
  await runtime.close()
  t.strictSame(await containerFiles(root), [], 'no file of a container is left')
}

async function survivors(identities: readonly string[]): Promise<string[]> {
  const look = async () => {
    const now = await Promise.all(identities.map((one) => identity(Number(one.split('@')[0]))))
    return identities.filter((one) => now.includes(one))
  }
  return within(10_000, look, (alive) => alive.length === 0)
}

async function running(script: Parameters<typeof startHost>[1] = 'run'): Promise<{ host: Host; pid: number }> {
  const host = startHost(root, script)
  return { host, pid: Number((await host.saw('running')).split(' ')[1]) }
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGSEGV'] as const) {
  t.test(`a host that ends by ${signal} takes its containers along`, async (t) => {
    const { host, pid } = await running()
    const before = await within(
      10_000,
      () => host.descendants(),
      (found) => found.length >= 4,
    )
    t.ok(before.length >= 4, 'a launcher, a monitor, a container and its child')
    const network = await readlink(`/proc/${String(pid)}/ns/net`)
    // As long as it is open here its number is nobody else's: the kernel gives numbers again.
    const held = await open(`/proc/${String(pid)}/ns/net`)
    t.teardown(() => held.close())
    await host.end(signal)
    await allGone(t, 1, before)
    t.strictSame(
      await holdersOfNetwork(network),
      [String(process.pid)],
      'nobody but this test has its network namespace',
    )
    await using runtime = await Runtime.open({ root })
    await using again = await runtime.run({
      image: 'busybox:test',
      command: ['true'],
      network: 'none',
      name: `bound-${String(host.pid)}`,
    })
    t.equal((await again.wait()).exitCode, 0, 'and the name is free')
  })
}

for (const script of ['exit', 'throw', 'reject'] as const) {
  t.test(`a host that ends by itself (${script}), without close()`, async (t) => {
    const { host } = await running(script)
    t.match(await host.ended, { code: script === 'exit' ? 3 : 1, signal: null })
    await allGone(t, 1)
  })
}

t.test('the end of main without close(): what has ended holds no process up', async (t) => {
  const host = startHost(root, 'end')
  t.match(await host.ended, { code: 0, signal: null })
  await allGone(t, 2)
})

t.test('a host that is stopped is not dead; killed then, it is', async (t) => {
  const { host, pid } = await running()
  process.kill(host.pid, 'SIGSTOP')
  await sleep(300)
  t.ok(await identity(pid), 'its container goes on')
  const other = await Runtime.open({ root })
  t.equal(other.recovered.containers.length, 0, 'and others leave it alone')
  await other.close()
  await host.end('SIGKILL')
  await allGone(t, 1)
})

t.test('of two hosts on one root, only the dead one loses its containers', async (t) => {
  const [first, second] = await Promise.all([running(), running()])
  await first.host.end('SIGKILL')
  await within(
    10_000,
    () => identity(first.pid),
    (found) => found === undefined,
  )
  t.notOk(await identity(first.pid))
  t.ok(await identity(second.pid))
  const runtime = await Runtime.open({ root })
  t.match(runtime.recovered.containers, [{ name: `bound-${String(first.host.pid)}` }])
  const kept = await runtime.containers.get(`bound-${String(second.host.pid)}`)
  t.equal((await kept.exec(['echo', 'here'])).stdout, 'here\n')
  await runtime.close()
  t.ok(await identity(second.pid), 'nor does the end of a third one touch it')
  await second.host.end('SIGKILL')
  await allGone(t, 1)
})

t.test('host, launcher and monitor are killed at once', async (t) => {
  const { host, pid } = await running()
  const before = await host.descendants()
  const helpers = (await Promise.all(before.map(comm))).filter(({ name }) => name.startsWith('podling-'))
  t.ok(helpers.length >= 2)
  // Stopped first, so that none of them sees another one's end.
  for (const { pid } of [...helpers, { pid: host.pid }]) process.kill(pid, 'SIGSTOP')
  for (const { pid } of helpers) process.kill(pid, 'SIGKILL')
  await host.end('SIGKILL')
  await within(
    10_000,
    () => identity(pid),
    (found) => found === undefined,
  )
  t.notOk(await identity(pid), 'pid 1 dies with its monitor')
  t.strictSame(await survivors(before), [])
  // Its cgroup had nobody left to remove it: the next open does.
  const runtime = await Runtime.open({ root })
  t.equal(runtime.recovered.containers.length, 1)
  await runtime.close()
  await allGone(t, 0)
})

async function comm(one: string): Promise<{ pid: number; name: string }> {
  const pid = Number(one.split('@')[0])
  return { pid, name: (await readFile(`/proc/${String(pid)}/comm`, 'utf8').catch(() => '')).trim() }
}

t.test('a detached container outlives its host', async (t) => {
  const first = await Runtime.open({ root })
  const options = { image: 'busybox:test', command: ['sleep', MARKER], network: 'none', name: 'stays' } as const
  const { pid } = await first.run({ ...options, detach: true })
  await first.close()
  const second = await Runtime.open({ root })
  t.strictSame(second.recovered.containers, [])
  const adopted = await second.containers.get('stays')
  t.equal(adopted.status, 'running')
  t.equal(adopted.pid, pid)
  t.equal((await adopted.exec(['echo', 'here'])).stdout, 'here\n')
  await adopted.remove({ force: true })
  await second.close()
  await allGone(t, 0)
})
