/** kill -9 of the host at each step of a checkpoint and of a restore, and of CRIU in the middle of its work. */
import { spawnSync } from 'node:child_process'
import { chmod, readdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Runtime, type Container } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { leftovers, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const killer = fileURLToPath(new URL('../fixtures/step-killer.js', import.meta.url))

const counting = 'i=0; while true; do i=$((i+1)); echo $i > /tmp/new; mv /tmp/new /tmp/count; sleep 0.02; done'
const counter = {
  image: 'busybox:test',
  command: ['sh', '-c', counting],
  network: 'none',
  name: 'one',
  detach: true,
  ready: { command: ['test', '-e', '/tmp/count'] },
} as const

const count = async (container: Container): Promise<number> =>
  Number((await container.exec(['cat', '/tmp/count'])).stdout)

/** It runs: its counter comes on. */
async function goesOn(container: Container): Promise<boolean> {
  const then = await count(container)
  return (await within(10_000, () => count(container), (now) => now > then)) > then // prettier-ignore
}

/** A few of them, as each costs a second: the step after one call and that before the next are mostly the same to others. */
const STRIDE = 5

/** @returns how many steps there are when it came to its end */
function step(root: string, verb: string, at: number): number | undefined {
  const given = [killer, root, verb, String(at)]
  const { signal, status, stdout, stderr } = spawnSync(process.execPath, given, { encoding: 'utf8' })
  if (signal !== 'SIGKILL' && status !== 0) throw new Error(`step ${String(at)} of ${verb}: ${stderr}`)
  return signal === 'SIGKILL' ? undefined : Number(stdout)
}

/** What there is of checkpoints on a root beside its own files. */
const halfMade = async (root: string): Promise<string[]> =>
  (await readdir(root)).filter((name) => name.startsWith('.made') || name.startsWith('checkpoint-'))

async function world(t: Test): Promise<string> {
  const { runtime, root } = await testRuntime()
  t.teardown(async () => {
    await using last = await Runtime.open({ root })
    for (const container of await last.containers.list()) await container.remove({ force: true })
    await last.close()
    await rm(root, { recursive: true, force: true })
  })
  await runtime.run(counter)
  await runtime.close()
  return root
}

t.test('kills around checkpoints', needs('root', 'busybox', 'criu', 'strace'), async (t) => {
  if (!process.env.XX)
    await t.test('the host, at each step of a checkpoint: the container goes on', async (t) => {
      const root = await world(t)
      let left = 0
      let at = 1
      for (; step(root, 'checkpoint', at) === undefined; at += STRIDE) {
        left += (await halfMade(root)).length
        await using runtime = await Runtime.open({ root })
        const container = await runtime.containers.get('one')
        t.equal(container.status, 'running', `after step ${String(at)}`)
        t.ok(await goesOn(container))
        t.strictSame(await halfMade(root), [])
        await rm(`${root}/made.tar`, { force: true })
      }
      t.ok(at > 10 && left > 0, `there was something to remove in the course of ${String(at)} steps`)
      await rm(`${root}/made.tar`)
      await using runtime = await Runtime.open({ root })
      await (await runtime.containers.get('one')).checkpoint({ path: `${root}/after` })
    })

  if (!process.env.XX)
    await t.test('the host, at each step of a restore: nothing is left of what it was about to make', async (t) => {
      const root = await world(t)
      await using first = await Runtime.open({ root })
      await (await first.containers.get('one')).checkpoint({ path: `${root}/one.tar` })
      await first.close()
      let at = 1
      let whole = false
      for (; step(root, 'restore', at) === undefined; at += STRIDE) {
        await using runtime = await Runtime.open({ root })
        const names = (await runtime.containers.list()).map(({ name }) => name)
        if (names.includes('two')) {
          whole = true
          const two = await runtime.containers.get('two')
          t.ok(await goesOn(two))
          await two.remove({ force: true })
        }
        // Once it is made, it is made at each later step.
        t.strictSame([...names].sort(), whole ? ['one', 'two'] : ['one'], `after step ${String(at)}`)
        const { processes, cgroups, mounts } = await leftovers(root, counting)
        t.strictSame(
          processes.filter((one) => one.includes(counting)),
          [],
        )
        t.strictSame(
          cgroups.filter((path) => /[0-9a-f]{64}$/.test(path)),
          [],
        )
        t.strictSame(mounts, [])
        t.strictSame(await halfMade(root), [])
      }
      t.ok(at > 10, `there are ${String(at)} steps`)
    })

  await t.test('CRIU, in the middle of its work: told, and the container goes on where that can be', async (t) => {
    const root = await world(t)
    const directory = await temporaryDirectory(t)
    const path = process.env.PATH
    t.teardown(() => (process.env.PATH = path))
    process.env.PATH = `${directory}:${path ?? ''}`
    // The first calls take hold of the processes, the later ones put code into them; by splice(2) their memory is written.
    for (const call of ['ptrace:1', 'ptrace:6', 'ptrace:20', 'ptrace:40', 'splice:1']) {
      const [name, when] = call.split(':')
      const inject = `strace -f -o /dev/null -e trace=${name!} -e inject=${name!}:signal=SIGKILL:when=${when!}`
      await writeFile(`${directory}/criu`, `#!/bin/sh\nexec ${inject} /usr/sbin/criu "$@"\n`)
      await chmod(`${directory}/criu`, 0o755)
      await using runtime = await Runtime.open({ root })
      const container = await runtime.containers.get('one')
      const pid = container.pid
      await t.rejects(
        container.checkpoint({ path: `${root}/made` }),
        { code: 'CHECKPOINT_FAILED', message: /killed by SIGKILL/ },
        call,
      )
      t.strictSame(await halfMade(root), [])
      // In the middle of a call that CRIU has it make, a process has the registers of that and crashes; else its own code
      // mends it when nobody tells it any more what to do. Either way nothing hangs.
      const then = await count(container).catch(() => 0)
      const now = async () => (container.status === 'running' ? count(container).catch(() => 0) : -1)
      const seen = await within(10_000, now, (count) => count < 0 || count > then)
      t.ok(seen < 0 || seen > then, `it has ended or goes on after ${call}`)
      if (call !== 'ptrace:40') t.match(container, { status: 'running', pid })
      else if (seen < 0) await container.start()
    }
    process.env.PATH = path
    await using runtime = await Runtime.open({ root })
    await (await runtime.containers.get('one')).checkpoint({ path: `${root}/after` })
  })
})
