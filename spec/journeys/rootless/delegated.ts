/** A user to whom a cgroup was delegated: its containers are below DELEGATED, and have what needs a cgroup. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'
import { directories } from '../../fixtures/delegate.js'

const { DELEGATED: delegated = '', MODE: mode } = process.env
const runtime = await Runtime.open()
const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
const { cgroup } = await runtime.info()

function idle(options: Partial<ContainerOptions> = {}): Promise<Container> {
  return runtime.run({ image, command: ['sleep', '1000'], network: 'none', ...options })
}

/** The directory of a container. */
function directoryOf({ id }: Container): string {
  return join(delegated, cgroup.parent, id)
}

t.test('containers have cgroups of their own there', async (t) => {
  t.equal(cgroup.mode, mode)
  await using container = await idle()
  t.match(
    readFileSync(join(directoryOf(container), 'cgroup.procs'), 'utf8'),
    new RegExp(`^${String(container.pid)}$`, 'm'),
  )
  const { cpu, pids } = await container.stats()
  t.type(cpu.usage, 'number')
  t.equal(pids !== undefined, cgroup.controllers.includes('pids'))
  t.match(await container.top(['pid', 'user']), [{ pid: 1, user: 'root' }])
})

t.test('pause, and a commit of what stands still', async (t) => {
  await using container = await idle()
  await container.pause()
  t.equal(container.status, 'paused')
  t.match(readFileSync(join(directoryOf(container), 'cgroup.events'), 'utf8'), /^frozen 1$/m)
  await container.unpause()
  t.match(await container.exec(['echo', 'goes on']), { stdout: 'goes on\n' })
  await container.commit({ ref: 'committed:test', pause: true })
})

t.test('the end of pid 1 ends all of it, and a pod is one', async (t) => {
  await using pod = await runtime.pods.create({ name: 'shop', network: 'none' })
  const member = await runtime.containers.create({ pod, image, command: ['sleep', '1000'] })
  await pod.start()
  await pod.pause()
  t.equal(member.status, 'paused')
  await pod.unpause()
  const sleeper = await member.spawn(['sleep', '1000'])
  await member.stop({ timeout: 0 })
  t.match(await sleeper.exited, { signal: 'SIGKILL' })
})

for (const { name, options, file, value } of [
  { name: 'memory', options: { memory: '64m' }, file: 'memory.max', value: String(64 << 20) },
  { name: 'pids', options: { pidsLimit: 20 }, file: 'pids.max', value: '20' },
]) {
  if (cgroup.controllers.includes(name)) {
    t.test(`a limit of ${name}`, async (t) => {
      await using container = await idle(options)
      t.equal(readFileSync(join(directoryOf(container), file), 'utf8').trim(), value)
    })
  } else {
    t.test(`a limit of ${name}, whose controller was not handed down`, async (t) => {
      await t.rejects(idle(options), { code: /^CGROUP_/ })
      t.strictSame(await runtime.containers.list(), [])
    })
  }
}

t.test(
  'a memory bomb',
  { skip: cgroup.controllers.includes('memory') ? false : 'there is no memory controller' },
  async (t) => {
    await using container = await runtime.run({
    image, command: ['sh', '-c', 'x=x; while :; do x=$x$x; done'], network: 'none', memory: '32m', memorySwap: '32m',
  }) // prettier-ignore
    t.match(await container.wait(), { oomKilled: true })
  },
)

t.test('closing leaves no cgroup', async (t) => {
  await idle()
  await runtime.close()
  t.strictSame(
    directories(delegated).filter((name) => name !== 'app'),
    [],
  )
})
