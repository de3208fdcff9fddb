/** PostgreSQL, nginx and Redis through all that may happen in the life of a container. */
import t from 'tap'
import { Runtime, type Container } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { runService, services } from '../fixtures/services.js'
import { needs } from '../peers.js'

const MEBI = 2 ** 20

async function logOf(container: Container): Promise<string> {
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines.join('\n')
}

for (const [name, service] of Object.entries(services)) {
  t.test(name, needs('root', 'postgresql', 'nginx', 'redis-server', 'busybox'), async (t) => {
    const root = await temporaryDirectory(t)
    const runtime = await Runtime.open({ root })
    const container = await runService(runtime, service, { name })
    await service.put(container, 'first')

    t.match(container.inspect().health, { status: 'healthy' })
    t.match(await container.healthcheck(), { exitCode: 0 })

    const { cpu, memory, pids } = await container.stats()
    t.ok(cpu.usage > 0 && pids !== undefined && pids.current > 0)
    t.match(memory, { limit: 256 * MEBI })
    t.ok(memory && memory.usage > MEBI, 'what it uses is told')
    t.match((await container.top(['pid', 'args'])).map(({ args }) => args)[0], service.command)

    await container.update({ memory: '128m', pidsLimit: 60 })
    t.match(await container.stats(), { memory: { limit: 128 * MEBI }, pids: { limit: 60 } }, 'limited while it runs')

    await container.pause()
    t.equal(container.status, 'paused')
    const before = (await container.stats()).cpu.usage
    t.equal((await container.stats()).cpu.usage, before, 'paused, it uses no processor')
    await container.unpause()
    await service.put(container, 'second')

    const { pid } = container
    await container.restart()
    t.not(container.pid, pid)
    t.match(await container.stats(), { memory: { limit: 128 * MEBI } }, 'the new limits hold after a restart')
    await container.wait({ condition: 'healthy', signal: AbortSignal.timeout(120_000) })
    t.strictSame(await service.words(container), ['first', 'second'], 'and its data is there')

    t.match(await container.stop(), { exitCode: 0, oomKilled: false, stoppedByUser: true })
    t.match(await logOf(container), service.goodbye, 'it was told to end, and had the time')
    await container.remove()

    const next = await runService(runtime, service)
    await service.put(next, 'third')
    t.strictSame(await service.words(next), ['first', 'second', 'third'], 'another one goes on with its volume')
    await runtime.close()
    t.strictSame(await settledLeftovers(root, root), nothing, 'nothing is left')
  })
}
